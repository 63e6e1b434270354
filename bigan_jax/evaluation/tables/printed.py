"""What the tables share: results out of run folders, and rows into Markdown and CSV."""

from collections.abc import Callable, Iterable, Sequence
import csv
import json
import pathlib
import statistics
import sys
from typing import Any

Rows = Sequence[Sequence[Any]]


def finished(folder: pathlib.Path) -> list[dict[str, Any]]:
  """The results of all jobs that have any, whatever jobs these are."""
  return [json.loads(path.read_text()) for path in sorted(folder.glob("*/results.json"))]


def refuse_strange(folder: pathlib.Path, found: Iterable[str], known: Iterable[str]) -> None:
  """Raises ValueError if a table has no row for one of the names that were found."""
  strange = sorted(set(found) - set(known))
  if strange:
    raise ValueError(
        f"{folder} has runs of {', '.join(strange)}, which the table has no row for: move them"
        " elsewhere."
    )


def mean_and_spread(percent: Sequence[float]) -> str:
  """The mean, and half the range if they are several; of none: an empty cell."""
  if not percent:
    return ""
  spread = f" ± {(max(percent) - min(percent)) / 2:.2f}" if len(percent) > 1 else ""
  return f"{statistics.mean(percent):.2f}{spread}"


def markdown(rows: Rows) -> str:
  """The table in Markdown; the first row is its head."""
  lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
  return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def publish(folder: pathlib.Path, name: str, rows: Rows, note: str = "") -> None:
  """Prints a table, and writes it as NAME.md and NAME.csv."""
  text = markdown(rows) + (f"\n{note}\n" if note else "")
  print(text, end="")
  (folder / f"{name}.md").write_text(text, encoding="utf-8")
  with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows(rows)


def command(name: str, main: Callable[[pathlib.Path], None]) -> None:
  """The program of a table: its errors are one sentence."""
  if len(sys.argv) != 2:
    sys.exit(f"usage: python -m bigan_jax.evaluation.tables.{name} FOLDER")
  try:
    main(pathlib.Path(sys.argv[1]))
  except (ValueError, OSError) as error:
    sys.exit(str(error))

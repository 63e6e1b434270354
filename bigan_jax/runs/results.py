"""The folder of a job that ends in a result: whole, or not there at all."""

from collections.abc import Iterator
import contextlib
import csv
import json
import pathlib
from typing import Any

from bigan_jax.runs import data_record, outputs
from bigan_jax.runs.workdir import check_config, local_path, read_config, refuse_foreign

CONFIG, RESULTS = "config.json", "results.json"
FREE = (  # fields that results do not depend on
    "data_dir", "data.accept_change", "data.resident_gb", "data.workers", "dump",
)


@contextlib.contextmanager
def replacing(workdir: str, config: dict[str, Any], names: tuple[str, ...]
              ) -> Iterator[pathlib.Path]:
  """A folder to write to, which takes the place of an older result when all went well.

  After an error or a kill the older result is still there, whole; a kill in the instant of the
  change may leave it under a hidden name beside.

  Args:
    workdir: a local path; ~ is the home folder.
    config: nested dict of plain values, which names its job; kept as config.json.
    names: patterns of what else the job writes; other files are not deleted with an old result.

  Raises:
    ValueError: as `check`.
    OSError: it cannot be written.
  """
  check(workdir, config, names)
  path = local_path(workdir)
  known = (CONFIG, data_record.DATA, *names)
  with outputs.new_folder(path, True, lambda path: not _foreign(path, known)) as folder:
    yield folder
    (folder / CONFIG).write_bytes(_json(config))


def check(workdir: str, config: dict[str, Any], names: tuple[str, ...]) -> None:
  """Raises ValueError unless `replacing` may write there; see there.

  The folder may not be that of another job, nor of other settings than those that results do not
  depend on, nor hold other files.
  """
  path = local_path(workdir)
  if path.is_dir():
    refuse_foreign(path)
    _refuse_other(path, config["job"], (CONFIG, data_record.DATA, *names))
    check_config(path / CONFIG, json.loads(json.dumps(config)), FREE)


def _refuse_other(path: pathlib.Path, job: str, names: tuple[str, ...]) -> None:
  """Raises ValueError for the folder of another job, and for files that no job wrote."""
  there = read_config(path / CONFIG).get("job") if (path / CONFIG).exists() else job
  if there != job:
    raise ValueError(
        f"{path} is the run folder of a job {there!r}, not {job!r}: choose another --workdir."
    )
  if foreign := _foreign(path, names):
    raise ValueError(
        f"{path} holds {foreign[0]} beside an older result, which is to be replaced: move it, or "
        "choose another --workdir."
    )


def _foreign(path: pathlib.Path, names: tuple[str, ...]) -> list[str]:
  """What is in a folder, but for files of these patterns."""
  return [item.name for item in outputs.items(path) if not any(map(item.match, names))]


def write_json(folder: pathlib.Path, results: dict[str, Any]) -> None:
  """Writes results.json."""
  (folder / RESULTS).write_bytes(_json(results))


def write_csv(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  """Writes rows of the same keys under a line of their names; None is an empty cell."""
  with open(path, "w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows)


def markdown(rows: list[dict[str, str]]) -> str:
  """Rows of the same keys as a table in Markdown."""
  lines = [rows[0], ["---"] * len(rows[0]), *(row.values() for row in rows)]
  return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _json(tree: dict[str, Any]) -> bytes:
  return json.dumps(tree, indent=2, allow_nan=False).encode() + b"\n"

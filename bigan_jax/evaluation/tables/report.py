"""One self-contained HTML page about run folders: `launch/report.sh FILE.html RUN ...`.

Folders of training runs give curves, last numbers, and the newest of each picture; folders of jobs
(linear probe, neighbours, frozen layers) give their tables and pictures.
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()

from collections.abc import Sequence
import csv
import html
import json
import pathlib
from typing import Any, NamedTuple

from absl import flags
import matplotlib
from matplotlib import pyplot

from bigan_jax.evaluation import web
from bigan_jax.machine import disk
from bigan_jax.settings import measures, program

OUT = flags.DEFINE_string("out", None, "The HTML file to write.")
COLUMNS = 3  # of plots


class Run(NamedTuple):
  """What a run folder tells.

  rows: of metrics.jsonl, [] for a job. pictures: {name: newest file}. tables: its CSV files.
  """

  name: str
  config: dict[str, Any]
  rows: list[dict[str, Any]]
  pictures: dict[str, pathlib.Path]
  tables: list[pathlib.Path]


def read(folder: pathlib.Path, name: str) -> Run:
  """Reads a run folder; raises ValueError if it is none, or has nothing to show."""
  config = folder / "config.json"
  if not config.is_file():
    raise ValueError(f"{folder} is no run folder: it has no config.json.")
  metrics = folder / "metrics.jsonl"
  lines = metrics.read_text().splitlines() if metrics.is_file() else []
  pictures = {}
  for path in sorted(folder.glob("pictures/**/*.png")):
    place = path.relative_to(folder / "pictures")
    pictures[place.parts[0].removesuffix(".png")] = path  # The last of a name is the newest.
  run = Run(name, json.loads(config.read_text()), [json.loads(line) for line in lines], pictures,
            sorted(folder.glob("*.csv")))
  if not (run.rows or run.pictures or run.tables):
    raise ValueError(f"{folder} has nothing to show yet: let it run on.")
  return run


def short_names(folders: Sequence[pathlib.Path]) -> list[str]:
  """The ends of paths, as long as needed to tell them apart."""
  for length in range(1, max(len(folder.parts) for folder in folders) + 1):
    names = ["/".join(folder.parts[-length:]) for folder in folders]
    if len(set(names)) == len(names):
      return names
  raise ValueError(f"The same run folder is given twice: {', '.join(map(str, folders))}.")


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
  """{"a": {"b": 1}} as {"a.b": 1}."""
  fields = {}
  for name, value in tree.items():
    nested = isinstance(value, dict)
    fields |= flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
  return fields


def configs(runs: Sequence[Run]) -> str:
  """Every field of every config, those that differ first."""
  fields = [flat(run.config) for run in runs]
  names = sorted(set().union(*fields))
  values = {name: [field.get(name) for field in fields] for name in names}
  differs = lambda name: any(value != values[name][0] for value in values[name])
  head = ["field", *(run.name for run in runs)]
  parts = [[n for n in names if differs(n)], [n for n in names if not differs(n)]]
  different, same = ([head] + [[n, *values[n]] for n in part] for part in parts)
  shown = f"<h3>Where the configs differ</h3>{web.table(different)}" if parts[0] else ""
  return f"{shown}<details><summary>The other fields</summary>{web.table(same)}</details>"


def last_numbers(runs: Sequence[Run]) -> str:
  """The last evaluation of each run, a column each, and what its numbers are."""
  names = list(dict.fromkeys(name for run in runs for name in run.rows[-1]))
  rows = [
      [name, *(run.rows[-1].get(name) for run in runs), measures.describe(name)] for name in names
  ]
  return web.table([["metric", *(run.name for run in runs), "what it is"], *rows])


def curves(runs: Sequence[Run]) -> str:
  """Every metric over epochs, a line each run, as one SVG."""
  known = dict.fromkeys(name for run in runs for row in run.rows for name in row)
  names = [n for n in known if n not in ("step", "epoch", "rate", "evaluation_seconds")]
  height = -(-len(names) // COLUMNS)
  with matplotlib.rc_context({"svg.hashsalt": "", "font.size": 8}):
    figure, axes = pyplot.subplots(
        height, COLUMNS, figsize=(11, 2.1 * height), squeeze=False, layout="constrained")
    for axis in axes.flat[len(names):]:
      axis.set_axis_off()
    for axis, name in zip(axes.flat, names):
      axis.set_title(f"{name} {measures.ARROWS[measures.better(name)]}".strip())
      axis.grid(alpha=0.3)
      for run in runs:  # Those without this metric too, so that each keeps its colour.
        points = [(row["epoch"], row[name]) for row in run.rows if row.get(name) is not None]
        axis.plot([x for x, _ in points], [y for _, y in points], marker=".", label=run.name)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    drawn = web.svg(figure)
    pyplot.close(figure)
  return drawn


def pictures(run: Run) -> str:
  """A run's pictures, inside the page."""
  def figure(name: str, path: pathlib.Path) -> str:
    label = f"{name} ({path.stem})" if path.stem != name else name
    image = web.image(path.read_bytes(), label)
    return f"<figure>{image}<figcaption>{html.escape(label)}</figcaption></figure>"
  return "".join(figure(*item) for item in run.pictures.items())


def page(runs: Sequence[Run]) -> str:
  """The whole page."""
  trained = [run for run in runs if run.rows]
  parts = [f"<h1>{html.escape(', '.join(run.name for run in runs))}</h1>"]
  if trained:
    parts += ["<h2>Last evaluation</h2>", last_numbers(trained), "<h2>Curves</h2>", curves(trained)]
  for run in runs:
    parts.append(f"<h2>{html.escape(run.name)}</h2>")
    for path in run.tables:
      with open(path, newline="") as file:
        parts.append(f"<h3>{html.escape(path.stem)}</h3>{web.table(csv.reader(file))}")
    parts.append(pictures(run))
  parts += ["<h2>Configs</h2>", configs(runs)]
  return web.document("bigan_jax report", "".join(parts))


def main(argv: Sequence[str]) -> None:
  """Writes the page about the run folders that are named after the flags."""
  folders = [pathlib.Path(name).expanduser().absolute() for name in argv[1:]]
  if not folders:
    raise ValueError("No run folder is named: launch/report.sh FILE.html RUN ...")
  runs = [read(folder, name) for folder, name in zip(folders, short_names(folders))]
  disk.write_atomically(pathlib.Path(OUT.value).expanduser(), page(runs).encode())
  print(f"Wrote {OUT.value}.")


if __name__ == "__main__":
  matplotlib.use("agg")
  flags.mark_flag_as_required("out")
  program.run(main, takes_words=True)

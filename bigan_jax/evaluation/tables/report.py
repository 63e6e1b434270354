"""One self-contained HTML page about run folders: `launch/report.sh FILE.html RUN ...`.

Folders of training runs give curves, last numbers, and their pictures over time; those of jobs
(linear probe, neighbours, anomalies, ...) tables and pictures. Jobs beside a run are found.
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()

from collections.abc import Sequence
import html
import pathlib

from absl import flags
import matplotlib
from matplotlib.figure import Figure

from bigan_jax.evaluation import web
from bigan_jax.evaluation.tables import run_folders, run_pictures
from bigan_jax.evaluation.tables.run_folders import Run
from bigan_jax.machine import disk
from bigan_jax.settings import measures, program

OUT = flags.DEFINE_string("out", None, "The HTML file to write.")
LONG, MOST = 30, 200  # rows of a table, above which it is folded, and cut
STYLE = """
h1, h2, h3, figcaption { overflow-wrap: anywhere; } figure { max-width: 100%; }
.curves { display: flex; flex-wrap: wrap; gap: .2rem 1rem; } .curves svg { width: 22rem; }
.key span { margin-right: 1.2rem; white-space: nowrap; } .key b { display: inline-block;
  width: 1.4rem; border-top: 3px solid; vertical-align: middle; margin-right: .4rem; }
input[type=range] { display: block; width: 100%; margin: .4rem 0 0; }
.numbers th:last-child, .numbers td:last-child { min-width: 18rem; text-align: left; }
"""


def configs(runs: Sequence[Run]) -> str:
  """Every field of every config, those that differ first."""
  fields = [run_folders.flat(run.config) for run in runs]
  names = sorted(set().union(*fields))
  values = {name: [field.get(name) for field in fields] for name in names}
  differs = lambda name: any(value != values[name][0] for value in values[name])
  head = ["field", *(run.name for run in runs)]
  parts = [[n for n in names if differs(n)], [n for n in names if not differs(n)]]
  different, same = ([head] + [[n, *values[n]] for n in part] for part in parts)
  shown = f"<h4>Where the configs differ</h4>{web.table(different)}" if parts[0] else ""
  return shown + folded("The other fields" if shown else "All fields", web.table(same))


def folded(title: str, inside: str) -> str:
  """What is seen after a click on its title."""
  return f"<details><summary>{html.escape(title)}</summary>{inside}</details>"


def last_numbers(runs: Sequence[Run]) -> str:
  """The last evaluation of each run, a column each, and what its numbers are."""
  names = list(dict.fromkeys(name for run in runs for name in run.rows[-1]))
  rows = [
      [name, *(run.rows[-1].get(name) for run in runs), measures.describe(name)] for name in names
  ]
  numbers = web.table([["metric", *(run.name for run in runs), "what it is"], *rows])
  return f'<div class="numbers">{numbers}</div>'


def curves(runs: Sequence[Run]) -> str:
  """Every metric over epochs, a line each run: an SVG each, and a key to the lines."""
  known = dict.fromkeys(name for run in runs for row in run.rows for name in row)
  names = [n for n in known if n not in ("step", "epoch", "rate", "evaluation_seconds")]
  colours = [f"C{i % 10}" for i in range(len(runs))]
  key = "".join(f'<span><b style="color:{matplotlib.colors.to_hex(colour)}"></b>'
                f"{html.escape(run.name)}</span>" for run, colour in zip(runs, colours))
  drawn = "".join(_curve(name, runs, colours) for name in names)
  return f'<p class="key">{key}</p><div class="curves">{drawn}</div>'


def _curve(name: str, runs: Sequence[Run], colours: Sequence[str]) -> str:
  with matplotlib.rc_context({"svg.hashsalt": "", "svg.fonttype": "none", "font.size": 8}):
    figure = Figure(figsize=(3.6, 2.1), layout="constrained")
    axis = figure.subplots()
    axis.set_title(f"{name} {measures.ARROWS[measures.better(name)]}".strip())
    axis.grid(alpha=0.3)
    for run, colour in zip(runs, colours):
      points = [(row["epoch"], row[name]) for row in run.rows if row.get(name) is not None]
      axis.plot([x for x, _ in points], [y for _, y in points], marker=".", color=colour)
    return web.svg(figure)


def tables(run: Run) -> str:
  """What a job found: long tables, and those of confusion, are folded, below the others."""
  parts, below = [], []
  for title, (head, *rows) in run.tables.items():
    shown = web.table([head, *rows[:MOST]])
    if len(rows) > LONG or title.startswith("confusion"):
      part = f"the first {MOST} of {len(rows):,}" if len(rows) > MOST else f"{len(rows)}"
      below.append(folded(f"{title} ({part} rows)", shown))
    else:
      parts.append(f"<h3>{html.escape(title)}</h3>{shown}")
  return "".join(parts + below)


def page(runs: Sequence[Run]) -> str:
  """The whole page."""
  trained = [run for run in runs if run.rows]
  parts = [f"<h1>{html.escape(', '.join(run.name for run in trained or runs))}</h1>"]
  if trained:
    parts += ["<h2>Last evaluation</h2>", last_numbers(trained)]
    parts += ["<h2>Curves over epochs</h2>", curves(trained)]
  for run in runs:
    what = "" if run.job == run_folders.TRAIN else f": {run.job}"
    parts.append(f"<h2>{html.escape(run.name + what)}</h2>{tables(run)}")
    parts.append(run_pictures.figures(run, len(trained) or 1))
  parts.append("<h2>Configs</h2>")
  for job in dict.fromkeys(run.job for run in runs if run.config):
    alike = [run for run in runs if run.job == job]
    parts.append(f"<h3>{html.escape(job)}</h3>{configs(alike)}")
  return web.document("bigan_jax report", "".join(parts) + run_pictures.SCRIPT, STYLE)


def main(argv: Sequence[str]) -> None:
  """Writes the page about the run folders that are named after the flags."""
  folders = [pathlib.Path(name).expanduser().absolute() for name in argv[1:]]
  if not folders:
    raise ValueError("No run folder is named: launch/report.sh FILE.html RUN ...")
  out = web.named(OUT.value, "FILE")
  runs = run_folders.read_all(folders)
  disk.write_atomically(out, page(runs).encode())
  jobs = len(runs) - len(folders)
  beside = f", with {jobs} job{'s' * (jobs > 1)} found beside" if jobs else ""
  print(f"Wrote {OUT.value}{beside}.")


if __name__ == "__main__":
  flags.mark_flag_as_required("out")
  program.run(main, takes_words=True)

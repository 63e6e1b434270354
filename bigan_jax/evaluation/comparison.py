"""What a probe found, as people read it: accuracies, trained beside untrained, and a plot."""

import pathlib
import statistics
from typing import Any

Row = dict[str, Any]
PLACES = ("network", "layer", "dim")
SETTINGS = ("l2", "rate", "dropout", "epochs")  # as chosen on held-out training images
CHANCE = "chance"  # the accuracy of always guessing the commonest class
TRAINED = "trained"


def read_outs(row: Row) -> list[str]:
  """The columns that hold accuracies of a layer."""
  return [name for name in row if name not in (*PLACES, *SETTINGS, CHANCE)]


def best(rows: list[Row], network: str, column: str) -> Row:
  """The row of a network's layer with the highest accuracy."""
  return max((row for row in rows if row["network"] == network), key=lambda row: row[column])


def shown(row: Row) -> dict[str, str]:
  """A row as texts: accuracies in percent with two decimals."""
  accuracies = read_outs(row)
  return {
      f"{name} %" if name in accuracies else name:
          f"{value:.2f}" if name in accuracies else
          f"{value:g}" if isinstance(value, float) else str(value)
      for name, value in row.items()
  }


def compared(rows: list[Row]) -> list[Row]:
  """A row for each layer: every read-out of the trained network, of untrained ones, and chance.

  With several untrained networks, theirs is the mean, and half the range of them the spread; []
  where there is none.
  """
  table = []
  for row in rows:
    twins = [r for r in rows if r["layer"] == row["layer"] and r["network"] != TRAINED]
    if row["network"] != TRAINED or not twins:
      continue
    line = {"layer": row["layer"], "dim": row["dim"]}
    for name in read_outs(row):
      values = [twin[name] for twin in twins]
      line |= {name: row[name], f"{name} untrained": round(statistics.mean(values), 3)}
      if len(values) > 1:
        line[f"{name} spread"] = round((max(values) - min(values)) / 2, 3)
    table.append(line | {CHANCE: row[CHANCE]})
  return table


def with_spreads(table: list[Row]) -> list[dict[str, str]]:
  """`compared` as texts, spreads after their means."""
  def cell(line: Row, name: str) -> str:
    spread = line.get(name.replace("untrained", "spread"), "") if "untrained" in name else ""
    text = f"{line[name]:.2f}" if isinstance(line[name], float) else str(line[name])
    return text + (f" ± {spread:.2f}" if spread != "" else "")
  names = [name for name in table[0] if not name.endswith(" spread")]
  plain = ("layer", "dim")
  return [{n if n in plain else f"{n} %": cell(line, n) for n in names} for line in table]


def draw(path: pathlib.Path, rows: list[Row]) -> None:
  """Accuracy by layer as a PNG: the classifier and the vote, trained against untrained."""
  from matplotlib.figure import Figure  # Takes longer than all of the program's other imports.

  layers = list(dict.fromkeys(row["layer"] for row in rows))
  names = read_outs(rows[0])
  columns = [names[0], *(name for name in names[1:] if name.endswith(" vote"))]
  figure = Figure(figsize=(5.5 * len(columns), 4), layout="constrained")
  for axis, name in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns):
    for kind in (TRAINED, "untrained"):
      own = [r for r in rows if (r["network"] == TRAINED) == (kind == TRAINED)]
      _line(axis, kind, [[r[name] for r in own if r["layer"] == layer] for layer in layers])
    axis.axhline(rows[0][CHANCE], color="grey", linestyle=":", label=CHANCE)
    axis.set_xticks(range(len(layers)), layers, rotation=30, ha="right")
    axis.set(title=name, ylabel="accuracy, %")
    axis.grid(alpha=0.3)
    axis.legend()
  figure.savefig(path, dpi=100)


def _line(axis: Any, kind: str, values: list[list[float]]) -> None:
  """Means of each layer's values, with bars from the least to the highest."""
  known = [(x, v) for x, v in enumerate(values) if v]
  if not known:
    return
  means = [statistics.mean(v) for _, v in known]
  bars = [[m - min(v) for m, (_, v) in zip(means, known)],
          [max(v) - m for m, (_, v) in zip(means, known)]]
  style = {"marker": "o", "capsize": 3, "linestyle": "-" if kind == TRAINED else "--"}
  axis.errorbar([x for x, _ in known], means, bars, label=kind, **style)

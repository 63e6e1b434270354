"""How well scores find what does not belong, beside published numbers: launch/anomaly.sh."""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
import csv
import json
import pathlib
import re
import statistics
from typing import NamedTuple

import numpy as np

from bigan_jax.evaluation.anomaly import ranking, scores
from bigan_jax.evaluation.tables import printed, published_anomalies
from bigan_jax.evaluation.tables.published_anomalies import Published
from bigan_jax.runs import records

CLASSES = range(10)
NATURAL, RELEASED, ONE_NORMAL = (
    "AUPR, share as in the set", "AUPR, share of EGBAD's code", "AUROC, one class normal"
)
HEADER = ("measure", "method", "score", *map(str, CLASSES), "mean", "seeds", "epochs", "source")
OURS = "here"
NAME = re.compile(r"(\d)-(\d+)")  # LABEL-SEED
NOTES = {
    "mnist": (
        "In percent. The digit is left out of training and is the anomaly; ours are judged by the"
        " 10,000 pictures of the test set, published ones by another fifth of all pictures. EGBAD's"
        " released code judges by every picture of the digit, which makes AUPR higher: there, ours"
        " are weighted to that share. The base rate is the AUPR of chance. EGBAD here means its"
        " score, with our networks."
    ),
    "cifar10": (
        "In percent. The class is all that is trained on; all others are anomalies. Ours train on"
        " 5,000 pictures and are judged by the test set, ALAD's on 3,600 of the pooled set."
    ),
}
SPREAD = (" No network: as if E gave x itself, and G grey. Our ± is half the range of the seeds;"
          " the mean is of the classes that are there.")


class Judged(NamedTuple):
  """What is known of one run's scores.

  label: the class that was left out, or that was trained on alone. values: {score: [N]}.
  truth: [N], 1 of anomalies. default: the score that counted. epochs: of training, as printed.
  """

  method: str
  label: int
  values: dict[str, np.ndarray]
  truth: np.ndarray
  default: str
  epochs: str


def read(folder: pathlib.Path) -> list[Judged]:
  """All that launch/anomaly.sh judged; ValueError for a folder that it did not name."""
  found = []
  for path in sorted(folder.glob("scores/*/*/scores.csv")):
    method, name = path.parts[-3:-1]
    match = NAME.fullmatch(name)
    if not match:
      raise ValueError(f"{path.parent} is no LABEL-SEED of launch/anomaly.sh: move it elsewhere.")
    with open(path, newline="", encoding="utf-8") as file:
      rows = list(csv.DictReader(file))
    columns = [column for column in rows[0] if column.startswith("score_")]
    values = {column.removeprefix("score_"): np.array([float(row[column]) for row in rows])
              for column in columns}
    truth = np.array([int(row["gt_label"]) for row in rows])
    default = json.loads((path.parent / "threshold.json").read_text())["score"]
    found.append(Judged(method, int(match[1]), values, truth, default,
                        _epochs(folder / method / name)))
  return found


def table(judged: Sequence[Judged], dataset: str) -> list[tuple[str, ...]]:
  """Header and rows: of each measure the published ones, the base rate, and ours.

  Args:
    dataset: "mnist" or "cifar10".
  """
  measure = lambda name: lambda run, values: float(
      ranking.measures(ranking.curve(values, run.truth))[name])
  if dataset == "cifar10":
    return [HEADER, *map(lambda row: _published(ONE_NORMAL, row), published_anomalies.CIFAR10),
            _chance(ONE_NORMAL, lambda label: 0.5), *_ours(judged, ONE_NORMAL, measure("AUROC"))]
  shares = {run.label: run.truth.mean() for run in judged}
  share = published_anomalies.released_share
  weighted = lambda run, values: ranking.at_base_rate(values, run.truth, share(run.label))
  return [
      HEADER, *map(lambda row: _published(NATURAL, row), published_anomalies.MNIST),
      _chance(NATURAL, shares.get), *_ours(judged, NATURAL, measure("AUPR")),
      _chance(RELEASED, lambda label: share(label) if label in shares else None),
      *_ours(judged, RELEASED, weighted),
  ]


def _ours(
    judged: Sequence[Judged], title: str, measure: Callable[[Judged, np.ndarray], float]
) -> list[tuple[str, ...]]:
  """A row for each method and score; it says of how many runs a score was the default."""
  found: dict = defaultdict(lambda: defaultdict(list))
  for run in judged:
    for name, values in run.values.items():
      found[run.method, name][run.label].append(100 * measure(run, values))
  rows = []
  for method in dict.fromkeys(run.method for run in judged):
    own = [run for run in judged if run.method == method]
    defaults, epochs = Counter(run.default for run in own), dict.fromkeys(run.epochs for run in own)
    for name in scores.TITLES:
      if cells := found.get((method, name)):
        count = defaults[name]
        of = "" if count == len(own) else f" of {count} of {len(own)} runs"
        shown = f"{name} (default{of})" if count else name
        means = [statistics.mean(values) for values in cells.values()]
        seeds = sorted({len(values) for values in cells.values()})
        rows.append((title, method, shown,
                     *(printed.mean_and_spread(cells.get(i, ())) for i in CLASSES),
                     f"{statistics.mean(means):.2f}", "/".join(map(str, seeds)),
                     "/".join(filter(None, epochs)), OURS))
  return rows


def _chance(title: str, share: Callable[[int], float | None]) -> tuple[str, ...]:
  """The row of a score that knows nothing."""
  known = [share(label) for label in CLASSES]
  cells = ["" if value is None else f"{100 * value:.2f}" for value in known]
  mean = statistics.mean(value for value in known if value is not None)
  return (title, "chance", "base rate" if title != ONE_NORMAL else "", *cells, f"{100 * mean:.2f}",
          "", "", OURS)


def _published(title: str, row: Published) -> tuple[str, ...]:
  cells = (row.cells.get(label, "") for label in CLASSES)
  return (title, row.name, "", *cells, row.mean, "", "", row.source)


def _epochs(run: pathlib.Path) -> str:
  """Of a run folder's last evaluation; "" where nothing was trained, or it is no longer there."""
  rows = records.read_rows(run / "metrics.jsonl")
  return f"{rows[-1]['epoch']:g}" if rows else ""


def main(folder: pathlib.Path) -> None:
  """Prints the table of OUT/DATASET; writes anomaly.md and anomaly.csv there."""
  judged, dataset = read(folder), folder.absolute().name
  if not judged:
    raise FileNotFoundError(f"Nothing is judged in {folder}: begin with launch/anomaly.sh.")
  if dataset not in NOTES:
    raise ValueError(f"{folder} is of {dataset}, but the tables are of {' and '.join(NOTES)}.")
  printed.publish(folder, "anomaly", table(judged, dataset), NOTES[dataset] + SPREAD)


if __name__ == "__main__":
  printed.command("anomaly", main)

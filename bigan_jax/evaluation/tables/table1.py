"""Table 1 from run folders, beside the paper's numbers: launch/table1.sh prints it."""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()

from collections import defaultdict
import json
import pathlib
import statistics
from typing import Any, NamedTuple

from bigan_jax.evaluation.tables import printed, run_folders
from bigan_jax.runs import records
from bigan_jax.training.objectives import OBJECTIVES

PAPER = {  # 1-NN accuracy in percent on MNIST's test set (paper, Table 1)
    "bigan": ("BiGAN", 97.39),
    "gan": ("D", 97.30),
    "latent_regressor": ("LR", 97.44),
    "joint_latent_regressor": ("JLR", 97.13),
    "autoencoder_l2": ("AE (l2)", 97.58),
    "autoencoder_l1": ("AE (l1)", 97.63),
}
SAME = ("recipe", "data.name", "data.splits", "data.only_labels", "data.without_labels",
        "eval.images", "eval.references")
OURS = {  # what the paper's numbers are of
    "data.name": "mnist", "data.splits": "test", "data.only_labels": "", "data.without_labels": "",
}
HEADER = ("method", "1-NN %", "spread", "seeds", "epochs", "paper", "difference")


class Result(NamedTuple):
  """The last evaluation of a run: 1-NN accuracy in percent of the judged features.

  same: the fields SAME of its config.
  """

  objective: str
  epoch: int
  accuracy: float
  same: dict[str, Any] = {}


def read(run: pathlib.Path) -> Result:
  """Reads a run folder; raises ValueError if it has no such evaluation."""
  config = run_folders.flat(json.loads((run / "config.json").read_text()))
  objective = config.get("objective")
  if objective not in OBJECTIVES:
    raise ValueError(f"{run} is no run of a feature learner: move it elsewhere.")
  rows, metric = records.read_rows(run / "metrics.jsonl"), OBJECTIVES[objective].metric
  if not rows:
    raise ValueError(f"Run {run} has no evaluation yet: let it run on.")
  if metric not in rows[-1]:
    raise ValueError(f"Run {run} has no {metric}, for want of classes: move it elsewhere.")
  same = {name: config.get(name, "") for name in SAME}  # Older runs have no field of classes.
  return Result(objective, rows[-1]["epoch"], rows[-1][metric], same)


def check_alike(results: list[Result]) -> None:
  """Raises ValueError if the runs were not judged alike."""
  for name in SAME:
    values = sorted({json.dumps(result.same.get(name)) for result in results})
    if len(values) > 1:
      raise ValueError(f"The runs differ in {name}, {' and '.join(values)}: part their folders.")


def rows(results: list[Result]) -> list[tuple[Any, ...]]:
  """A row of HEADER a method: mean over seeds, and half the range of the seeds as spread.

  The paper's numbers stand beside MNIST's test set alone.
  """
  found, comparable = defaultdict(list), True
  for result in results:
    found[result.objective].append(result)
    comparable &= OURS.items() <= result.same.items()
  table = []
  for objective, (name, paper) in PAPER.items():
    runs, theirs = found[objective], f"{paper:.2f}" if comparable else ""
    if not runs:
      table.append((name, "", "", 0, "", theirs, ""))
      continue
    accuracies = [run.accuracy for run in runs]
    mean, epochs = statistics.mean(accuracies), sorted({run.epoch for run in runs})
    spread = f"{(max(accuracies) - min(accuracies)) / 2:.2f}" if len(runs) > 1 else ""
    table.append((
        name, f"{mean:.2f}", spread, len(runs), "/".join(map(str, epochs)), theirs,
        f"{mean - paper:+.2f}" if comparable else "",
    ))
  return table


def main(folder: pathlib.Path) -> None:
  """Prints the table of the run folders in `folder`; writes table1.md and table1.csv there."""
  runs = sorted(path.parent for path in folder.glob("*/metrics.jsonl"))
  if not runs:
    raise FileNotFoundError(f"No run folders in {folder}: train some by launch/table1.sh.")
  results = [read(run) for run in runs]
  printed.refuse_strange(folder, (result.objective for result in results), PAPER)
  check_alike(results)
  printed.publish(folder, "table1", [HEADER, *rows(results)])


if __name__ == "__main__":
  printed.command("table1", main)

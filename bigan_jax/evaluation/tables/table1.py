"""Table 1 from run folders, beside the paper's numbers: launch/table1.sh prints it."""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()

from collections import defaultdict
import json
import pathlib
import statistics
from typing import Any, NamedTuple

from bigan_jax.evaluation.tables import printed
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
HEADER = ("method", "1-NN %", "spread", "seeds", "epochs", "paper", "difference")


class Result(NamedTuple):
  """The last evaluation of a run: 1-NN accuracy in percent of the judged features."""

  objective: str
  epoch: int
  accuracy: float


def read(run: pathlib.Path) -> Result:
  """Reads a run folder; raises ValueError if it has no evaluation yet."""
  config: dict[str, Any] = json.loads((run / "config.json").read_text())
  rows = records.read_rows(run / "metrics.jsonl")
  if not rows:
    raise ValueError(f"Run {run} has no evaluation yet: let it run on.")
  row, objective = rows[-1], config["objective"]
  return Result(objective, row["epoch"], row[OBJECTIVES[objective].metric])


def rows(results: list[Result]) -> list[tuple[Any, ...]]:
  """A row of HEADER a method: mean over seeds, and half the range of the seeds as spread."""
  found = defaultdict(list)
  for result in results:
    found[result.objective].append(result)
  table = []
  for objective, (name, paper) in PAPER.items():
    runs = found[objective]
    if not runs:
      table.append((name, "", "", 0, "", f"{paper:.2f}", ""))
      continue
    accuracies = [run.accuracy for run in runs]
    mean, epochs = statistics.mean(accuracies), sorted({run.epoch for run in runs})
    spread = f"{(max(accuracies) - min(accuracies)) / 2:.2f}" if len(runs) > 1 else ""
    table.append((
        name, f"{mean:.2f}", spread, len(runs), "/".join(map(str, epochs)), f"{paper:.2f}",
        f"{mean - paper:+.2f}",
    ))
  return table


def main(folder: pathlib.Path) -> None:
  """Prints the table of the run folders in `folder`; writes table1.md and table1.csv there."""
  runs = sorted(path.parent for path in folder.glob("*/metrics.jsonl"))
  if not runs:
    raise FileNotFoundError(f"No run folders in {folder}: train some by launch/table1.sh.")
  printed.publish(folder, "table1", [HEADER, *rows([read(run) for run in runs])])


if __name__ == "__main__":
  printed.command("table1", main)

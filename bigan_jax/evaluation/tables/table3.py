"""Table 3 from run folders, beside the paper's numbers: launch/table3.sh prints it."""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()

from collections import defaultdict
from collections.abc import Sequence
import json
import pathlib
from typing import Any

from bigan_jax.evaluation.tables import printed, table2

TRAINED = {"fc8": "fc8", "fc6_8": "fc6-8", "all": "all"}  # in results: in the table
SCORES = {"voc_classification": "mAP", "voc_detection": "mAP", "voc_segmentation": "mIU"}
COLUMNS = (*TRAINED.values(), "detection", "segmentation")
# Percent: mean average precision on VOC2007's test set of classification, by what is trained, and
# of Fast R-CNN; mean IU of FCN on VOC2012's validation set (paper, Table 3, first version; the last
# row as reference section 11 remembers it).
PAPER = {
    "labels": ("Trained with labels", (77.0, 78.8, 78.3, 56.8, 48.0)),
    "random": ("Random", ()),
    "kmeans": ("Random (k-means)", (32.0, 39.2, 56.6, 45.6, 32.6)),
    "Agrawal et al.": ("Agrawal et al.", (31.2, 31.0, 54.2, 43.9, None)),
    "Wang & Gupta": ("Wang & Gupta", (27.4, 51.4, 58.4, 44.0, None)),
    "Doersch et al.": ("Doersch et al.", (44.7, 55.1, 65.3, 51.1, None)),
    "gan": ("Discriminator (D)", (30.7, 40.5, 56.4, None, None)),
    "latent_regressor": ("Latent regressor (LR)", (36.9, 47.9, 57.1, None, None)),
    "joint_latent_regressor": ("Joint LR", (37.1, 47.9, 56.5, None, None)),
    "autoencoder_l2": ("Autoencoder (l2)", (24.8, 16.0, 53.8, 41.9, None)),
    "autoencoder_l1": ("Autoencoder (l1)", ()),
    "alad": ("ALAD", ()),
    "bigan": ("BiGAN", (37.5, 48.7, 58.9, 45.7, 34.9)),
    "bigan, generalised": (
        "BiGAN, generalised (paper: 112 x 112 E)", (41.7, 52.5, 60.3, 46.9, 35.2)
    ),
}
# What runs of one cell have in common, if their jobs tell; what is left is luck.
SAME = (
    "data", "year", "train_split", "test_split", "train_images", "side", "canvas", "proposals",
    "crops", "epoch", "init",
)
NOTE = (
    "Classification is judged by scikit-learn's average precision as it is today, the area under "
    "steps; until 0.19 (2017), and so most likely in the paper, it was interpolated linearly, "
    "which gives about 0.1 to 0.2 points less on VOC2007's test set."
)
Results = dict[str, Any]


def column(results: Results) -> str:
  """Where a run's score stands: what classification trains, or the task with its variant."""
  if results["job"] == "voc_classification":
    return TRAINED[results["trained"]]
  task = results["job"].removeprefix("voc_")
  return " ".join([task, results["variant"]] if results.get("variant") else [task])


def columns(found: Sequence[Results]) -> list[str]:
  """The paper's columns; those of tasks that come in variants, once for each that was run."""
  ours = {column(results) for results in found}
  return [
      name for task in COLUMNS
      for name in sorted(c for c in ours if c.partition(" ")[0] == task) or [task]
  ]


def score(runs: Sequence[Results]) -> str:
  """Mean over seeds, and half their range if they are several."""
  return printed.mean_and_spread([run[SCORES[run["job"]]] for run in runs])


def table(found: Sequence[Results]) -> list[tuple[str, ...]]:
  """Header and rows: ours by task, what was trained on, and the paper's.

  Raises:
    ValueError: runs of one cell differ in more than seeds and encoders.
  """
  cells, names = defaultdict(list), columns(found)
  for results in found:
    cells[table2.learner(results), column(results)].append(results)
  for (learner, place), runs in cells.items():
    check_repeats(f"{learner}, {place},", runs)
  head = ("layers of", *names, "seeds", "training pictures")
  rows = [(*head, *(f"paper {name}" for name in COLUMNS))]
  for key, (name, numbers) in PAPER.items():
    ours = [cells[key, place] for place in names]
    if any(ours) or numbers:
      theirs = ("" if n is None else f"{n:.1f}" for n in numbers or [None] * len(COLUMNS))
      rows.append((name, *map(score, ours), *told(ours), *theirs))
  return rows


def check_repeats(name: str, runs: Sequence[Results]) -> None:
  """Raises ValueError if runs that a mean would be taken of are no repeats of each other."""
  for field in SAME:
    values = sorted({json.dumps(run.get(field)) for run in runs})
    if len(values) > 1:
      raise ValueError(
          f"The runs of {name} are no repeats of each other, as {field} is {' and '.join(values)}: "
          "part their folders."
      )


def told(cells: Sequence[Sequence[Results]]) -> tuple[str, str]:
  """How many seeds the cells of a row have, and how many pictures were trained on."""
  each = lambda values: "/".join(map(str, sorted(set(values))))
  pictures = (run["train_images"] for cell in cells for run in cell)
  return each(len(cell) for cell in cells if cell), each(pictures)


def main(folder: pathlib.Path) -> None:
  """Prints the table of the run folders in `folder`; writes table3.md and table3.csv there."""
  found = [results for results in printed.finished(folder) if results.get("job") in SCORES]
  if not found:
    raise FileNotFoundError(
        f"No finished run folders in {folder}: train some by launch/table3.sh."
    )
  printed.refuse_strange(folder, map(table2.learner, found), PAPER)
  printed.publish(folder, "table3", table(found), NOTE)


if __name__ == "__main__":
  printed.command("table3", main)

"""Table 2 from run folders, beside the paper's numbers: launch/table2.sh prints it."""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()

from collections import defaultdict
from collections.abc import Sequence
import pathlib
from typing import Any

from bigan_jax.evaluation.tables import printed

COLUMNS = ("conv1", "conv2", "conv3", "conv4", "conv5")
# Accuracy in percent on ImageNet's validation set by ten crops, conv1 to convN frozen (paper v7,
# Table 2, as reference section 11 remembers it; the first version has conv2 to conv5 by one crop).
PAPER = {
    "random": ("Random", (48.5, 41.0, 34.8, 27.1, 12.0)),
    "kmeans": ("Random (k-means)", ()),
    "Wang & Gupta": ("Wang & Gupta", (51.8, 46.9, 42.8, 38.8, 29.8)),
    "Doersch et al.": ("Doersch et al.", (53.1, 47.6, 48.7, 45.6, 30.4)),
    "Noroozi & Favaro": ("Noroozi & Favaro", (57.1, 56.0, 52.4, 48.3, 38.1)),
    "gan": ("Discriminator (D)", ()),
    "latent_regressor": ("Latent regressor (LR)", ()),
    "joint_latent_regressor": ("Joint LR", ()),
    "autoencoder_l2": ("Autoencoder (l2)", ()),
    "autoencoder_l1": ("Autoencoder (l1)", ()),
    "alad": ("ALAD", ()),
    "bigan": ("BiGAN", (56.2, 54.4, 49.4, 43.9, 33.3)),
    "bigan, generalised": (
        "BiGAN, generalised (paper: 112 x 112 E)", (55.3, 53.2, 49.3, 44.4, 34.8)
    ),
    "labels": ("Trained with labels", ()),
}
Results = dict[str, Any]


def learner(results: Results) -> str:
  """The key in PAPER of a run's results; there are two of BiGAN alone."""
  if results["source"] == "supervised":
    return "labels"
  if results["source"] != "pretrained":
    return results["source"]
  generalised = results["generalised"] and results["learner"] == "bigan"
  return results["learner"] + (", generalised" if generalised else "")


def table(found: Sequence[Results]) -> list[tuple[str, ...]]:
  """Header and rows: ours by frozen layers, with half the range of seeds, and the paper's.

  Raises:
    ValueError: the runs are of networks with different layers.
  """
  depths = {tuple(results["layers"]) for results in found}
  if len(depths) > 1:
    kinds = " and ".join(", ".join(layers) for layers in sorted(depths))
    raise ValueError(f"The runs freeze layers of different networks, {kinds}: part their folders.")
  layers = depths.pop()
  paper = layers == COLUMNS
  cells = defaultdict(list)
  for results in found:
    cells[learner(results), results["frozen"]].append(results)
  head = ("frozen up to", "nothing", *layers, "seeds", "epochs", "images")
  rows = [head + (tuple(f"paper {layer}" for layer in layers) if paper else ())]
  for key, (name, numbers) in PAPER.items():
    ours = [cells[key, n] for n in range(len(layers) + 1)]
    if any(ours) or (paper and numbers):
      theirs = tuple(f"{number:.1f}" for number in numbers) or ("",) * len(layers)
      rows.append((name, *map(accuracy, ours), *told(ours)) + (theirs if paper else ()))
  return rows


def accuracy(runs: Sequence[Results]) -> str:
  """Their mean, and half their range if they are several."""
  return printed.mean_and_spread([run["all_crops"] for run in runs])


def told(cells: Sequence[Sequence[Results]]) -> tuple[str, str, str]:
  """What runs of a row have in common or not: how many seeds, epochs, and data sets."""
  runs = [run for cell in cells for run in cell]
  each = lambda values: "/".join(map(str, sorted(set(values))))
  counts = each(len(cell) for cell in cells if cell)
  return counts, each(run["epoch"] for run in runs), each(run["data"] for run in runs)


def main(folder: pathlib.Path) -> None:
  """Prints the table of the run folders in `folder`; writes table2.md and table2.csv there."""
  found = [results for results in printed.finished(folder) if "all_crops" in results]
  if not found:
    raise FileNotFoundError(
        f"No finished run folders in {folder}: train some by launch/table2.sh."
    )
  printed.refuse_strange(folder, map(learner, found), PAPER)
  printed.publish(folder, "table2", table(found))


if __name__ == "__main__":
  printed.command("table2", main)

"""Features of photos beside published numbers: launch/photos.sh prints it."""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()

from collections import defaultdict
from collections.abc import Sequence
import json
import pathlib
import re
from typing import Any

from bigan_jax.evaluation.tables import printed, published
from bigan_jax.evaluation.tables.published import Published

METHODS = {
    "untrained": "untrained network",
    "bigan": "BiGAN",
    "gan": "Discriminator (D)",
    "latent_regressor": "Latent regressor (LR)",
    "joint_latent_regressor": "Joint LR",
    "autoencoder_l2": "Autoencoder (l2)",
    "autoencoder_l1": "Autoencoder (l1)",
}
HEADER = ("read-out", "features", "conv", "fc", "code", "best other layer", "classes", "seeds",
          "epochs", "source")
OURS = "here"
KINDS = ("linear", "mlp")  # folders of judged runs, by classifier
SAME = ("data", "splits", "train_images", "judged_images", "classes")  # of all judged runs
REDUCED = re.compile(r"(?P<layer>.*) pca(?P<count>\d+)")

Results = dict[str, Any]
# {(read-out, method): {layer: accuracies in percent, one for each seed}}
Found = dict[tuple[str, str], dict[str, list[float]]]


def read(folder: pathlib.Path) -> list[tuple[str, Results]]:
  """(METHOD, results) of all that was judged, by either classifier."""
  paths = [path for kind in KINDS for path in sorted(folder.glob(f"{kind}/*/results.json"))]
  return [(path.parent.name.rpartition("-")[0], json.loads(path.read_text())) for path in paths]


def collect(judged: Sequence[tuple[str, Results]]) -> Found:
  """Accuracies by read-out and method, of layers by their own names."""
  found: Found = defaultdict(lambda: defaultdict(list))
  for method, results in judged:
    last = results["last_hidden"]
    names = {"e-": last}
    if any(row["layer"] == "e-" for row in results["rows"]):
      names[last] = f"{last} pooled"  # Where e- is not all that there is of it.
    for row in results["rows"]:
      name = method if row["network"] == "trained" else "untrained"
      reduced = REDUCED.fullmatch(row["layer"])
      layer = reduced["layer"] if reduced else row["layer"]
      layer = names.get(layer, layer)
      for column, accuracy in row.items():
        if column in ("linear", "mlp") or column.endswith("-NN vote"):
          read_out = published.MLP if column == "mlp" else column
          if reduced:
            read_out += f" of PCA to {reduced['count']}"
          found[read_out, name][layer].append(accuracy)
  return found


def place(layer: str, layers: Sequence[str]) -> str:
  """The column of a layer: the last convolution, the last hidden layer, the code, or another."""
  if layer == "e":
    return "code"
  for kind in ("conv", "fc"):
    same = [name for name in layers if re.fullmatch(rf"{kind}\d*", name)]
    if same and layer == max(same, key=lambda name: (len(name), name)):
      return kind
  return "other"


def row(read_out: str, method: str, layers: dict[str, list[float]]) -> tuple[str, ...]:
  """One of ours: (read-out, features, conv, fc, code, best other layer)."""
  cells, others = dict.fromkeys(("conv", "fc", "code"), ""), {}
  for layer, accuracies in layers.items():
    where = place(layer, tuple(layers))
    if where == "other":
      others[layer] = accuracies
    else:
      cells[where] = printed.mean_and_spread(accuracies)
  best = max(others, key=lambda name: sum(others[name]) / len(others[name]), default="")
  other = f"{best} {printed.mean_and_spread(others[best])}" if best else ""
  return (read_out, METHODS[method], *cells.values(), other)


def table(judged: Sequence[tuple[str, Results]], dataset: str) -> list[tuple[str, ...]]:
  """Header and rows: by read-out, the published ones first, and chance at the end.

  Raises:
    ValueError: the runs were judged on different pictures.
  """
  check_alike(judged)
  found, (theirs, classes) = collect(judged), published.SETS.get(dataset, ((), 0))
  results, epochs = judged[0][1], defaultdict(set)
  for method, other in judged:
    epochs[method].add(other["epoch"])
  rows = [HEADER]
  for read_out in dict.fromkeys([published.MLP, published.LINEAR, *(r for r, _ in sorted(found)),
                                 published.NEIGHBOURS, published.OTHERS]):
    rows += [published_row(line, classes) for line in theirs if line.read_out == read_out]
    for method in METHODS:
      layers = found.get((read_out, method))
      if layers:
        seeds = "/".join(map(str, sorted({len(a) for a in layers.values()})))
        trained = "/".join(map(str, sorted(epochs[method]))) if method in epochs else "0"
        rows.append((*row(read_out, method, layers), str(results["classes"]), seeds, trained, OURS))
  chance = f"{results['rows'][0]['chance']:.2f}"
  return [*rows, ("chance", "", *3 * [chance], "", str(results["classes"]), "", "", OURS)]


def published_row(line: Published, classes: int) -> tuple[str, ...]:
  """A published row in the table's columns."""
  text = lambda value: "" if value is None else value if isinstance(value, str) else f"{value:.2f}"
  cells = (text(value) for value in (*line.cells, line.other))
  return (line.read_out, line.name, *cells, str(classes), "", "", line.source)


def check_alike(judged: Sequence[tuple[str, Results]]) -> None:
  """Raises ValueError if runs were judged on different pictures."""
  for field in SAME:
    values = sorted({json.dumps(results[field]) for _, results in judged})
    if len(values) > 1:
      raise ValueError(
          f"The runs were not judged alike, as {field} is {' and '.join(values)}: part their"
          " folders."
      )


def main(folder: pathlib.Path) -> None:
  """Prints the table of OUT/DATASET/RECIPE; writes photos.md and photos.csv there."""
  judged = read(folder)
  if not judged:
    raise FileNotFoundError(f"Nothing is judged in {folder}: begin with launch/photos.sh.")
  printed.refuse_strange(folder, (method for method, _ in judged), METHODS)
  printed.publish(
      folder, "photos", table(judged, folder.absolute().parent.name), published.NOTE
  )


if __name__ == "__main__":
  printed.command("photos", main)

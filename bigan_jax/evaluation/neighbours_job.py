"""The job of configs/neighbours.py: the nearest training images of some queries (Figure 5)."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from bigan_jax.data import survey
from bigan_jax.data.splits import Split
from bigan_jax.evaluation import encoders, frozen, layer_features, pictures, retrieval
from bigan_jax.evaluation.encoders import Encoder
from bigan_jax.evaluation.retrieval import Neighbours
from bigan_jax.models.layers import leaky_relu
from bigan_jax.runs import data_record, results
from bigan_jax.training import console

FILES = ("results.json", "neighbours.csv", "pictures")
FC6, UNITS = "fc6", 4_096


def run(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Finds the neighbours in every layer, and writes pictures and a table of them."""
  results.check(workdir, config.to_dict(), FILES)
  trained = encoders.read(config.encoder, config.encoder_step)
  train, judged, data = encoders.pictures(config, trained)
  encoder = encoders.trained_encoder(trained)
  asked = layers(config, encoder, train)
  numbers = np.random.RandomState(config.seed).permutation(judged.size)[:config.queries]
  queries, rows, summary = judged.take(numbers), [], {}
  with results.replacing(workdir, config.to_dict(), FILES) as folder:
    data_record.write(folder, survey.fingerprint(train.about))
    (folder / "pictures").mkdir()
    for layer in console.over(asked, len(asked), "neighbours, layers"):
      found, width = neighbours(config, encoder, layer, train, queries)
      drawn = pictures.titled(
          picture(queries.images, train.images[found.index]),
          f"a query, and the training pictures nearest to it by {layer}",
      )
      pictures.save(drawn, folder / "pictures" / f"neighbours_{layer}.png")
      rows += table(layer, numbers, queries, train, found)
      summary[layer] = {"dim": width, "same_class": same_class(queries, train, found)}
    results.write_csv(folder / "neighbours.csv", rows)
    results.write_json(folder, {
        "encoder": config.encoder, "step": trained.step, "objective": trained.config.objective,
        "data": data.name, "splits": data.splits, "train_images": train.size,
        "queries": numbers.tolist(), "neighbours": config.neighbours, "layers": summary,
    })
  for layer, found in summary.items():
    agree = found["same_class"]
    share = "" if agree is None else f": {agree:.1f} % of the neighbours are of the query's class"
    print(f"pictures/neighbours_{layer}.png{share}.")


def layers(
    config: ml_collections.ConfigDict, encoder: Encoder, train: Split
) -> tuple[str, ...]:
  """The layers to look in: by default fc6, where there is a conv5 to project, and e-."""
  known = layer_features.shapes(encoder, train.images, size=0)
  default = (layer_features.LAST,)
  if "conv5" in known:
    known, default = known | {FC6: (UNITS,)}, (FC6, *default)
  return layer_features.choose(config.layers, known, default)


def neighbours(
    config: ml_collections.ConfigDict, encoder: Encoder, layer: str, train: Split, queries: Split
) -> tuple[Neighbours, int]:
  """The training images nearest to the queries by cosine distance, and the number of features."""
  def described(images: np.ndarray) -> np.ndarray:
    if layer != FC6:
      return layer_features.extract(encoder, images, layer, size=0)
    return project(layer_features.extract(encoder, images, "conv5", size=0), config.seed)
  x = described(train.images)
  found = retrieval.search(described(queries.images), x, config.neighbours).nearest
  return found["cosine"], x.shape[1]


def project(conv5: np.ndarray, seed: int) -> np.ndarray:
  """fc6 with random weights on conv5 [N, f]: [N, UNITS].

  "The fc6 weights are set randomly; this space is a random projection" (paper, Figure 5). Its
  nonlinearity is the leaky ReLU of all layers (reference section 9). The same seed gives the same
  weights.
  """
  kernel = jax.random.normal(jax.random.PRNGKey(seed), (conv5.shape[1], UNITS))
  kernel /= np.sqrt(conv5.shape[1])
  blocks = range(0, len(conv5), frozen.BLOCK)
  return np.concatenate([
      np.asarray(_project(conv5[i:i + frozen.BLOCK], kernel)) for i in blocks
  ])


@jax.jit
def _project(x: jax.Array, kernel: jax.Array) -> jax.Array:
  return leaky_relu(jnp.matmul(x, kernel, precision="highest"))


def table(
    layer: str, numbers: np.ndarray, queries: Split, train: Split, found: Neighbours
) -> list[dict[str, Any]]:
  """A row for each neighbour; without labels, they are empty.

  Args:
    numbers: of the queries in the judged split; indices of neighbours count the training split.
      Of a split that was bounded, by --config.train_images or .judged_images, they count what was
      taken.
  """
  label = lambda split, i: int(split.labels[i]) if split.num_classes else None
  return [
      {"layer": layer, "query": int(number), "query_label": label(queries, q), "rank": rank + 1,
       "index": int(index), "label": label(train, index),
       "distance": float(found.distance[q, rank])}
      for q, number in enumerate(numbers) for rank, index in enumerate(found.index[q])
  ]


def same_class(queries: Split, train: Split, found: Neighbours) -> float | None:
  """Share in percent of the neighbours that have their query's class; None if none can."""
  if not train.num_classes or not np.isin(queries.labels, train.labels).any():
    return None
  return 100 * float(np.mean(train.labels[found.index] == queries.labels[:, None]))


def picture(queries: np.ndarray, found: np.ndarray) -> np.ndarray:
  """A row for each query: itself, a gap, its neighbours; uint8 [Q, H, W, C] and [Q, k, H, W, C]."""
  gap = np.full_like(queries, 255)
  cells = np.concatenate([queries[:, None], gap[:, None], found], axis=1)
  cells = cells.reshape(-1, *queries.shape[1:])
  return pictures.grid(cells, columns=found.shape[1] + 2)

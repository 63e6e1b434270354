"""PASCAL VOC classification (paper, Table 3): which of twenty classes are in a picture."""

import concurrent.futures
import functools
from typing import NamedTuple

from absl import logging
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from bigan_jax.data import batches, voc
from bigan_jax.evaluation import pictures
from bigan_jax.machine import disk
from bigan_jax.runs import results
from bigan_jax.runs.workdir import RunFolder
from bigan_jax.settings import rules
from bigan_jax.training import console, feeds
from bigan_jax.training.timetable import timetable
from bigan_jax.transfer import fine_tuning, head, source
from bigan_jax.transfer.fine_tuning import Params, Task
from bigan_jax.transfer.supervised_step import Measures
from bigan_jax.transfer.voc import dataset, scorers, starting_layers
from bigan_jax.transfer.voc.dataset import Keys, Pictures

FROZEN = {"fc8": 7, "fc6_8": 5, "all": 0}  # layers, by what is trained
LAST_STD, LAST_BIAS = 0.01, 0.1  # of the new fc8 (reference section 9)
BLOCK = 32  # pictures judged at a time, of as many crops each as config.eval.crops
SUREST, SIDE = 10, 96  # pictures of each class that are drawn, and their size
GREEN, RED, GREY = (0, 160, 0), (220, 0, 0), (150, 150, 150)
TABLE = "classes.md"
RULES = {"AP": "step", "AP_2010": "area", "AP_11": "11_points"}  # in results: in scorers


def resolve(
    config: ml_collections.ConfigDict, origin: source.Source | None
) -> ml_collections.ConfigDict:
  """The config with all that it takes from the encoder filled in, as config.json keeps it.

  Raises:
    ValueError: it does not fit the encoder, or its sizes do not fit each other.
  """
  config = dataset.resolve(config, origin)
  side, edge = config.model.image_shape[0], config.data.edge
  if edge and edge < side:
    raise ValueError(
        f"config.data.edge is {edge}, but the crops are of {side} pixels: let it be at least that, "
        "or lower config.crop."
    )
  head.build(config.model, len(dataset.NAMES))  # Refuses pictures that are too small for it.
  return config.lock()


def task(config: ml_collections.ConfigDict, folder: RunFolder) -> Task:
  """The layers, pictures and tests of a resolved config."""
  train, test, about = dataset.load_both(config, edge=config.data.edge)
  labels, truth = voc.class_labels(train.pictures), voc.class_labels(test.pictures)
  check_labels(config, labels, truth, train.classes)
  rules.validate_batch(config.batch_size, len(train), jax.device_count(), least=1)
  network, look = head.build(config.model, len(train.classes)), batches.views(config)
  side, flip = config.model.image_shape[0], config.data.flip
  exam = Examination(network, look, test, truth, side, flip, config.seed)
  make = functools.partial(batch, train, labels, side, flip, config.batch_size)
  def finish(params: Params) -> dict:
    scores = exam.scores(params, config.eval.crops)
    step = timetable(config, len(train)).last_step
    return {**report(config, folder, exam, scores, step), "layers": list(network.layers)}
  def start(origin: source.Source | None) -> Params:
    layers = starting_layers.layers(config, origin, train, network, side)
    return {**layers, "fc8": last_layer(network, config.seed)}
  return Task(
      network=network, frozen=network.layers[:FROZEN[config.trained]], start=start,
      size=len(train),
      feed=lambda when: feeds.streamed(
          make, config.batch_size, lambda images, draws: look(images), config.data.workers,
          when.dispatch,
      ),
      measure=masked_cross_entropy, measures=("loss",),
      judge=lambda params: {"mAP_one_crop": mean_percent(exam.judge(params, 1), "step")},
      finish=finish, about=about,
  )


def check_labels(
    config: ml_collections.ConfigDict, labels: np.ndarray, truth: np.ndarray,
    names: tuple[str, ...] = dataset.NAMES,
) -> None:
  """Warns of classes that are tested but not trained.

  Raises:
    ValueError: a split holds no object of any class that is not difficult.
  """
  for split, found in ((config.train_split, labels), (config.test_split, truth)):
    if not np.any(found == 1):
      raise ValueError(
          f"None of the {len(found)} pictures of {split!r} holds an object that is not difficult: "
          "there is nothing to tell apart, take another split."
      )
  unseen = np.flatnonzero(np.any(truth == 1, axis=0) & ~np.any(labels == 1, axis=0))
  if len(unseen):
    logging.warning(
        "%s holds no %s, which counts in the mean over the classes of %s all the same.",
        config.train_split, ", ".join(names[i] for i in unseen), config.test_split,
    )


def batch(
    train: Pictures, labels: np.ndarray, side: int, flip: bool, batch_size: int, keys: Keys,
    step: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Crops uint8 [B, side, side, 3] and labels uint8 [B, classes] of a step of training."""
  chosen = dataset.indices(keys, step, batch_size, len(train))
  randoms = dataset.randoms(keys, step, batch_size)
  return np.stack([
      dataset.random_crop(train.image(i), random, side, flip)
      for i, random in zip(chosen.tolist(), randoms)
  ]), labels[chosen]


def masked_cross_entropy(logits: jax.Array, labels: jax.Array) -> Measures:
  """Sigmoid cross-entropy, summed over classes; labels of voc.MASKED do not count."""
  losses = optax.sigmoid_binary_cross_entropy(logits, labels.astype(jnp.float32))
  known = labels != voc.MASKED
  return {"loss": jnp.mean(jnp.sum(jnp.where(known, losses, 0), axis=-1))}


def last_layer(network: head.AlexNet, seed: int) -> dict[str, jax.Array]:
  """A new fc8: small random weights, and the same bias everywhere (reference section 9)."""
  random = np.random.default_rng((seed, dataset.LAST_LAYER))
  kernel = random.normal(0, LAST_STD, (network.hidden[-1], network.classes))
  return {
      "kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.full(network.classes, LAST_BIAS)
  }


class Examination(NamedTuple):
  """How a network is tested.

  Attributes:
    network: (x) -> (logits, ...).
    view: uint8 crops -> Batch.
    test: pictures.
    truth: their labels, uint8 [N, classes].
    side: of the crops.
    flip: whether some of them are mirrored.
    seed: of the crops, which are the same in every test.
  """

  network: nn.Module
  view: batches.Views
  test: Pictures
  truth: np.ndarray
  side: int
  flip: bool
  seed: int

  def crops(self, i: int, count: int) -> np.ndarray:
    """Random crops of picture i: uint8 [count, side, side, 3]."""
    random = np.random.default_rng((self.seed, i, dataset.TEST_CROPS))
    image = self.test.image(i)
    return np.stack([
        dataset.random_crop(image, random, self.side, self.flip) for _ in range(count)
    ])

  def scores(self, params: Params, crops: int) -> np.ndarray:
    """Logits of every picture, summed over so many random crops of it: float32 [N, classes]."""
    total, found = len(self.test), []
    size = min(BLOCK, total)
    with concurrent.futures.ThreadPoolExecutor() as threads:
      for first in console.blocks(total, size, "evaluation"):
        chosen = np.minimum(first + np.arange(size), total - 1).tolist()  # One shape: one program.
        images = list(threads.map(lambda i: self.crops(i, crops), chosen))
        found.append(_summed(self.network, params, self.view, np.stack(images)))
    return np.concatenate([np.asarray(block) for block in found])[:total]

  def judge(self, params: Params, crops: int) -> dict[str, scorers.ClassScores]:
    """Average precisions by every rule."""
    return scorers.classification(self.scores(params, crops), self.truth)


@functools.partial(jax.jit, static_argnames=("network", "view"))
def _summed(
    network: nn.Module, params: Params, view: batches.Views, images: jax.Array
) -> jax.Array:
  """uint8 [n, crops, H, W, C] -> logits summed over crops [n, classes]."""
  with jax.default_matmul_precision("float32"):
    logits, _ = network.apply({"params": params}, view(images.reshape(-1, *images.shape[2:])).x)
  return jnp.sum(logits.reshape(*images.shape[:2], -1), axis=1)


def mean_percent(found: dict[str, scorers.ClassScores], rule: str) -> float:
  """The mean over classes by a rule of scorers.classification."""
  return 100 * found[rule].mean


def chance(truth: np.ndarray) -> float:
  """Expected average precision, in percent, of a random order; truth [N] of one class.

  Of R positives among N it is ((R - 1) / (N - 1) * (N - H) + H) / N with H = 1 + 1/2 + ... + 1/N:
  above their share, R / N, the more so the smaller the set.
  """
  known = truth[truth != voc.MASKED]
  count, harmonic = len(known), float(np.sum(1 / np.arange(1, len(known) + 1)))
  others = (np.sum(known) - 1) / max(count - 1, 1)
  return float(100 * (others * (count - harmonic) + harmonic) / count)


def report(
    config: ml_collections.ConfigDict, folder: RunFolder, exam: Examination, scores: np.ndarray,
    step: int,
) -> dict:
  """What results.json says of the test; writes the table of classes and the surest pictures."""
  found, truth = scorers.classification(scores, exam.truth), exam.truth
  names = exam.test.classes
  present = [i for i in range(len(names)) if np.any(truth[:, i] == 1)]
  blind = {i: chance(truth[:, i]) for i in present}
  percent = {
      name: {names[i]: float(100 * found[rule].per_class[i]) for i in present}
      for name, rule in RULES.items()
  }
  rows = [
      {"class": names[i], "pictures": str(np.sum(truth[:, i] == 1)), "chance %": f"{blind[i]:.1f}"}
      | {f"{name} %": f"{percent[name][names[i]]:.2f}" for name in RULES} for i in present
  ]
  with disk.one_sentence(folder.path):
    disk.write_atomically(folder.path / TABLE, results.markdown(rows).encode())
  folder.write_picture("surest", step, pictures.titled(
      surest(exam, scores, present, percent["AP"]),
      "the surest pictures of each class: green right, red wrong, grey difficult",
  ))
  return {
      "trained": config.trained, "train_split": config.train_split, "test_split": config.test_split,
      "year": config.data.year, "test_images": len(exam.test), "crops": config.eval.crops,
      **{f"m{name}": mean_percent(found, rule) for name, rule in RULES.items()},
      "chance": float(np.mean(list(blind.values()))),
      "absent": [name for i, name in enumerate(names) if i not in present], **percent,
  }


def surest(
    exam: Examination, scores: np.ndarray, present: list[int], percent: dict[str, float]
) -> np.ndarray:
  """A row for each class: its highest scores, framed green if right and red if wrong.

  Grey: only difficult objects of the class are in the picture. uint8 [H, W, 3].
  """
  cells, columns, names = [], min(SUREST, len(scores)), exam.test.classes
  colours = {1: GREEN, 0: RED, voc.MASKED: GREY}
  for i in present:
    cells.append(dataset.sign(f"{names[i]}\n{percent[names[i]]:.1f} %", SIDE))
    for k in np.argsort(-scores[:, i], kind="stable")[:columns].tolist():
      cell = dataset.thumbnail(exam.test.image(k), SIDE)
      cells.append(dataset.framed(cell, colours[int(exam.truth[k, i])]))
  return pictures.grid(np.stack(cells), columns + 1)


def summary(found: dict) -> str:
  """The end of a run in a few lines."""
  whose = found["learner"] or found["source"]
  return (
      f"{whose}, {found['trained']} trained: mAP {found['mAP']:.2f} % by the area, "
      f"{found['mAP_11']:.2f} % by VOC2007's 11 points, of {found['test_images']} pictures by "
      f"{found['crops']} crop(s) of each; a random order has {found['chance']:.1f} % by the area."
      f"{dataset.left_out(found)}"
  )


JOB = fine_tuning.Job(resolve, task, summary)

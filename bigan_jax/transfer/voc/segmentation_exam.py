"""Tests of a fully convolutional network: the class of every pixel of whole pictures, and scores.

Pictures are judged at their own size, whatever the network saw of them.
"""

from collections.abc import Iterator, Sequence
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.data import batches, voc
from bigan_jax.evaluation.pictures import grid
from bigan_jax.training import console
from bigan_jax.transfer.voc import canvas, dataset, fcn, scorers
from bigan_jax.transfer.voc.scorers import VOID

BLOCK = 4  # pictures at a time: of 500 pixels, 84 MB of scores
SHOWN, THUMBNAIL = 8, 160  # pictures that are drawn, and their side
NAMES = ("background", *dataset.NAMES)

Params = dict[str, chex.ArrayTree]


class Examination(NamedTuple):
  """How a network is tested.

  Attributes:
    network: scores of classes 0 (background) to 20.
    view: uint8 images -> Batch.
    pictures: to test on.
    side: of the canvas that the network sees.
    fill: around the pictures there.
  """

  network: fcn.Fcn
  view: batches.Views
  pictures: dataset.Pictures
  side: int
  fill: int

  def confusion(self, params: Params) -> np.ndarray:
    """Counts of pixels int64 [21, 21], truth by prediction, without those that are void."""
    total = np.zeros((len(NAMES), len(NAMES)), np.int64)
    for start in console.blocks(len(self.pictures), BLOCK, "evaluation"):
      chosen = range(start, min(start + BLOCK, len(self.pictures)))
      truths, found = self._truths(chosen), self._predict(params, chosen)
      total += np.asarray(count(truths, found, len(NAMES)))
    return total

  def predictions(self, params: Params, chosen: Sequence[int]) -> Iterator[np.ndarray]:
    """The class of every pixel of these pictures: uint8 [H, W], one after the other."""
    for block in _blocks(chosen):
      for i, found in zip(block, np.asarray(self._predict(params, block))):
        height, width = _size(self.pictures.pictures[i])
        yield found[:height, :width]

  def draw(self, params: Params) -> np.ndarray:
    """Rows of pictures, truths and predictions, in VOC's palette: uint8 [H, W, 3]."""
    chosen = varied(self.pictures.pictures, SHOWN)
    coloured = lambda masks: [_thumbnail(voc.colours()[_small(mask)]) for mask in masks]
    return grid(np.stack([
        *(_thumbnail(self.pictures.image(i)) for i in chosen),
        *coloured(self.pictures.pictures[i].mask() for i in chosen),
        *coloured(self.predictions(params, chosen)),
    ]), len(chosen))

  @property
  def _frame(self) -> tuple[int, int]:
    """What every picture fits into."""
    return tuple(np.max([_size(picture) for picture in self.pictures.pictures], axis=0).tolist())

  def _truths(self, chosen: Sequence[int]) -> np.ndarray:
    """Masks uint8 [BLOCK, P, Q], void where no picture is."""
    truths = np.full((BLOCK, *self._frame), VOID, np.uint8)
    for truth, i in zip(truths, chosen):
      mask = self.pictures.pictures[i].mask()
      truth[:mask.shape[0], :mask.shape[1]] = mask
    return truths

  def _predict(self, params: Params, chosen: Sequence[int]) -> jax.Array:
    """Classes uint8 [BLOCK, P, Q], of which those beyond the pictures mean nothing."""
    images = np.full((BLOCK, self.side, self.side, 3), self.fill, np.uint8)
    axes = [np.zeros((BLOCK, count), np.float32) for count in self._frame]
    for n, i in enumerate(chosen):
      images[n] = canvas.place(self.pictures.image(i), self.side, self.fill)
      size = _size(self.pictures.pictures[i])
      for axis, length, fitted in zip(axes, size, canvas.fit(self.side, *size)):
        axis[n] = canvas.places(length, fitted, axis.shape[1])
    return classes(self.network, params, self.view, images, *axes)


@functools.partial(jax.jit, static_argnames=("network", "view"))
def classes(
    network: fcn.Fcn, params: Params, view: batches.Views, images: jax.Array, rows: jax.Array,
    columns: jax.Array,
) -> jax.Array:
  """The class of the highest score: images uint8 [B, S, S, 3] -> uint8 [B, P, Q].

  Args:
    rows, columns: where to look on each canvas, in pixels [B, P] and [B, Q].
  """
  with jax.default_matmul_precision("float32"):
    scores, _ = network.apply({"params": params}, view(images).x, method="scores")
  finest = network.finest(images.shape[1])
  found = fcn.interpolate(scores, fcn.tents(finest, rows), fcn.tents(finest, columns))
  return jnp.argmax(found, axis=-1).astype(jnp.uint8)


@functools.partial(jax.jit, static_argnames="number")
def count(truth: jax.Array, predicted: jax.Array, number: int) -> jax.Array:
  """`scorers.confusion` of a block on the device: int32 [number, number]."""
  pair = truth.astype(jnp.int32) * number + predicted
  pair = jnp.where(truth == VOID, number**2, pair)
  return jnp.bincount(pair.ravel(), length=number**2 + 1)[:-1].reshape(number, number)


def report(counts: np.ndarray) -> dict[str, Any]:
  """mIU, accuracies and the IU of every class, in percent, and those of background alone."""
  scores = scorers.segmentation(counts)
  nothing_found = np.zeros_like(counts)
  nothing_found[:, 0] = counts.sum(axis=1)
  iu = {
      name: None if np.isnan(value) else round(100 * float(value), 4)
      for name, value in zip(NAMES, scores.iu.per_class, strict=True)
  }
  chance = percent(nothing_found)
  return {
      **percent(counts), "chance": chance.pop("mIU"),
      **{f"chance_{name}": value for name, value in chance.items()},
      "absent": [NAMES[i] for i in scores.iu.absent], "IU": iu,
  }


def percent(counts: np.ndarray) -> dict[str, float]:
  """The three means over the classes that the truth holds."""
  scores = scorers.segmentation(counts)
  return {
      "mIU": 100 * scores.iu.mean, "pixel_accuracy": 100 * scores.pixel_accuracy,
      "mean_accuracy": 100 * scores.mean_accuracy,
  }


def varied(pictures: Sequence[voc.Picture], most: int) -> list[int]:
  """At most so many pictures: the first of each class that was not there yet, then others."""
  chosen = []
  for label in range(len(dataset.NAMES)):
    holders = [i for i, p in enumerate(pictures) if label in p.labels and i not in chosen]
    chosen += holders[:1]
  others = [i for i in range(len(pictures)) if i not in chosen]
  return sorted((chosen + others)[:most])


def _blocks(chosen: Sequence[int]) -> Iterator[Sequence[int]]:
  return (chosen[start:start + BLOCK] for start in range(0, len(chosen), BLOCK))


def _size(picture: voc.Picture) -> tuple[int, int]:
  return picture.height, picture.width


def _small(mask: np.ndarray) -> np.ndarray:
  """Its classes as they are, not mixed, at the size of thumbnails."""
  return canvas.resize(mask, canvas.fit(THUMBNAIL, *mask.shape))


def _thumbnail(image: np.ndarray) -> np.ndarray:
  return dataset.thumbnail(image, THUMBNAIL)

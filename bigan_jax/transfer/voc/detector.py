"""What a trained Fast R-CNN finds in pictures, and how good that is."""

from collections.abc import Iterator, Sequence
import functools
from typing import Any, NamedTuple

import chex
import jax
import numpy as np

from bigan_jax.data import preprocess
from bigan_jax.training import console
from bigan_jax.transfer.voc import fast_rcnn, regions, scorers
from bigan_jax.transfer.voc.dataset import Pictures
from bigan_jax.transfer.voc.region_batches import Canvas

BLOCK = 4  # pictures that are looked at together

Params = dict[str, chex.ArrayTree]


class Detector(NamedTuple):
  """All but the parameters.

  Attributes:
    network: a FastRCNN.
    canvas: for the pictures.
    value_range: of what the network sees.
    means, stds: of the deltas of each class, [K + 1, 4].
    overlap: of two detections of a class, from which on only the surer one is kept.
    floor: surer than this is every detection that is kept.
    most: detections of a picture.
  """

  network: fast_rcnn.FastRCNN
  canvas: Canvas
  value_range: preprocess.Range
  means: np.ndarray
  stds: np.ndarray
  overlap: float
  floor: float
  most: int

  def find(
      self, params: Params, pictures: Pictures, proposals: Sequence[np.ndarray],
      shuffle: int | None = None,
  ) -> list[scorers.Detections]:
    """What is found in each picture among its proposals float32 [n, 4].

    Args:
      shuffle: a seed; then the class scores of a picture's regions are dealt out anew among them:
        what is left is to know what there is, but not where.
    """
    random = None if shuffle is None else np.random.default_rng(shuffle)
    found = []
    for i, (scores, deltas) in enumerate(self._answers(params, pictures, proposals)):
      scores = scores if random is None else random.permutation(scores)
      deltas = deltas * self.stds + self.means
      boxes = regions.decode(proposals[i][:, None], deltas[:, 1:])
      size = pictures.pictures[i].width, pictures.pictures[i].height
      found.append(scorers.Detections(*regions.suppress_by_class(
          regions.clip(boxes, *size), scores[:, 1:], self.overlap, self.floor, self.most
      )))
    return found

  def _answers(
      self, params: Params, pictures: Pictures, proposals: Sequence[np.ndarray]
  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each picture's regions, class scores [n, K + 1] and normalised deltas [n, K + 1, 4]."""
    room = max(1, *map(len, proposals))
    for start in console.blocks(len(pictures), BLOCK, "evaluation"):
      block = range(start, min(start + BLOCK, len(pictures)))
      filled = (*block, *[block[-1]] * (BLOCK - len(block)))  # One shape, one program.
      pixels = np.stack([self.canvas.put(pictures.image(i)) for i in filled])
      boxes = np.zeros((BLOCK, room, 4), np.float32)
      for row, i in zip(boxes, filled):
        picture = pictures.pictures[i]
        row[:len(proposals[i])] = proposals[i] * self.canvas.scale(picture.width, picture.height)
      answers = look(self.network, self.value_range, params, pixels, boxes)
      for i, scores, deltas in zip(block, *map(np.asarray, answers)):
        yield scores[:len(proposals[i])], deltas[:len(proposals[i])]


@functools.partial(jax.jit, static_argnames=("network", "value_range"))
def look(
    network: fast_rcnn.FastRCNN, value_range: preprocess.Range, params: Params, pixels: jax.Array,
    boxes: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Probabilities [B, R, K + 1] and normalised deltas [B, R, K + 1, 4] of scenes."""
  images = preprocess.to_native(pixels, value_range)
  with jax.default_matmul_precision("float32"):
    output, _ = network.apply({"params": params}, (images, boxes))
  scores, deltas = fast_rcnn.split(output)
  return jax.nn.softmax(scores), deltas


def truths(pictures: Pictures) -> list[scorers.Truth]:
  """What is in each picture."""
  return [scorers.Truth(p.boxes, p.labels, p.difficult) for p in pictures.pictures]


def judge(found: Sequence[scorers.Detections], pictures: Pictures) -> dict[str, Any]:
  """Mean average precisions in percent: "mAP" by VOC2007's 11 points, "mAP_area" by VOC2010's rule.

  Besides, "AP" of each class by the 11 points, None of one that no picture holds; such "absent"
  ones are left out of the means.
  """
  known, names = truths(pictures), pictures.classes
  points = scorers.detection(found, known, len(names))
  area = scorers.detection(found, known, len(names), scorers.area)
  each = [None if np.isnan(score) else 100 * float(score) for score in points.per_class]
  return {
      "mAP": 100 * points.mean, "mAP_area": 100 * area.mean, "AP": dict(zip(names, each)),
      "absent": [names[i] for i in points.absent],
  }


def recall(pictures: Pictures, proposals: Sequence[np.ndarray]) -> float:
  """Percent of the objects, but for difficult ones, that a proposal overlaps by half."""
  best = [np.zeros(0)]
  for picture, boxes in zip(pictures.pictures, proposals, strict=True):
    real = picture.boxes[~picture.difficult]
    best.append(regions.iou(boxes, real).max(axis=0, initial=0))
  return 100 * float(np.mean(np.concatenate(best) >= scorers.MINIMUM_OVERLAP))

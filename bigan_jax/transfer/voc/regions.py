"""Boxes, in numpy: overlaps, regression targets, suppression, and the regions drawn for training.

A box is (x1, y1, x2, y2), its first and last pixel counted from 0, so x2 - x1 + 1 pixels wide: the
convention of Fast R-CNN, and of VOC but for 1. Source: Fast R-CNN (Girshick, 2015), section 2.3.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BACKGROUND = 0  # Among labels here; VOC's twenty classes are 1 .. 20.


class Regions(NamedTuple):
  """All regions of a picture that training may draw from, the objects themselves first.

  boxes: float32 [n, 4]. overlaps: float32 [n], with the object that each overlaps most. labels:
  int32 [n], that object's class 1 .. K. deltas: float32 [n, 4], from the box to that object.
  """

  boxes: np.ndarray
  overlaps: np.ndarray
  labels: np.ndarray
  deltas: np.ndarray


class Sample(NamedTuple):
  """The regions drawn from pictures: boxes [..., R, 4], labels, deltas [..., R, 4], weights.

  labels: int32 [..., R], BACKGROUND or a class. weights: float32 [..., R], 0 for rows that only
  fill up, where a picture has too few regions.
  """

  boxes: np.ndarray
  labels: np.ndarray
  deltas: np.ndarray
  weights: np.ndarray


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Intersection over union [n, m] of boxes [n, 4] with boxes [m, 4], in whole pixels."""
  one, two = np.float64(first)[:, None], np.float64(second)[None]
  sides = np.minimum(one[..., 2:], two[..., 2:]) - np.maximum(one[..., :2], two[..., :2]) + 1
  common = sides.clip(min=0).prod(axis=-1)
  return common / (_areas(one) + _areas(two) - common)


def _areas(boxes: np.ndarray) -> np.ndarray:
  return (boxes[..., 2:] - boxes[..., :2] + 1).prod(axis=-1)


def clip(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
  """Boxes [..., 4] cut to the pixels of a picture; one that lies outside becomes its last row."""
  return boxes.clip(0, np.array([width, height, width, height], boxes.dtype) - 1)


def mirror(boxes: np.ndarray, width: int) -> np.ndarray:
  """Boxes [..., 4] in the left-right flipped picture."""
  return np.stack(
      [width - 1 - boxes[..., 2], boxes[..., 1], width - 1 - boxes[..., 0], boxes[..., 3]], axis=-1
  )


def encode(boxes: np.ndarray, objects: np.ndarray) -> np.ndarray:
  """Deltas [n, 4] from boxes to objects [n, 4]: the centre's shift over the side, log of the ratio.

  Sides are counted in pixels (+1), as in later releases of Fast R-CNN; the first one's difference
  of corners is zero for a line of pixels.
  """
  centres, sides = _centres(boxes)
  aims, aim_sides = _centres(objects)
  return np.concatenate(
      [(aims - centres) / sides, np.log(aim_sides / sides)], axis=-1
  ).astype(np.float32)


def decode(boxes: np.ndarray, deltas: np.ndarray) -> np.ndarray:
  """Boxes [..., 4] that deltas [..., 4] lead to from boxes [..., 4]: the inverse of `encode`."""
  centres, sides = _centres(boxes)
  middles = centres + deltas[..., :2] * sides
  halves = (np.exp(deltas[..., 2:]) * sides - 1) / 2
  return np.concatenate([middles - halves, middles + halves], axis=-1).astype(np.float32)


def _centres(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Centres and sides of boxes, each [..., 2]."""
  low, high = np.float64(boxes[..., :2]), np.float64(boxes[..., 2:])
  return (low + high) / 2, high - low + 1


def delta_statistics(
    pictures: Sequence[Regions], num_classes: int, threshold: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
  """Means and standard deviations [K + 1, 4] of the deltas of each class, for normalising them.

  Over regions that overlap their object by `threshold`; 0 and 1 where a class has none, or where
  its deltas do not vary. Row 0, the background, is never used.
  """
  means, stds = np.zeros((num_classes + 1, 4)), np.ones((num_classes + 1, 4))
  labels = np.concatenate([p.labels[p.overlaps >= threshold] for p in pictures])
  deltas = np.concatenate([p.deltas[p.overlaps >= threshold] for p in pictures]).astype(np.float64)
  for label in np.unique(labels):
    mine = deltas[labels == label]
    means[label], spread = mine.mean(axis=0), mine.std(axis=0)
    stds[label] = np.where(spread > 1e-6, spread, 1.0)
  return means.astype(np.float32), stds.astype(np.float32)


def regions_of(proposals: np.ndarray, objects: np.ndarray, classes: np.ndarray) -> Regions:
  """The objects [m, 4] of classes [m] (1 .. K) and the proposals [n, 4], each with its object."""
  boxes = np.concatenate([objects, proposals]).astype(np.float32)
  if not len(objects):
    zeros = np.zeros(len(boxes), np.float32)
    return Regions(boxes, zeros, zeros.astype(np.int32), np.zeros_like(boxes))
  overlaps = iou(boxes, objects)
  best = overlaps.argmax(axis=1)
  return Regions(
      boxes, overlaps.max(axis=1).astype(np.float32), classes[best].astype(np.int32),
      encode(boxes, objects[best]),
  )


def sample(
    pictures: Sequence[Regions],
    seed: Sequence[int],
    count: int = 64,
    foreground: float = 0.25,
    threshold: float = 0.5,
    low: float = 0.1,
) -> Sample:
  """Draws `count` regions from each picture, without replacement: leading axes [pictures, count].

  Args:
    pictures: of one step; Fast R-CNN takes 2.
    seed: numbers that name the draw, such as (seed, step): the same ones give the same regions.
    foreground: the largest share of regions that overlap an object by `threshold` or more.
    low: the rest overlaps one by at least this, but less than `threshold`.
  """
  rng = np.random.default_rng(list(seed))
  drawn = [_sample(regions, rng, count, foreground, threshold, low) for regions in pictures]
  return Sample(*map(np.stack, zip(*drawn)))


def _sample(
    regions: Regions, rng: np.random.Generator, count: int, foreground: float, threshold: float,
    low: float,
) -> Sample:
  near = np.flatnonzero(regions.overlaps >= threshold)
  far = np.flatnonzero((regions.overlaps >= low) & (regions.overlaps < threshold))
  near = rng.permutation(near)[:round(foreground * count)]
  far = rng.permutation(far)[:count - len(near)]
  rows, spare = np.concatenate([near, far]), count - len(near) - len(far)
  fill = lambda values: np.pad(values, [(0, spare)] + [(0, 0)] * (values.ndim - 1))
  labels = np.concatenate([regions.labels[near], np.full(len(far), BACKGROUND, np.int32)])
  return Sample(
      boxes=fill(regions.boxes[rows]),
      labels=fill(labels),
      deltas=fill(regions.deltas[rows] * (labels != BACKGROUND)[:, None]),
      weights=fill(np.ones(len(rows), np.float32)),
  )


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float = 0.3) -> np.ndarray:
  """Indices, the surest first, of boxes [n, 4] that overlap no surer kept one by `threshold`.

  Equal scores: the earlier box is taken as the surer.
  """
  kept, left = [], np.argsort(-scores, kind="stable")
  while len(left):
    kept.append(left[0])
    left = left[1:][iou(boxes[left[:1]], boxes[left[1:]])[0] < threshold]
  return np.array(kept, np.int64)


def suppress_by_class(
    boxes: np.ndarray, scores: np.ndarray, threshold: float = 0.3, floor: float = 0.05,
    most: int = 100,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The detections of one picture: boxes [n, 4], scores [n] and labels [n], the surest first.

  Args:
    boxes: [R, K, 4], one a region and class. scores: [R, K].
    threshold: of `suppress`, within each class.
    floor: scores up to this are dropped. most: as many are kept, over all classes.
  """
  picked = []
  for label in range(scores.shape[1]):
    sure = np.flatnonzero(scores[:, label] > floor)
    kept = sure[suppress(boxes[sure, label], scores[sure, label], threshold)]
    picked += [(kept, np.full(len(kept), label))]
  rows, labels = (np.concatenate(parts) for parts in zip(*picked))
  order = np.argsort(-scores[rows, labels], kind="stable")[:most]
  rows, labels = rows[order], labels[order]
  return boxes[rows, labels], scores[rows, labels], labels

"""Tests of what a detector finds, and of how it is judged."""

import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.transfer.voc import detector, scorers
from bigan_jax.transfer.voc.dataset import Pictures
from bigan_jax.transfer.voc.detector import Detector
from bigan_jax.transfer.voc.region_batches import Canvas

CANVAS = Canvas(40, 80, 128)  # Twice the pictures below.


class Oracle(nn.Module):
  """Sure that a region is of class x1 / 10 (on the canvas), a quarter of its width to the right."""

  @nn.compact
  def __call__(self, x: tuple, keys: jax.Array | None = None) -> tuple:
    images, boxes = x
    assert images.shape[1:] == (80, 80, 3)
    scores = 6 * jax.nn.one_hot(jnp.int32(boxes[..., 0]) // 10, 21)
    deltas = jnp.zeros((*boxes.shape[:2], 21, 4)).at[..., 0].set(0.5)
    return jnp.concatenate([scores, deltas.reshape(*boxes.shape[:2], 84)], axis=-1), {}


def picture(boxes: list, labels: list, difficult: list) -> types.SimpleNamespace:
  found = types.SimpleNamespace(width=40, height=20, labels=np.array(labels, np.int32))
  found.boxes = np.array(boxes, np.float32).reshape(-1, 4)
  found.difficult = np.array(difficult, bool)
  found.image = lambda: np.zeros((20, 40, 3), np.uint8)
  return found


TRUE = [[8, 2, 15, 9], [13, 0, 20, 19]]  # A quarter to the right of PROPOSALS.
PROPOSALS = np.array([[6, 2, 13, 9], [11, 0, 18, 19]], np.float32)  # Classes 1 and 2.
PICTURES = Pictures([picture(TRUE, [0, 1], [False, False])] * 6, 1e6)
NONE = np.zeros((0, 4), np.float32)


def find(proposals: list, shuffle: int | None = None) -> list[scorers.Detections]:
  means = np.zeros((21, 4), np.float32)
  means[:, 0] = 0.05
  stds = np.full((21, 4), 0.4, np.float32)
  case = Detector(Oracle(), CANVAS, (-1.0, 1.0), means, stds, 0.3, 0.05, 100)
  return case.find({}, PICTURES, proposals, shuffle)


def test_every_region_of_every_picture_is_judged() -> None:
  """In blocks of 4, with different numbers of regions, none among them."""
  found = find([PROPOSALS, NONE, PROPOSALS[1:], PROPOSALS, PROPOSALS, PROPOSALS[:1]])
  assert [one.labels.tolist() for one in found] == [[0, 1], [], [1], [0, 1], [0, 1], [0]]
  for one in found:
    np.testing.assert_allclose(one.boxes, np.array(TRUE, np.float32)[one.labels], atol=1e-4)
    np.testing.assert_allclose(one.scores, np.exp(6) / (np.exp(6) + 20), rtol=1e-5)


def test_boxes_are_cut_and_the_surer_of_two_is_kept() -> None:
  twice = np.array([[14, 0, 39, 19], [14, 0, 38, 19], [12, 3, 14, 5]], np.float32)
  one = find([twice] * 6)[0]
  assert one.labels.tolist() == [1, 1] and one.boxes[0, 2] == 39
  assert one.boxes[1].tolist() == pytest.approx([12.75, 3, 14.75, 5])


def test_shuffled_scores_are_dealt_out_among_the_regions_of_a_picture() -> None:
  plain = find([PROPOSALS] * 6)
  shuffled = find([PROPOSALS] * 6, shuffle=1)
  assert shuffled[0].labels.shape == (2,)
  swapped = [bool(np.any(a.boxes != b.boxes)) for a, b in zip(plain, shuffled)]
  assert 0 < sum(swapped) < 6
  for a, b in zip(plain, shuffled):
    assert sorted(a.boxes.round(3).tolist()) == sorted(b.boxes.round(3).tolist())


def test_detections_are_judged_by_both_rules() -> None:
  found = find([PROPOSALS] * 6)
  scores = detector.judge(found, PICTURES)
  assert scores["mAP"] == scores["mAP_area"] == 100
  assert scores["AP"]["aeroplane"] == scores["AP"]["bicycle"] == 100
  assert scores["AP"]["dog"] is None
  assert len(scores["absent"]) == 18 and "dog" in scores["absent"]
  half = find([PROPOSALS] * 3 + [PROPOSALS[:1]] * 3)
  scores = detector.judge(half, PICTURES)
  assert scores["AP"]["aeroplane"] == 100
  np.testing.assert_allclose(scores["AP"]["bicycle"], 100 * 6 / 11)  # Recalls 0 .. 0.5.
  np.testing.assert_allclose(scores["mAP_area"], 75)


def test_recall_is_of_objects_that_count() -> None:
  pictures = Pictures([
      picture([[0, 0, 9, 9], [20, 0, 29, 9]], [0, 0], [False, True]),
      picture([[0, 0, 9, 9]], [0], [False]), picture([], [], []),
  ], 0)
  half = np.array([[0, 0, 9, 4]], np.float32)
  assert detector.recall(pictures, [half, np.zeros((0, 4), np.float32), half]) == 50
  assert detector.recall(pictures, [half, half - [0, 0, 0, 1], half]) == 50

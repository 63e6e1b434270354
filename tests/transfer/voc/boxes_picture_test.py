"""Tests of drawn boxes."""

import types

import numpy as np

from bigan_jax.data import voc
from bigan_jax.transfer.voc import boxes_picture, scorers
from bigan_jax.transfer.voc.dataset import Pictures

DOG = 11


def test_a_box_is_drawn_where_it_is() -> None:
  image = np.zeros((80, 160, 3), np.uint8)
  found = boxes_picture.draw(image, np.array([[40, 20, 79, 59]]), np.array([DOG]), ["dog"])
  assert found.shape == (320, 320, 3)  # Twice the size, 80 white lines above and below.
  assert np.all(found[:80] == 255) and np.all(found[240:] == 255)
  colour = voc.colours()[DOG + 1]
  for y, x in ((160, 80), (198, 120), (160, 158), (120, 140)):
    assert found[y, x].tolist() == colour.tolist()
  assert not np.any(found[150:190, 90:150])  # Its inside, and far away.
  assert not np.any(found[80:240, 200:])
  assert np.any(found[108:120, 80:110] != 0)  # Its name.


def test_a_box_thinner_than_nothing_and_one_of_many_classes_are_drawn() -> None:
  image, boxes = np.zeros((80, 80, 3), np.uint8), np.array([[40.6, 20, 40.4, 59]])
  found = boxes_picture.draw(image, boxes, np.array([300]), [""])
  assert np.any(np.all(found == voc.colours()[1 + 300 % 255], axis=-1))


def test_what_is_found_stands_beside_what_there_is() -> None:
  one = types.SimpleNamespace(width=60, height=60)
  one.boxes, one.labels = np.array([[5, 20, 40, 50]], np.float32), np.array([DOG])
  one.difficult, one.image = np.array([True]), lambda: np.zeros((60, 60, 3), np.uint8)
  boxes = np.array([[20, 30, 50, 50], [0, 0, 59, 59]], np.float32)
  found = scorers.Detections(boxes, np.array([0.9, 0.1]), np.array([DOG, 3]))
  montage = boxes_picture.montage(Pictures([one] * 3, 0), [found] * 3)
  side = boxes_picture.SIDE
  assert montage.shape == (2 * side + 1, 4 * side + 3, 3)
  colours = voc.colours()
  has = lambda cell, label: bool(np.any(np.all(cell == colours[label + 1], axis=-1)))
  truth, drawn = montage[:side, :side], montage[:side, side + 1:2 * side + 1]
  assert has(truth, DOG) and has(drawn, DOG) and not has(drawn, 3)  # Too unsure.
  left = lambda cell: np.argwhere(np.all(cell == colours[DOG + 1], axis=-1))[:, 1].min()
  assert left(truth) < left(drawn)

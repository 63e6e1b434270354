"""Tests of pictures and masks on square canvases; segmentation_test.py makes batches of them."""

import numpy as np
import pytest

from bigan_jax.transfer.voc import canvas
from bigan_jax.transfer.voc.scorers import VOID

MASK = np.zeros((32, 44), np.uint8)  # One half is a car, and void lies between.
MASK[:, 22:], MASK[:, 21:23] = 7, VOID


def test_pictures_are_scaled_down_but_never_up() -> None:
  assert canvas.fit(500, 375, 500) == (375, 500) and canvas.fit(500, 20, 30) == (20, 30)
  assert canvas.fit(128, 375, 500) == (96, 128) and canvas.fit(10, 1, 500) == (1, 10)


def test_a_picture_lies_top_left_with_void_around() -> None:
  mask = MASK
  placed = canvas.place(mask, 50, VOID)
  np.testing.assert_array_equal(placed[:32, :44], mask)
  assert np.all(placed[32:] == VOID) and np.all(placed[:, 44:] == VOID)
  mirrored = canvas.place(mask, 50, VOID, mirror=True)
  np.testing.assert_array_equal(mirrored[:32, :44], mask[:, ::-1])
  image = np.random.RandomState(0).randint(0, 256, (32, 44, 3)).astype(np.uint8)
  np.testing.assert_array_equal(canvas.place(image, 44, 9)[:32], image)


def test_around_pictures_lies_what_is_nearest_to_0() -> None:
  """Of the 256 values that a pixel can have, in the range that the network sees."""
  for ends in ((-1.0, 1.0), (0.0, 1.0), (-2.0, 1.0), (-1.0, 0.0), (0.25, 1.0), (-3.0, -1.0)):
    seen = np.abs(np.linspace(*ends, 256))
    assert seen[canvas.blank(ends)] == pytest.approx(seen.min(), abs=1e-9)
  assert canvas.blank((-1.0, 1.0)) == 128


def test_scaled_masks_hold_classes_alone() -> None:
  placed = canvas.place(MASK, 21, VOID)
  assert set(np.unique(placed)) == {0, 7, VOID}
  assert np.all(placed[:15, :9] == 0) and np.all(placed[:15, 12:] == 7)


def test_places_undo_the_scaling() -> None:
  np.testing.assert_array_equal(canvas.places(5, 5, 7), [0, 1, 2, 3, 4, 4, 4])
  np.testing.assert_allclose(canvas.places(4, 2, 4), [-0.25, 0.25, 0.75, 1.25])

"""Tests of Fast R-CNN's training batches: what lies where on the canvas, and what is to be said."""

import logging
import types

from absl import logging as absl_logging
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.transfer.voc import region_batches, regions
from bigan_jax.transfer.voc.dataset import Pictures
from bigan_jax.transfer.voc.region_batches import Canvas, Material
from configs import voc_detection as config_file

CANVAS = Canvas(60, 120, 9)


def picture(boxes: list, width: int = 40, height: int = 20) -> types.SimpleNamespace:
  """Black, with a white object for each box; their classes count up from 0."""
  boxes = np.array(boxes, np.float32).reshape(-1, 4)
  pixels = np.zeros((height, width, 3), np.uint8)
  for x1, y1, x2, y2 in boxes.astype(int):
    pixels[y1:y2 + 1, x1:x2 + 1] = 255
  labels = np.arange(len(boxes), dtype=np.int32)
  found = types.SimpleNamespace(boxes=boxes, labels=labels, width=width, height=height)
  found.difficult = np.zeros(len(boxes), bool)
  found.image = lambda: pixels
  return found


BOXES = [[2, 3, 13, 12], [20, 5, 37, 18]]
PROPOSALS = np.array([[3, 3, 14, 12], [20, 4, 36, 18], [10, 0, 30, 12], [0, 2, 15, 19]], np.float32)


def gather(pictures: list, **fields: object) -> Material:
  config = config_file.get_config("size=small")
  config.shorter, config.longest, config.regions.count = *CANVAS[:2], 8
  config.update_from_flattened_dict(fields)
  return region_batches.gather(config, Pictures(pictures, 1e6), [PROPOSALS] * len(pictures))


def test_pictures_are_scaled_to_the_shorter_side_or_to_the_longer() -> None:
  assert Canvas(600, 1000, 0).scale(500, 375) == Canvas(600, 1000, 0).scale(375, 500) == 1.6
  assert Canvas(600, 1000, 0).scale(500, 200) == 2.0
  assert CANVAS.scale(40, 20) == 3.0
  placed = CANVAS.put(np.full((20, 30, 3), 7, np.uint8))
  assert placed.shape == (120, 120, 3) and placed.dtype == np.uint8
  assert np.all(placed[:60, :90] == 7)
  assert np.all(placed[60:] == 9) and np.all(placed[:, 90:] == 9)
  assert np.all(CANVAS.put(np.full((7, 300, 3), 7, np.uint8))[:3, :120] == 7)


@pytest.mark.parametrize("flip", [False, True])
def test_boxes_lie_on_their_objects(flip: bool) -> None:
  """Of drawn regions without deltas, which are the objects, all pixels are white."""
  material = gather([picture(BOXES)], **{"regions.foreground": 1.0})
  (pixels, boxes), found = region_batches.scenes(material, [0], [flip], (1, 2))
  raw = found.deltas[0] * material.stds[found.labels[0]] + material.means[found.labels[0]]
  exact = np.flatnonzero((found.labels[0] > 0) & np.all(np.abs(raw) < 1e-6, axis=-1))
  assert sorted(found.labels[0, exact]) == [1, 2]
  for i in exact:
    x1, y1, x2, y2 = boxes[0, i].round().astype(int)
    inner = pixels[0, y1 + 3:y2 + 1, x1 + 3:x2 + 1]  # Edges are mixed by the resizing.
    assert inner.size and np.all(inner > 250)
    assert pixels[0, y1 + 3, max(x1 - 3, 0), 0] < 5  # Just left of it.
  by_class = {int(label): box for label, box in zip(found.labels[0], boxes[0])}
  assert (by_class[1][0] > by_class[2][0]) == flip


def test_deltas_lead_from_regions_to_objects() -> None:
  """In the mirrored picture as well."""
  material = gather([picture(BOXES)])
  for flip in (False, True):
    (_, boxes), found = region_batches.scenes(material, [0], [flip], (5,))
    near = found.labels[0] > 0
    raw = found.deltas[0] * material.stds[found.labels[0]] + material.means[found.labels[0]]
    reached = regions.decode(boxes[0, near] / 3, raw[near])
    real = np.array(BOXES, np.float32)
    real = (regions.mirror(real, 40) if flip else real)[found.labels[0, near] - 1]
    np.testing.assert_allclose(reached, real, atol=1e-4)
    assert near.sum() == 2 and not np.any(found.deltas[0, ~near])  # A quarter of 8.


def test_targets_are_normalised_by_class() -> None:
  """Over a picture and its mirror image, which shift to both sides alike."""
  material = gather([picture(BOXES)])
  own = region_batches.drawable(material.pictures.pictures[0], PROPOSALS)
  near = (own.overlaps >= 0.5) & (own.labels == 1)
  both = np.concatenate([own.deltas[near], own.deltas[near] * [-1, 1, 1, 1]])
  np.testing.assert_allclose(material.means[1], both.mean(axis=0), atol=1e-6)
  np.testing.assert_allclose(material.stds[1], [both[:, 0].std(), 1, 1, 1], atol=1e-6)
  assert material.means[1][0] == 0
  plain = gather([picture(BOXES)], **{"data.flip": False})
  np.testing.assert_allclose(plain.means[1], own.deltas[near].mean(axis=0), atol=1e-6)


def test_a_step_is_a_function_of_keys() -> None:
  material = gather([picture(BOXES, 40 + i) for i in range(6)])
  make = lambda step: region_batches.batch(material, 4, ((1, 2), (3, 4)), step)
  (pixels, boxes), found = make(5)
  assert pixels.shape == (4, 120, 120, 3) and boxes.shape == (4, 8, 4)
  assert found.labels.shape == (4, 8) and found.weights.min() >= 0
  for one, other in zip((pixels, boxes, *found), (lambda s, t: (*s, *t))(*make(5))):
    np.testing.assert_array_equal(one, other)
  assert np.any(make(6)[0][0] != pixels)
  sides = [boxes[found.labels == 1][:, 0] for (_, boxes), found in map(make, range(4))]
  assert len({bool(x > 60) for some in sides for x in some}) == 2  # Mirrored or not.


def test_pictures_and_regions_are_drawn_apart(monkeypatch: pytest.MonkeyPatch) -> None:
  """Whether the first picture is mirrored says nothing about its regions."""
  material, states, new = gather([picture(BOXES)]), [], np.random.default_rng
  def recorded(seed: object) -> np.random.Generator:
    states.append(tuple(np.random.SeedSequence(seed).generate_state(4)))
    return new(seed)
  monkeypatch.setattr(np.random, "default_rng", recorded)
  for step in range(3):
    region_batches.batch(material, 2, ((1, 2), (3, 4)), step)
  assert len(states) == 9 == len(set(states))


def test_around_pictures_lies_what_is_nearest_to_0() -> None:
  fill = lambda *ends: gather([picture(BOXES)], **{"model.value_range": ends}).canvas.fill
  assert (fill(-1.0, 1.0), fill(0.0, 1.0)) == (128, 0)


def test_the_network_sees_boxes_as_they_are() -> None:
  scenes = (np.full((1, 4, 4, 3), 255, np.uint8), np.array([[[0.3, 1, 2, 3]]], np.float32))
  images, boxes = region_batches.view((-1.0, 1.0))(scenes, jnp.zeros((1, 3))).x
  np.testing.assert_allclose(images, 1, rtol=1e-6)
  assert boxes is scenes[1]


def test_pictures_without_objects_are_skipped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
  absl_logging.get_absl_logger().addHandler(caplog.handler)
  with caplog.at_level(logging.WARNING):
    material = gather([picture([]), picture(BOXES), picture([])])
  absl_logging.get_absl_logger().removeHandler(caplog.handler)
  assert material.chosen.tolist() == [1]
  assert "2 of the 3 pictures of trainval have no objects and are left out" in caplog.text
  with pytest.raises(ValueError, match="None of the 2 pictures of 'trainval' has an object"):
    gather([picture([])] * 2)

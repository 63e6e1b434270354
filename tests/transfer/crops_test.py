"""Tests of ten-crop testing against numpy."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax.data import fake
from bigan_jax.data.splits import Split
from bigan_jax.transfer import crops, head

SIZE, CLASSES = 6, 10
NETWORK = head.Perceptron(CLASSES, (7,))


def config(edge: int, flip: bool) -> ml_collections.ConfigDict:
  shape = (SIZE, SIZE, 3)
  return ml_collections.ConfigDict({
      "data": {"edge": edge, "flip": flip},
      "model": {"encoder_shape": shape, "image_shape": shape, "value_range": (-1.0, 1.0)},
  })


def network_params() -> dict:
  params = NETWORK.init(jax.random.PRNGKey(0), jnp.zeros((1, SIZE, SIZE, 3)))["params"]
  return jax.tree.map(lambda a: a + 0.3 * jax.random.normal(jax.random.PRNGKey(1), a.shape), params)


def probabilities(params: dict, pixels: np.ndarray) -> np.ndarray:
  """Of one crop, by hand."""
  x = pixels.reshape(-1) / 127.5 - 1
  h = x @ params["fc1"]["kernel"] + params["fc1"]["bias"]
  logits = np.maximum(h, 0.2 * h) @ params["out"]["kernel"] + params["out"]["bias"]
  p = np.exp(logits - logits.max())
  return p / p.sum()


def test_places_of_a_picture() -> None:
  picture = np.arange(7 * 10 * 3).reshape(7, 10, 3)
  found = crops.corners_and_centre(picture, 4)
  assert found.shape == (5, 4, 4, 3)
  for crop, (y, x) in zip(found, [(2, 3), (0, 0), (0, 6), (3, 0), (3, 6)], strict=True):
    np.testing.assert_array_equal(crop, picture[y:y + 4, x:x + 4])


@pytest.mark.parametrize("flip", [True, False])
def test_accuracy_is_of_the_mean_over_crops(flip: bool) -> None:
  """In more than one block of pictures."""
  split = fake.split(crops.BLOCK + 13, (8, 8, 3), 8, 0)
  params = network_params()
  exam = crops.examination(config(8, flip), NETWORK, split)
  right = [0, 0]
  for i, label in enumerate(split.labels):
    five = crops.corners_and_centre(split.images.picture(i), SIZE)
    every = [*five, *five[:, :, ::-1]] if flip else five
    right[0] += np.argmax(probabilities(params, five[0])) == label
    right[1] += np.argmax(sum(probabilities(params, crop) for crop in every)) == label
  found = exam.test(params, whole=True)
  percent = [100 * n / split.size for n in right]
  assert found == {
      "centre_crop": pytest.approx(percent[0]), "all_crops": pytest.approx(percent[1]),
      "crops": 10 if flip else 5,
  }
  assert exam.test(params, whole=False) == {"centre_crop": pytest.approx(percent[0])}


def test_means_are_those_of_numpy() -> None:
  pixels = np.random.RandomState(0).randint(0, 256, (3, 5, SIZE, SIZE, 3)).astype(np.uint8)
  params = network_params()
  view = crops.examination(config(8, True), NETWORK, None).view
  found = crops.mean_probabilities(NETWORK, params, view, pixels, True)
  expected = [np.mean([probabilities(params, c) for c in [*five, *five[:, :, ::-1]]], axis=0)
              for five in pixels]
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_images_of_one_size_are_judged_whole() -> None:
  images = np.random.RandomState(0).randint(0, 256, (9, SIZE, SIZE, 3)).astype(np.uint8)
  split = Split(images, np.arange(9, dtype=np.int32), CLASSES)
  found = crops.examination(config(0, True), NETWORK, split).test(network_params(), whole=True)
  assert found["crops"] == 1 and found["centre_crop"] == found["all_crops"]

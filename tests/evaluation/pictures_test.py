"""Tests of the picture grids: which pixel is where, and that they stay the same images."""

from collections.abc import Callable

import ml_collections
import numpy as np
import pytest

from bigan_jax.data.sources import Split
from bigan_jax.evaluation import metrics, pictures
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import Snapshot

RS = np.random.RandomState(0)


def test_grid_geometry() -> None:
  images = RS.randint(255, size=(5, 3, 4, 2)).astype(np.uint8)  # 255 is the white between
  picture = pictures.grid(images, columns=2)
  assert picture.shape == (3 * 3 + 2, 2 * 4 + 1, 2) and picture.dtype == np.uint8
  rest = picture.copy()
  for i, image in enumerate(images):
    top, left = i // 2 * 4, i % 2 * 5
    np.testing.assert_array_equal(picture[top:top + 3, left:left + 4], image)
    rest[top:top + 3, left:left + 4] = 255
  assert (rest == 255).all()  # The gaps, and the place of the sixth image.


def test_grid_of_one_row_and_of_one_image() -> None:
  images = RS.randint(256, size=(3, 2, 2, 1)).astype(np.uint8)
  assert pictures.grid(images, columns=3).shape == (2, 8, 1)
  np.testing.assert_array_equal(pictures.grid(images[:1], columns=1), images[0])


@pytest.mark.parametrize("count", [4, 5])
def test_reconstructions_lie_under_their_images(count: int) -> None:
  above = np.arange(count).reshape(-1, 1, 1, 1)
  rows = pictures.interleave(above, above + 10, columns=2).ravel().tolist()
  assert rows == [0, 1, 10, 11, 2, 3, 12, 13] + ([4, 14] if count == 5 else [])


def test_images_are_chosen_class_by_class() -> None:
  labels = RS.permutation(np.repeat([0, 1, 3], [30, 25, 7]))
  chosen = pictures.by_class(labels, 4)
  assert labels[chosen].tolist() == [0] * 20 + [1] * 20 + [3] * 20  # There is no 2.
  assert chosen[:20].tolist() == np.flatnonzero(labels == 0)[:20].tolist()
  few = np.flatnonzero(labels == 3).tolist()
  assert chosen[40:].tolist() == (few * 3)[:20]
  assert len(pictures.by_class(np.repeat(np.arange(50), 30), 50)) == 200  # Ten classes of many.
  assert pictures.by_class(np.array([70, 31]), 100).tolist() == [1] * 20 + [0] * 20


def test_images_without_labels_are_the_first() -> None:
  assert pictures.by_class(np.zeros(70, np.int32), 0).tolist() == list(range(70))
  assert pictures.by_class(np.zeros(300, np.int32), 0).tolist() == list(range(200))


IMAGES = RS.randint(256, size=(60, 8, 8, 1)).astype(np.uint8)


def picture_of(drawn: np.ndarray, width: int) -> np.ndarray:
  """The picture of this width under a title that was drawn over it, at its own size."""
  factor = -(-pictures.WIDTH // width)
  title = pictures.TITLE * factor * width // pictures.WIDTH * 2  # two lines high
  assert drawn.shape[1] == factor * width >= pictures.WIDTH and drawn.dtype == np.uint8
  assert drawn[:title].min() < 50 < 205 < drawn[:title].mean()  # black letters on white
  small = drawn[title::factor, ::factor]
  np.testing.assert_array_equal(
      drawn[title:], small.repeat(factor, axis=0).repeat(factor, axis=1)
  )
  return small


@pytest.mark.parametrize("width, channels", [(8, 1), (179, 3), (599, 1), (600, 1), (1299, 3)])
def test_pictures_are_enlarged_under_a_title(width: int, channels: int) -> None:
  picture = RS.randint(256, size=(5, width, channels)).astype(np.uint8)
  np.testing.assert_array_equal(picture_of(pictures.titled(picture, "G(z)"), width), picture)


def test_a_long_title_fits() -> None:
  drawn = pictures.titled(np.zeros((1, 600, 1), np.uint8), "a long title " * 6)
  assert (drawn[:-1, -9:] == 255).all() and drawn[:-1, 300:590].min() < 100


def paint(config: ml_collections.ConfigDict, frozen: tuple, classes: int) -> list[dict]:
  """What is written at two steps, with the same networks: {name: picture} each."""
  (networks, variables), objective = frozen, OBJECTIVES[config.objective]
  split = Split(IMAGES, np.arange(60, dtype=np.int32) % 10, classes)
  judge = metrics.judge(config, networks, objective, split, split)
  written = {5: {}, 10: {}}
  evaluator = pictures.painter(judge, lambda name, step, image: written[step].update({name: image}))
  for step in written:
    assert list(evaluator(Snapshot(step, step, variables, {}))) == []
  return list(written.values())


def test_the_painter_draws_the_same_images_every_time(tiny: Callable, made_up: Callable) -> None:
  first, second = paint(tiny("bigan"), made_up(tiny("bigan")), classes=10)
  first, second = (
      {name: picture_of(drawn, 20 * 9 - 1) for name, drawn in step.items()}
      for step in (first, second)
  )
  assert {name: image.shape for name, image in first.items()} == {
      "samples": (5 * 9 - 1, 20 * 9 - 1, 1),  # 100 samples
      "reconstructions": (2 * 10 * 9 - 1, 20 * 9 - 1, 1),
  }
  for name, image in first.items():
    assert len(np.unique(image)) > 10
    np.testing.assert_array_equal(image, second[name])
  rows = first["reconstructions"]
  for i in (0, 10, 50, 1, 13, 59):  # image i is number i // 10 of the label i % 10
    top, left = i % 10 * 2 * 9, i // 10 * 9
    np.testing.assert_array_equal(rows[top:top + 8, left:left + 8], IMAGES[i])


def test_what_has_no_encoder_reconstructs_nothing(tiny: Callable, made_up: Callable) -> None:
  assert set(paint(tiny("gan"), made_up(tiny("gan")), classes=10)[0]) == {"samples"}


def test_unlabelled_images_are_reconstructed_too(tiny: Callable, made_up: Callable) -> None:
  config = tiny("autoencoder_l1")
  picture = paint(config, made_up(config), classes=0)[0]["reconstructions"]
  assert picture_of(picture, 20 * 9 - 1).shape == (2 * 3 * 9 - 1, 20 * 9 - 1, 1)  # 60 images


def test_filters_are_the_kernels_that_touch_pixels() -> None:
  kernel = RS.normal(size=(5, 5, 3, 7)).astype(np.float32)
  params = {"conv1": {"kernel": kernel}, "conv2": {"kernel": np.zeros((5, 5, 7, 9))},
            "out": {"kernel": np.zeros((9, 3))}}
  found = pictures.filters(params, channels=3)
  assert found.shape == (7, 5, 5, 3) and found.dtype == np.uint8
  assert found.min(axis=(1, 2, 3)).max() == 0 and found.max(axis=(1, 2, 3)).min() == 255
  order = np.argsort(kernel[..., 2].reshape(-1))
  assert (np.diff(found[2].reshape(-1)[order].astype(int)) >= 0).all()
  assert pictures.filters({"fc1": {"kernel": np.zeros((784, 8))}}, channels=1) is None

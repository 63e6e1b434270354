"""Thumbnails on one sheet, and TensorBoard's files, read back as their readers would."""

import io
import pathlib
import re

import numpy as np
from PIL import Image
import pytest

from bigan_jax.evaluation.atlas import projector, sprites


def thumbs(count: int, side: int, channels: int) -> np.ndarray:
  """Plain ones of any colours."""
  colours = np.random.RandomState(0).randint(0, 256, (count, 1, 1, channels))
  return np.broadcast_to(colours, (count, side, side, channels)).astype(np.uint8)


def test_a_page_stays_small() -> None:
  sides = [sprites.side(count) for count in (2, 2_589, 5_000, 8_000, 20_000)]
  assert sides == [48, 48, 40, 24, 24]
  assert 5_000 * 40**2 <= sprites.PIXELS < 5_001 * 40**2


@pytest.mark.parametrize("side, cell, channels", [(8, 8, 1), (28, 32, 1), (48, 48, 3)])
def test_thumbnails_do_not_run_into_each_other(side: int, cell: int, channels: int) -> None:
  given = thumbs(7, side, channels)
  assert sprites.cell(given) == cell
  file = sprites.jpeg(sprites.sheet(given, cell))
  found = np.asarray(Image.open(io.BytesIO(file))).reshape(3 * cell, 3 * cell, channels)
  for i, picture in enumerate(given):
    row, column = i // 3 * cell, i % 3 * cell
    own = np.int32(found[row:row + side, column:column + side])
    assert np.abs(own - picture).max() <= 4, i  # A plain block is rounded, and no more.


@pytest.mark.parametrize("channels", [1, 3])
def test_tensorboard_s_files(tmp_path: pathlib.Path, channels: int) -> None:
  features = np.random.RandomState(0).randn(5, 7).astype(np.float32)
  names, classes = ["a", "b\tc", "\u00e9", '"d"', "e,f"], ["x", "x", "y", "", "y"]
  given = thumbs(5, 6, channels)
  projector.write(tmp_path, names, classes, features, given)
  assert {path.name for path in tmp_path.iterdir()} == set(projector.FILES)
  np.testing.assert_allclose(np.loadtxt(tmp_path / "tensors.tsv", delimiter="\t"), features, 1e-5)
  lines = (tmp_path / "metadata.tsv").read_text(encoding="utf-8").splitlines()
  assert lines == ["name\tclass", "a\tx", "b\\x09c\tx", "\u00e9\ty", '"d"\t', "e,f\ty"]
  config = (tmp_path / "projector_config.pbtxt").read_text()
  assert re.findall(r'(\w+): "?([^"\n]+)', config) == [
      ("tensor_name", "features"), ("tensor_path", "tensors.tsv"),
      ("metadata_path", "metadata.tsv"), ("image_path", "sprite.png"), ("single_image_dim", "6"),
      ("single_image_dim", "6"),
  ]
  sprite = np.asarray(Image.open(tmp_path / "sprite.png")).reshape(18, 18, channels)
  for i, picture in enumerate(given):
    row, column = i // 3 * 6, i % 3 * 6
    np.testing.assert_array_equal(sprite[row:row + 6, column:column + 6], picture)


def test_a_sprite_that_tensorboard_cannot_show(tmp_path: pathlib.Path) -> None:
  wide = np.broadcast_to(np.uint8(0), (10, 2_100, 2_100, 1))
  with pytest.raises(ValueError, match="10 thumbnails of 2100 pixels do not fit on a sprite"):
    projector.write(tmp_path, ["a"] * 10, ["b"] * 10, np.zeros((10, 1)), wide)
  assert not list(tmp_path.iterdir())

"""Tests of the container of pictures of unequal size."""

import io

import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import strips

SIZES = [(7, 5), (5, 9), (5, 5), (5, 8), (12, 5)]  # (width, height), shorter side 5.


class Records(list):
  """Stands in for a TFDS data source."""

  def __getitems__(self, indices: list[int]) -> list[dict]:
    return [self[i] for i in indices]


@pytest.fixture
def originals() -> list[np.ndarray]:
  random = np.random.RandomState(0)
  return [random.randint(0, 256, (h, w, 3)).astype(np.uint8) for w, h in SIZES]


def records(pixels: list[np.ndarray]) -> Records:
  encoded = Records()
  for i, picture in enumerate(pixels):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    encoded.append({"image": buffer.getvalue(), "label": 10 * i})
  return encoded


def test_pictures_come_back_whole(
    originals: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(strips, "BLOCK", 2)
  source, indices = records(originals), np.array([4, 1, 0, 2, 3])
  sizes, labels = strips.survey(source, indices)
  assert sizes.tolist() == [list(SIZES[i]) for i in indices]
  assert labels.tolist() == [40, 10, 0, 20, 30] and labels.dtype == np.int32
  read = strips.read(source, indices, sizes, 5)
  assert read.lines.shape == (12 + 9 + 7 + 5 + 8, 5, 3)
  assert read.landscape.tolist() == [True, False, True, False, False]
  assert read.starts.dtype == np.int64 and read.lengths.dtype == np.int32
  for i, index in enumerate(indices):
    np.testing.assert_array_equal(read.picture(i), originals[index])


def test_take_orders_pictures_without_moving_pixels(originals: list[np.ndarray]) -> None:
  source, indices = records(originals), np.arange(5)
  whole = strips.read(source, indices, strips.survey(source, indices)[0], 5)
  taken = whole.take(np.array([3, 0]))
  assert taken.lines is whole.lines and len(taken.starts) == 2
  np.testing.assert_array_equal(taken.picture(0), originals[3])
  np.testing.assert_array_equal(taken.picture(1), originals[0])


def test_a_part_has_its_own_lines_alone(originals: list[np.ndarray]) -> None:
  source, indices = records(originals), np.arange(5)
  whole = strips.read(source, indices, strips.survey(source, indices)[0], 5)
  part = whole.part(slice(1, 3))
  assert len(part.lines) == 9 + 5 and np.shares_memory(part.lines, whole.lines)
  for i in (0, 1):
    np.testing.assert_array_equal(part.picture(i), originals[1 + i])
  assert len(whole.part(slice(5, 9)).lines) == 0
  reordered = whole.take(np.array([4, 0, 2])).part(slice(1, 3))
  np.testing.assert_array_equal(reordered.picture(1), originals[2])


def test_another_edge_is_refused(originals: list[np.ndarray]) -> None:
  source = records(originals)
  sizes, _ = strips.survey(source, np.arange(5))
  with pytest.raises(ValueError, match="shorter side 6"):
    strips.read(source, np.arange(5), sizes, 6)


def test_unlabelled_records_have_label_zero(originals: list[np.ndarray]) -> None:
  source = Records({"image": record["image"]} for record in records(originals))
  assert not strips.survey(source, np.arange(5))[1].any()

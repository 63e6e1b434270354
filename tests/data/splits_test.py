"""Tests of pictures that stay on disk until they are asked for."""

from collections.abc import Callable
import io

import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import splits
from bigan_jax.data.splits import Split, Stored

SHAPES = [(5, 7), (9, 5), (5, 5)]


class Records(list):
  """Stands in for a TFDS data source."""

  def __getitems__(self, indices: list[int]) -> list[dict]:
    return [self[i] for i in indices]


def originals(shapes: list[tuple[int, int]]) -> list[np.ndarray]:
  random = np.random.RandomState(0)
  return [random.randint(0, 256, (*shape, 3)).astype(np.uint8) for shape in shapes]


def stored(shapes: list[tuple[int, int]], uniform: tuple[int, int, int] | None = None) -> Stored:
  records = Records()
  for i, picture in enumerate(originals(shapes)):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    records.append({"image": buffer.getvalue(), "label": 10 * i})
  edge = 0 if uniform else 5
  return Stored(records, np.arange(len(records)), uniform, edge, 30, ("mine", "/place"))


def test_pictures_of_unequal_size() -> None:
  found, expected = stored(SHAPES), originals(SHAPES)
  assert found.size == 3 and found.memory() == (7 + 9 + 5) * 5 * 3
  pictures, labels = found.take(np.array([2, 0])).decode(np.array([1, 0, 1]))
  for picture, i in zip(pictures, (0, 2, 0), strict=True):
    np.testing.assert_array_equal(picture, expected[i])
  assert labels.tolist() == [0, 20, 0] and labels.dtype == np.int32
  split = found.take(np.array([1, 2])).read()
  assert split.shape is None and split.size == 2 and split.labels.tolist() == [10, 20]
  np.testing.assert_array_equal(split.take(np.array([1])).images.picture(0), expected[2])


def test_pictures_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(splits, "BLOCK", 2)
  found = stored([(5, 7)] * 3, uniform=(5, 7, 3))
  assert found.memory() == 3 * 5 * 7 * 3
  split = found.read()
  np.testing.assert_array_equal(split.images, originals([(5, 7)] * 3))
  assert split.shape == (5, 7, 3) and split.num_classes == 30
  taken = split.take(np.array([2, 0]))
  assert isinstance(taken, Split) and taken.labels.tolist() == [20, 0]


def test_size_is_estimated_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(splits, "SAMPLE", 10)
  shapes = [(5, 5 + i % 20) for i in range(200)]
  exact = sum(width for _, width in shapes) * 5 * 3
  assert stored(shapes).memory() == pytest.approx(exact, rel=0.4)


@pytest.mark.parametrize("ask", [
    lambda found: found.decode(np.array([1])), lambda found: found.read(),
    lambda found: found.memory(),
])
def test_a_damaged_record_is_one_sentence(ask: Callable[[Stored], object]) -> None:
  found = stored(SHAPES)
  found.source[1]["image"] = b"no picture"
  with pytest.raises(ValueError, match=r"^The prepared mine at /place is damaged \(.*\): delete"):
    ask(found)


def test_another_form_than_promised_is_refused() -> None:
  with pytest.raises(ValueError, match="shorter side 5"):
    stored([(5, 7), (6, 7)]).decode(np.array([1]))
  with pytest.raises(ValueError, match="is damaged"):
    stored([(5, 7)], uniform=(5, 8, 3)).decode(np.array([0]))

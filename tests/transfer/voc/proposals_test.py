"""Tests of object proposals: read from both kinds of file, found, and kept."""

import pathlib
import sys
import types

import numpy as np
import pytest
from scipy import io as matlab

from bigan_jax.data import voc
from bigan_jax.transfer.voc import proposals

BOXES = {"a": np.array([[0, 1, 4, 5], [2, 2, 9, 7]], np.float32), "b": np.zeros((0, 4), np.float32)}


def picture(name: str, width: int = 40, height: int = 20) -> voc.Picture:
  pixels = np.zeros((height, width, 3), np.uint8)
  pixels[:, :, 0] = 200
  found = types.SimpleNamespace(name=name, width=width, height=height, checksum=7)
  found.image = lambda: pixels
  return found


def cell(*values: object) -> np.ndarray:
  cells = np.empty(len(values), object)
  cells[:] = values
  return cells


def write_mat(path: pathlib.Path, **others: object) -> str:
  boxes = [(b[:, [1, 0, 3, 2]] + 1).astype(np.uint16) for b in BOXES.values()]
  content = {"images": cell(*BOXES)[:, None], "boxes": cell(*boxes)[None]} | others
  matlab.savemat(path, content)
  return str(path)


def check(found: dict[str, np.ndarray]) -> None:
  assert found.keys() == BOXES.keys()
  for name, boxes in found.items():
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(boxes, BOXES[name])


def test_fast_rcnns_mat_is_read(tmp_path: pathlib.Path) -> None:
  check(proposals.read(write_mat(tmp_path / "voc_2007_test.mat")))


def test_our_npz_is_read(tmp_path: pathlib.Path) -> None:
  path = tmp_path / "boxes.npz"
  path.write_bytes(proposals.pack(BOXES))
  check(proposals.read(str(path)))
  path.write_bytes(proposals.pack({}))
  assert proposals.read(str(path)) == {}


def test_a_file_gives_each_picture_its_boxes(tmp_path: pathlib.Path) -> None:
  path = tmp_path / "boxes.npz"
  path.write_bytes(proposals.pack(BOXES | {"c": np.array([[-1, 0, 40, 19]])}))
  found = proposals.for_pictures([picture("c"), picture("a")], str(path), "", 0)
  assert [boxes.tolist() for boxes in found] == [[[0, 0, 39, 19]], BOXES["a"].tolist()]


def test_a_file_that_does_not_fit_is_one_sentence(tmp_path: pathlib.Path) -> None:
  path = write_mat(tmp_path / "boxes.mat")
  def refuse(pictures: list, path: str, match: str) -> None:
    with pytest.raises(ValueError, match=match) as error:
      proposals.for_pictures(pictures, path, "", 0)
    assert path in str(error.value) and "\n" not in str(error.value)
  refuse([picture("a"), picture("z")], path, "lacks 1 of the 2 pictures, such as z")
  refuse([picture("a", width=5, height=5)], path, r"boxes outside of picture a \(5 x 5\)")
  refuse([picture("a")], write_mat(tmp_path / "x.mat", images=cell("a")), "is damaged or holds")
  (tmp_path / "y.npz").write_bytes(b"PK nothing")
  refuse([picture("a")], str(tmp_path / "y.npz"), "is damaged or holds")
  (tmp_path / "empty.mat").write_bytes(b"")
  refuse([picture("a")], str(tmp_path / "empty.mat"), "is damaged or holds")
  np.savez(tmp_path / "z.npz", names=["a"], counts=[3], boxes=np.zeros((2, 4)))
  refuse([picture("a")], str(tmp_path / "z.npz"), r"boxes are \(2, 4\) but counts add up to 3")
  (tmp_path / "z.txt").write_text("")
  refuse([picture("a")], str(tmp_path / "z.txt"), "is no file of proposals")
  with pytest.raises(FileNotFoundError, match="none.mat does not exist"):
    proposals.read(str(tmp_path / "none.mat"))


class Search:
  """Stands in for OpenCV's: two boxes at the searched size, one of them twice."""

  def setBaseImage(self, image: np.ndarray) -> None:  # pylint: disable=invalid-name
    assert image.shape == (10, 20, 3)
    assert (image == [0, 0, 200]).all()  # Blue, green, red.

  def switchToSelectiveSearchFast(self) -> None:  # pylint: disable=invalid-name
    pass

  def process(self) -> np.ndarray:
    return np.array([[5, 0, 15, 10], [0, 0, 1, 1], [0, 0, 1, 1]], np.int32)


@pytest.fixture
def opencv(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
  module = types.ModuleType("cv2")
  module.INTER_AREA = 3
  module.resize = lambda image, size, interpolation: image[::2, ::2]
  segmentation = types.SimpleNamespace(createSelectiveSearchSegmentation=Search)
  module.ximgproc = types.SimpleNamespace(segmentation=segmentation)
  monkeypatch.setitem(sys.modules, "cv2", module)
  return module


def test_found_proposals_are_scaled_to_the_picture(opencv: types.ModuleType) -> None:
  found = proposals.selective_search(picture("a").image(), longest=20)
  assert found.dtype == np.float32
  assert found.tolist() == [[0, 0, 1, 1], [10, 0, 39, 19]]


def test_found_proposals_are_kept(
    tmp_path: pathlib.Path, opencv: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(proposals, "PICTURES_PER_FILE", 2)
  pictures = [picture(name) for name in "abc"]
  first = proposals.for_pictures(pictures, "", str(tmp_path / "cache"), longest=20)
  assert len(first) == 3 and len(list((tmp_path / "cache").iterdir())) == 2
  del opencv.ximgproc
  again = proposals.for_pictures(pictures, "", str(tmp_path / "cache"), longest=20)
  for one, other in zip(first, again, strict=True):
    np.testing.assert_array_equal(one, other)
  pictures[2].checksum = 8  # Another picture of the same name.
  with pytest.raises(ImportError, match=r"bigan_jax\[detection\] and no other opencv"):
    proposals.for_pictures(pictures, "", str(tmp_path / "cache"), longest=20)


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setitem(sys.modules, "cv2", None)
  with pytest.raises(ImportError, match="or name a file of proposals"):
    proposals.selective_search(np.zeros((4, 4, 3), np.uint8), 20)


def test_opencv_finds_a_square() -> None:
  pytest.importorskip("cv2.ximgproc")
  rs = np.random.RandomState(0)
  image = rs.randint(0, 30, (90, 120, 3)).astype(np.uint8)
  image[20:60, 30:80] += np.uint8(200)
  boxes = proposals.selective_search(image, 120)
  assert np.abs(boxes - [30, 20, 79, 59]).max(axis=1).min() <= 3

"""Devkits as people have them: lists from Windows, other endings, classes of their own."""

import codecs
import pathlib

from PIL import Image
import pytest

from bigan_jax.data import voc
from bigan_jax.data.builders import voc as builder
from tests.data import voc_test

HELMET, CELL = ("Helmet", 0, 3, 2, 12, 11), ("cell", 0, 1, 1, 30, 20)


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
  """A VOC2007 of three pictures, without lists."""
  root = tmp_path / "mine" / "VOCdevkit" / "VOC2007"
  for name in ("10", "20", "30"):
    voc_test.add(root, name, voc_test.DOG)
  return root


def load(root: pathlib.Path, split: str = "train", classes: str = "") -> list[voc.Picture]:
  path = root.parent.parent
  return voc.load(2007, split, "main", str(path.parent / "data_dir"), str(path), classes)


def write_list(root: pathlib.Path, content: bytes, split: str = "train") -> None:
  folder = root / "ImageSets" / "Main"
  folder.mkdir(parents=True, exist_ok=True)
  (folder / f"{split}.txt").write_bytes(content)


@pytest.mark.parametrize("content", [
    codecs.BOM_UTF8 + b"10\r\n20\r\n", codecs.BOM_UTF16_LE + "10\r\n20\r\n".encode("utf-16-le"),
    codecs.BOM_UTF16_BE + "10\n20\n".encode("utf-16-be"), b"10.jpg\n20.JPG\n", b"10 1\n20 -1\n",
    b"JPEGImages/10.jpg\nJPEGImages/20.jpg\n", b"  10 \n\n20\n",
])
def test_lists_however_they_were_written(root: pathlib.Path, content: bytes) -> None:
  write_list(root, content)
  assert [picture.name for picture in load(root)] == ["10", "20"]


def test_a_list_in_another_encoding_is_named(root: pathlib.Path) -> None:
  write_list(root, b"caf\xe9\n")
  with pytest.raises(ValueError, match="ImageSets/Main/train.txt of .* is neither UTF-8 nor"):
    load(root)


def test_names_with_spaces_and_other_endings(root: pathlib.Path) -> None:
  pictures = root / "JPEGImages"
  (pictures / "10.jpg").rename(pictures / "my 10.JPG")
  (root / "Annotations" / "10.xml").rename(root / "Annotations" / "my 10.xml")
  (pictures / "20.jpg").rename(pictures / "20.jpeg")
  Image.open(pictures / "30.jpg").save(pictures / "30.png")
  (pictures / "30.jpg").unlink()
  write_list(root, b"my 10\n20\n30\n")
  found = load(root)
  assert [picture.name for picture in found] == ["my 10", "20", "30"]
  assert all(picture.image().shape == (20, 30, 3) for picture in found)


def test_classes_are_those_of_the_annotations(root: pathlib.Path) -> None:
  voc_test.add(root, "20", HELMET)
  voc_test.add(root, "30", CELL)
  write_list(root, b"20\n30\n")
  first, second = load(root)
  assert first.classes == ("cell", "helmet")
  assert (first.labels.tolist(), second.labels.tolist()) == ([1], [0])
  assert voc.class_labels([first, second]).tolist() == [[0, 1], [1, 0]]


def test_classes_may_be_given(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
  voc_test.add(root, "20", HELMET)
  write_list(root, b"20\n")
  (tmp_path / "names.txt").write_text("head\nHelmet\n\nvest\n")
  for given in ("head,helmet, vest", str(tmp_path / "names.txt")):
    (picture,) = load(root, classes=given)
    assert picture.classes == ("head", "helmet", "vest") and picture.labels.tolist() == [1]
  with pytest.raises(ValueError, match="unknown class 'helmet': config.data.classes has 1 others"):
    load(root, classes="head")
  data_dir, other = str(tmp_path / "one"), "a,b,helmet"
  voc.load(2007, "train", "main", data_dir, str(root.parent.parent), "helmet")
  with pytest.raises(ValueError, match="was prepared with 1 other classes than config.data"):
    voc.load(2007, "train", "main", data_dir, "", other)
  with pytest.raises(ValueError, match="names a class twice"):
    builder.own_classes("a,A")


def test_vocs_own_classes_stay_twenty(root: pathlib.Path) -> None:
  write_list(root, b"10\n")
  assert len(load(root)[0].classes) == 20 and load(root)[0].labels.tolist() == [11]


def test_a_devkit_by_another_name(root: pathlib.Path) -> None:
  write_list(root, b"10\n")
  other = root.rename(root.parent / "helmets")
  assert len(voc.load(2007, "train", "main", str(other / "data"), str(other))) == 1


def test_overlaps_are_counted(root: pathlib.Path) -> None:
  write_list(root, b"10\n20\n30\n")
  write_list(root, b"20\n30\n", "test")
  with pytest.raises(ValueError, match=r"lists 2 pictures \(such as 20\) in both .*: remove them"):
    load(root)

"""Tests of preparing and reading PASCAL VOC, from tiny devkits."""

import io
import logging
import os
import pathlib
import tarfile

from absl import logging as absl_logging
import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import prepare, voc

OBJECT = (
    "<object><name>{}</name>{}<difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox><part><name>head</name></part></object>"
)
DOG, HARD_CAR = ("dog", 0, 3, 2, 12, 11), ("car", 1, 1, 1, 30, 20)


def add(root: pathlib.Path, name: str, *objects: tuple, size: tuple[int, int] = (30, 20)) -> None:
  """One picture of an unpacked VOC<year>, its colour told by its name."""
  for folder in ("JPEGImages", "Annotations", "SegmentationClass"):
    (root / folder).mkdir(parents=True, exist_ok=True)
  Image.new("RGB", size, (int(name), 0, 0)).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
  text = "".join(OBJECT.format(o[0], "<truncated>1</truncated>", *o[1:]) for o in objects)
  (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{text}</annotation>")


def add_mask(root: pathlib.Path, name: str, size: tuple[int, int] = (30, 20)) -> None:
  mask = Image.new("P", size)
  mask.putpalette(voc.colours().tobytes())
  mask.putpixel((2, 1), 12)
  mask.putpixel((3, 1), 255)
  mask.save(root / "SegmentationClass" / f"{name}.png")


def write_list(root: pathlib.Path, task: str, split: str, *names: str) -> None:
  folder = root / "ImageSets" / task
  folder.mkdir(parents=True, exist_ok=True)
  (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
  """A VOC2007 of 4 pictures in the main task, and one that only segmentation uses."""
  root = tmp_path / "mine" / "VOCdevkit" / "VOC2007"
  add(root, "10", DOG, HARD_CAR)
  add(root, "20", size=(17, 40))
  add(root, "30", HARD_CAR)
  add(root, "40", ("person", 0, 1, 1, 1, 1))
  add(root, "50", DOG)
  write_list(root, "Main", "train", "20", "10")
  write_list(root, "Main", "val", "30")
  write_list(root, "Main", "trainval", "10", "20", "30")
  write_list(root, "Main", "test", "40")
  write_list(root, "Segmentation", "train", "50", "10")
  write_list(root, "Segmentation", "val", "30")
  for name in ("10", "30", "50"):
    add_mask(root, name)
  return root


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
  """Captures absl's log, which bypasses the root logger."""
  absl_logging.get_absl_logger().addHandler(caplog.handler)
  with caplog.at_level(logging.INFO):
    yield caplog
  absl_logging.get_absl_logger().removeHandler(caplog.handler)


def load(root: pathlib.Path, split: str = "trainval", task: str = "main") -> list[voc.Picture]:
  path = root.parent.parent
  return voc.load(2007, split, task, str(path.parent / "data_dir"), str(path))


def test_pictures_come_in_the_order_of_the_lists(root: pathlib.Path) -> None:
  names = lambda *args: [picture.name for picture in load(root, *args)]
  assert names("train") == ["20", "10"] and names("trainval") == ["10", "20", "30"]
  assert names("val") == ["30"] and names("test") == ["40"]
  assert names("train", "segmentation") == ["50", "10"]
  assert names("trainval", "segmentation") == ["50", "10", "30"]
  for picture in load(root):
    pixels = picture.image()
    assert pixels.shape == (picture.height, picture.width, 3) and pixels.dtype == np.uint8
    assert abs(int(pixels[0, 0, 0]) - int(picture.name)) <= 2


def test_boxes_are_counted_from_zero(root: pathlib.Path) -> None:
  first, empty, _ = load(root)
  assert first.boxes.tolist() == [[2, 1, 11, 10], [0, 0, 29, 19]]
  assert first.boxes.dtype == np.float32 and first.labels.tolist() == [11, 6]
  assert first.difficult.tolist() == [False, True] and first.truncated.all()
  assert (empty.width, empty.height, empty.boxes.shape) == (17, 40, (0, 4))
  (single,) = load(root, "test")
  assert single.boxes.tolist() == [[0, 0, 0, 0]]  # One pixel.


def test_labels_of_classes_mask_those_that_are_only_difficult(root: pathlib.Path) -> None:
  labels = voc.class_labels(load(root))
  assert labels.shape == (3, 20) and labels.dtype == np.uint8
  assert labels[:, 11].tolist() == [1, 0, 0]
  assert labels[:, 6].tolist() == [voc.MASKED, 0, voc.MASKED]
  assert labels.sum() == 1 + 2 * voc.MASKED


def test_masks_are_read_by_index(root: pathlib.Path) -> None:
  mask = load(root, "val", "segmentation")[0].mask()
  assert mask.shape == (20, 30) and mask.dtype == np.uint8
  assert mask[1, 2] == 12 and mask[1, 3] == 255 and mask.sum() == 267
  (without,) = load(root, "test")
  with pytest.raises(ValueError, match="Picture 40 has no mask"):
    without.mask()


def test_the_palette_is_vocs() -> None:
  expected = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 15: (192, 128, 128), 20: (0, 64, 128),
              255: (224, 224, 192)}
  assert {k: tuple(voc.colours()[k].tolist()) for k in expected} == expected


def test_tars_and_folders_give_the_same(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
  tars = tmp_path / "tars"
  tars.mkdir()
  of_test = lambda path: "test.txt" in path or "40." in path
  for name, wanted in (("VOCtrainval_06-Nov-2007.tar", False), ("VOCtest_06-Nov-2007.tar", True)):
    with tarfile.open(tars / name, "w") as tar:
      for path in sorted(root.rglob("*.*")):
        if of_test(str(path)) == wanted:
          tar.add(path, f"VOCdevkit/VOC2007/{path.relative_to(root)}")
  for split in ("trainval", "test"):
    found = voc.load(2007, split, "main", str(tmp_path / "other"), str(tars))
    for one, other in zip(found, load(root, split), strict=True):
      assert (one.name, one.checksum) == (other.name, other.checksum)
      np.testing.assert_array_equal(one.boxes, other.boxes)
  (tars / "VOCtest_06-Nov-2007.tar").unlink()
  with pytest.raises(ValueError, match="no list of 'test' for 'main' but main train, main val"):
    voc.load(2007, "test", "main", str(tmp_path / "other"), str(tars))
  whole = tars / "VOCtrainval_06-Nov-2007.tar"
  whole.write_bytes(whole.read_bytes()[:5000])
  with pytest.raises(ValueError, match="VOCtrainval_06-Nov-2007.tar .*download it again"):
    voc.load(2007, "train", "main", str(tmp_path / "other"), str(tars))


def test_what_is_prepared_is_found_without_a_path(
    root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  data_dir = str(tmp_path / "data_dir")
  assert len(load(root, "train")) == 2
  assert len(voc.load(2007, "train", data_dir=data_dir)) == 2
  (root / "Annotations" / "10.xml").write_text("<annotation/>")
  assert not load(root)[0].labels.size  # A changed devkit is prepared anew.
  assert len(list((tmp_path / "data_dir" / "voc").iterdir())) == 2
  with pytest.raises(ValueError, match="Several VOC2007 are prepared under .*data_dir: name the"):
    voc.load(2007, "train", data_dir=data_dir)


def test_without_a_devkit_it_says_what_to_put_where(tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match="downloads/manual holds neither VOCtrainval_11-May"):
    voc.load(2012, "train", data_dir=str(tmp_path))
  with pytest.raises(FileNotFoundError, match="VOCtest_06-Nov-2007.tar nor an unpacked VOC2007"):
    voc.load(2007, "train", data_dir=str(tmp_path), path=str(tmp_path / "nowhere"))
  with pytest.raises(ValueError, match="VOC2010 is not known here: choose from 2007 and 2012"):
    voc.load(2010, "train", data_dir=str(tmp_path))


def test_pictures_that_cannot_be_decoded_are_skipped_and_counted(
    root: pathlib.Path, logged: pytest.LogCaptureFixture
) -> None:
  broken = root / "JPEGImages" / "20.jpg"
  broken.write_bytes(broken.read_bytes()[:-80])
  assert [picture.name for picture in load(root)] == ["10", "30"]
  assert "VOC2007: skipped 1 of 5 pictures that cannot be decoded, such as 20." in logged.text
  logged.clear()
  load(root)  # Already prepared.
  assert "1 of the 3 pictures of trainval cannot be decoded and are left out" in logged.text


def test_boxes_beyond_the_picture_are_cut_and_counted(
    root: pathlib.Path, logged: pytest.LogCaptureFixture
) -> None:
  add(root, "30", ("cow", 0, 0, 0, 31, 21), ("cow", 0, 5, 5, 9.7, 99), DOG)
  boxes = load(root, "val")[0].boxes
  np.testing.assert_allclose(boxes, [[0, 0, 29, 19], [4, 4, 8.7, 19], [2, 1, 11, 10]], rtol=1e-6)
  assert "VOC2007: 2 boxes reached beyond their pictures and were cut" in logged.text
  assert "such as in 30." in logged.text


def damage(root: pathlib.Path, kind: str) -> None:
  annotation = root / "Annotations" / "30.xml"
  if kind == "missing annotation":
    annotation.unlink()
  elif kind == "missing mask":
    (root / "SegmentationClass" / "50.png").unlink()
  elif kind == "missing picture":
    (root / "JPEGImages" / "40.jpg").unlink()
  elif kind == "unknown class":
    add(root, "30", ("unicorn", 0, 1, 1, 5, 5))
  elif kind == "turned box":
    add(root, "30", ("dog", 0, 9, 1, 5, 5))
  elif kind == "box outside":
    add(root, "30", ("dog", 0, 31, 1, 35, 5))
  elif kind == "box of words":
    add(root, "30", ("dog", 0, "left", 1, 5, 5))
  elif kind == "no box":
    annotation.write_text("<annotation><object><name>dog</name></object></annotation>")
  elif kind == "cut annotation":
    annotation.write_text(annotation.read_text()[:50])
  elif kind == "mask of another size":
    add_mask(root, "30", size=(20, 30))
  elif kind == "coloured mask":
    Image.new("RGB", (30, 20)).save(root / "SegmentationClass" / "30.png")
  elif kind == "strange mask":
    Image.new("L", (30, 20), 21).save(root / "SegmentationClass" / "30.png")
  elif kind == "broken mask":
    (root / "SegmentationClass" / "30.png").write_bytes(b"\x89PNG")
  elif kind == "listed twice":
    write_list(root, "Main", "train", "20", "10", "20")
  elif kind == "trained and tested":
    write_list(root, "Main", "test", "40", "30")
  elif kind == "no lists":
    for path in (root / "ImageSets" / "Main").iterdir():
      path.unlink()


DAMAGES = {
    "missing annotation": "lacks 1 of the files that its lists name, such as Annotations/30.xml",
    "missing mask": "such as SegmentationClass/50.png",
    "missing picture": "such as JPEGImages/40.jpg",
    "unknown class": "Annotations/30.xml of .*unknown class 'unicorn'",
    "turned box": r"Annotations/30.xml of .*\[9.0, 1.0, 5.0, 5.0\].*nothing lies in",
    "box outside": "nothing lies in its picture of 30 x 20",
    "box of words": "Annotations/30.xml of .* is damaged .*'left'",
    "no box": "Annotations/30.xml of .* is damaged .an object lacks bndbox/xmin",
    "cut annotation": "Annotations/30.xml of .* is damaged",
    "mask of another size": "SegmentationClass/30.png of .* 20 x 30 pixels but its picture 30 x 20",
    "coloured mask": "SegmentationClass/30.png of .* is RGB, not a palette picture",
    "strange mask": "SegmentationClass/30.png of .* holds class 21",
    "broken mask": "SegmentationClass/30.png of .* cannot be decoded",
    "listed twice": "ImageSets/Main/train.txt of .* lists 20 twice",
    "trained and tested": "lists 30 in both ImageSets/Main/val.txt and ImageSets/Main/test.txt",
    "no lists": "lists no pictures in ImageSets/Main",
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_devkit_is_one_sentence(kind: str, root: pathlib.Path) -> None:
  damage(root, kind)
  with pytest.raises((ValueError, OSError), match=DAMAGES[kind]) as error:
    load(root)
  assert "\n" not in str(error.value) and str(root) in str(error.value)
  assert not list((root.parent.parent.parent / "data_dir").rglob("dataset_info.json"))


def test_a_damaged_prepared_set_is_refused(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
  load(root)
  (record,) = (tmp_path / "data_dir").rglob("voc-val*")
  record.write_bytes(record.read_bytes()[:200])
  with pytest.raises(ValueError, match="The prepared voc at .* is damaged"):
    load(root)
  os.remove(record)
  with pytest.raises(ValueError, match="The prepared voc at .* lacks voc-val"):
    load(root)


def test_a_grey_picture_is_read_in_colour(root: pathlib.Path) -> None:
  buffer = io.BytesIO()
  Image.new("L", (30, 20), 77).save(buffer, "JPEG")
  (root / "JPEGImages" / "30.jpg").write_bytes(buffer.getvalue())
  assert load(root, "val")[0].image().shape == (20, 30, 3)


def test_a_picture_is_stored_once(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
  builder = prepare.find_or_prepare_voc(2007, str(tmp_path / "data_dir"), str(root))
  counts = {name: split.num_examples for name, split in builder.info.splits.items()}
  assert counts == {"train": 2, "val": 1, "test": 1, "other": 1}

"""What people really have: each folder is read as its owner means it, or refused by name."""

import json
import os
import pathlib

import numpy as np
from PIL import Image, PngImagePlugin
import pytest

from bigan_jax.data import batches, codec, files, folders, sources, survey
from bigan_jax.evaluation import metrics, probe_job
from configs import digits, image_folder

VIEW = files.View(edge=12, shape=(12, 12, 3), value_range=(-1.0, 1.0))


def write(root: pathlib.Path, *names: str, **how: object) -> None:
  """Writes small pictures of different colours."""
  for i, name in enumerate(names):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    kind = {"jfif": "JPEG", "jpe": "JPEG"}.get(name.rpartition(".")[2].lower())
    Image.new("RGB", (20, 16), (9 * i % 256, 99, 200)).save(root / name, kind, **how)


@pytest.fixture
def mine(tmp_path: pathlib.Path) -> pathlib.Path:
  (tmp_path / "mine").mkdir()
  return tmp_path / "mine"


def load(folder: pathlib.Path, splits: str = "validation") -> tuple[sources.Split, sources.Split]:
  data_dir = str(folder.parent / "data_dir")
  return sources.load_experiment("image_folder", splits, data_dir, str(folder), edge=12)


def said(folder: pathlib.Path) -> str:
  return survey.line(load(folder)[0].about)


def test_a_class_of_gifs_is_a_class(mine: pathlib.Path) -> None:
  write(mine, *(f"{c}/{i}.jpg" for c in ("cats", "dogs") for i in range(4)))
  write(mine, *(f"birds/{i}.gif" for i in range(4)))
  train, judged = load(mine)
  assert train.about.classes == ("birds", "cats", "dogs") and train.size + judged.size == 12
  assert said(mine) == (
      f"train: 11 pictures of 3 classes, judged by 1 other, from {mine}"
  )


@pytest.mark.skipif(codec.HEIF, reason="They are read here.")
def test_heic_beside_jpg_is_counted_and_listed(mine: pathlib.Path) -> None:
  write(mine, *(f"{i}.jpg" for i in range(8)))
  for i in range(90):
    (mine / f"{i}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
  train, judged = load(mine)
  assert (train.size, judged.size) == (7, 1)
  line = said(mine)
  assert "; left out: 90 .heic (pip install '.[heic]' reads .heic, listed in " in line
  listed = pathlib.Path(line.rpartition("listed in ")[2].rstrip(")"))
  assert len(listed.read_text().splitlines()) == 90


@pytest.mark.parametrize("ending", ["jfif", "jpe", "tif", "tiff", "gif", "avif", "JFIF"])
def test_other_endings_are_read(mine: pathlib.Path, ending: str) -> None:
  write(mine, *(f"{i}.{ending}" for i in range(6)))
  train, judged = load(mine)
  assert train.size + judged.size == 6
  assert files.read(str(mine / f"0.{ending}"), VIEW).shape == (12, 12, 3)


def test_the_first_frame_is_the_picture(mine: pathlib.Path) -> None:
  frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
  for name in ("a.gif", "a.tiff"):
    frames[0].save(mine / name, save_all=True, append_images=frames[1:])
    assert files.read(str(mine / name), VIEW)[0, 0].tolist() == [255, 0, 0]


def test_metadata_do_not_cost_a_picture(mine: pathlib.Path) -> None:
  text = PngImagePlugin.PngInfo()
  text.add_text("big", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
  write(mine, "text.png", pnginfo=text)
  write(mine, "profile.png", icc_profile=b"x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1))
  write(mine, "exif.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken")
  write(mine, "tiff.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x09\0\x01\0\0\0")
  for path in sorted(mine.iterdir()):
    assert isinstance(files.read(str(path), VIEW), np.ndarray), path.name
    assert codec.shrink(path.read_bytes(), 12, upright=True).jpeg, path.name


def test_what_may_not_be_read_is_told_so(
    mine: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  write(mine, *(f"{c}/{i}.jpg" for c in ("cats", "dogs", "birds") for i in range(3)))
  scandir = os.scandir
  def forbid(path: str) -> object:
    if str(path).endswith("birds"):
      raise PermissionError(13, "Permission denied", path)
    return scandir(path)
  with monkeypatch.context() as patch:
    patch.setattr(os, "scandir", forbid)
    assert "of 2 classes" in said(mine) and "1 unreadable (1 may not be read, listed" in said(mine)
  def refuse(*unused: object) -> None:
    raise PermissionError(13, "Permission denied")
  monkeypatch.setattr("builtins.open", refuse)
  assert files.read(str(mine / "cats" / "0.jpg"), VIEW).reason == "may not be read"


def test_names_of_any_bytes(mine: pathlib.Path) -> None:
  folder = mine / os.fsdecode(b"caf\xe9")
  write(folder, *(f"{c}/{i}.jpg" for c in (os.fsdecode(b"gr\xfcn"), "rot") for i in range(3)))
  (folder / "rot" / os.fsdecode(b"\xff.jpg")).write_bytes(b"no picture")
  train, judged = load(folder)
  assert train.about.classes == ("gr\\xfcn", "rot") and train.size + judged.size == 6
  said(folder).encode()
  for name in (os.fsdecode(b"a\\x\xe9\xc3\xa9.jpg"), "plain.jpg", "ü\\.png"):
    text = folders.escape(name)
    assert text.encode().decode("unicode_escape").encode("latin-1") == os.fsencode(name)


def test_pipes_are_no_pictures(mine: pathlib.Path) -> None:
  write(mine, "a.jpg", "b.jpg")
  os.mkfifo(mine / "c.jpg")
  train, judged = load(mine)
  assert train.size + judged.size == 2 and "left out: 1 pipes or devices" in said(mine)


@pytest.mark.parametrize("train, test", [
    ("archive/train", "archive/test"), ("archive/data/Train", "archive/data/Test"),
    ("seg_train/seg_train", "seg_test/seg_test"),
    ("training_set/training_set", "test_set/test_set"),
    ("train2017/images", "val2017/images"), ("flowers-train", "flowers-valid"),
])
def test_splits_are_found_where_downloads_put_them(
    mine: pathlib.Path, train: str, test: str
) -> None:
  write(mine, *(f"{train}/{c}/{i}.jpg" for c in ("cats", "dogs") for i in range(4)))
  write(mine, *(f"{test}/{c}/{i}.jpg" for c in ("cats", "dogs") for i in range(2)))
  write(mine, "seg_pred/1.jpg")
  learned, judged = load(mine)
  assert (learned.size, judged.size) == (8, 4) and learned.about.classes == ("cats", "dogs")
  assert "left out: 1 outside" in said(mine)


def test_two_sets_are_not_pooled(mine: pathlib.Path) -> None:
  write(mine, *(f"{s}/{half}/x/1.jpg" for s in "ab" for half in ("train", "test")))
  with pytest.raises(ValueError, match=r"holds several sets with splits \(a/train and b/train\)"):
    load(mine)


@pytest.mark.parametrize("above", ["", "archive/"])
def test_classes_that_hold_the_splits(mine: pathlib.Path, above: str) -> None:
  classes, counts = ("cats", "dogs"), (("train", 3), ("test", 2))
  write(mine, *(f"{above}{c}/{s}/{i}.jpg" for c in classes for s, n in counts for i in range(n)))
  train, judged = load(mine)
  assert (train.size, judged.size, train.about.classes) == (6, 4, classes)
  assert np.bincount(judged.labels).tolist() == [2, 2]
  assert f"from {mine} ({above}*/train/, {above}*/test/)" in said(mine)


def test_a_class_without_a_split_of_the_others(mine: pathlib.Path) -> None:
  write(mine, "cats/train/1.jpg", "cats/test/2.jpg", "dogs/train/3.jpg")
  with pytest.raises(ValueError, match=r"several sets with splits \(cats/train and dogs/train\)"):
    load(mine)


def test_training_pictures_are_not_one_class_of_others(mine: pathlib.Path) -> None:
  write(mine, "train/cats/1.jpg", "train/dogs/2.jpg", "unlabelled/3.jpg")
  with pytest.raises(ValueError, match=r"train holds 2 classes \(cats, dogs\), but beside it lies"):
    load(mine)


def test_tiny_imagenet_as_its_zip_unpacks(mine: pathlib.Path) -> None:
  root = mine / "tiny-imagenet-200"
  write(root, *(f"train/{c}/images/{c}_{i}.JPEG" for c in ("n01", "n02") for i in range(5)))
  write(root, *(f"val/images/val_{i}.JPEG" for i in range(4)))
  write(root, *(f"test/images/test_{i}.JPEG" for i in range(3)))
  lines = [f"val_{i}.JPEG\tn0{1 + i % 2}\t0\t0\t9\t9\n" for i in range(4)]
  (root / "val" / folders.ANNOTATIONS).write_text("".join(lines))
  for path in (mine, root):
    train, judged = load(path, "test")
    assert train.about.classes == ("n01", "n02") and (train.size, judged.size) == (10, 4)
    assert np.bincount(judged.labels).tolist() == [2, 2]
    assert "left out: 3 of " in survey.line(train.about)


def test_images_without_their_list_get_no_labels(mine: pathlib.Path) -> None:
  write(mine, *(f"train/n0{c}/images/{i}.jpg" for c in (1, 2) for i in range(3)))
  write(mine, "val/images/1.jpg", "val/images/2.jpg")
  train, judged = load(mine)
  assert train.num_classes == judged.num_classes == 0
  assert "without classes (not every picture lies" in said(mine)


@pytest.mark.parametrize("there, hint", [("Dogs", "differ in case alone"), ("birds", "give both")])
def test_a_judged_class_must_be_trained_on(mine: pathlib.Path, there: str, hint: str) -> None:
  write(mine, "train/cats/1.jpg", "train/dogs/2.jpg", "test/cats/3.jpg", f"test/{there}/4.jpg")
  with pytest.raises(ValueError, match=rf"test/ holds 1 class \({there}\), .* lacks; it.*{hint}"):
    load(mine)


def test_what_is_odd_about_classes_is_told(mine: pathlib.Path) -> None:
  write(mine, *(f"{c}/{i}.jpg" for c in ("Cat", "cat", "dog") for i in range(2)))
  assert "3 classes ('Cat' and 'cat' differ in case alone), judged" in said(mine)
  for i in range(2):
    (mine / "dog" / f"{i}.jpg").write_bytes(b"")
  assert "3 classes (no picture of 1 class (dog) can be read), judged" in said(mine)


def test_pictures_that_are_packed_or_without_an_ending_are_told(mine: pathlib.Path) -> None:
  write(mine, "0.jpg", "1.jpg", "2.jpg")
  (mine / "1.jpg").rename(mine / "8f3a")
  (mine / "LICENSE").write_text("free")
  (mine / "more.zip").touch()
  with pytest.raises(FileNotFoundError, match="more.zip is a file: unpack it, and name the one"):
    load(mine / "more.zip")
  assert "; left out: 1 .zip, 1 pictures without an ending such as .jpg (listed" in said(mine)


def test_links_count_and_left_overs_do_not(mine: pathlib.Path) -> None:
  write(mine, *(f"cats/{i}.jpg" for i in range(3)), "cats/@eaDir/1.jpg", "__MACOSX/cats/2.jpg")
  (mine / "dogs").symlink_to(mine / "cats")
  (mine / "cats" / "loop").symlink_to(mine)
  train, judged = load(mine)
  assert train.about.classes == ("cats", "dogs") and train.size + judged.size == 6
  assert "left out: 2 folders @eaDir, 1 folder __MACOSX" in said(mine)


def test_channels_are_converted_both_ways(
    mine: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  write(mine, *(f"{i}.png" for i in range(6)))
  config = digits.get_config()
  config.data.update({"name": "image_folder", "path": str(mine), "edge": 8})
  config.data_dir = str(mine.parent / "data_dir")
  train, _ = batches.load(config)
  grey = train.images.picture(0)
  assert grey.shape == (8, 10, 1) and "converted to grey for these networks" in (
      capsys.readouterr().out)
  crops = batches.fixed(train, 0, config, random=False).images
  assert crops.shape[1:] == (8, 8, 1)
  levels = [int(np.asarray(Image.open(path).convert("L"))[0, 0]) for path in mine.iterdir()]
  assert np.abs(crops.astype(int)[..., None] - levels).min(axis=-1).max() <= 1
  config = digits.get_config()
  config.model.encoder_shape = config.model.image_shape = (8, 8, 3)
  assert batches.load(config)[0].images.shape[1:] == (8, 8, 3)
  assert "converted to three equal channels" in capsys.readouterr().out


def test_the_record_of_the_data_follows_names_and_sizes(mine: pathlib.Path) -> None:
  write(mine, *(f"{c}/{i}.png" for c in ("cats", "dogs") for i in range(4)))
  before = survey.fingerprint(load(mine)[0].about)
  os.utime(mine / "cats" / "0.png", (1, 1))
  assert survey.fingerprint(load(mine)[0].about) == before == json.loads(json.dumps(before))
  moved = mine.rename(mine.parent / "elsewhere")
  assert survey.fingerprint(load(moved)[0].about) == before
  write(moved, "birds/1.png")
  assert survey.fingerprint(load(moved)[0].about) != before


def test_a_share_beside_splits_is_refused(mine: pathlib.Path) -> None:
  write(mine, "train/1.jpg", "train/2.jpg", "test/3.jpg")
  config = image_folder.get_config()
  config.data.update({"path": str(mine), "validation_share": 0.3})
  with pytest.raises(ValueError, match="validation_share is 0.3, but .* has splits of its own"):
    batches.load(config)


def test_no_accuracy_of_classes_that_are_not_trained_on(mine: pathlib.Path) -> None:
  write(mine, "a/1.png", "b/2.png")  # One to train on, one of the other class to judge by.
  config = digits.get_config()
  config.data.update({"name": "image_folder", "path": str(mine), "edge": 8})
  config.data_dir = str(mine.parent / "data_dir")
  judge = metrics.judge(config, None, None, *batches.load(config))
  assert judge.images.num_classes == 0
  train, judged = load(mine)
  with pytest.raises(ValueError, match="No class of the 1 judged images of it has a training"):
    probe_job.left_out("it", train, judged)

"""Tests of preparing ImageNet, from small tars and folders in ILSVRC2012's own layout."""

import functools
import io
import os
import pathlib
import shutil
import tarfile

import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import prepare, sources
from bigan_jax.data.builders import imagenet_presized

WNIDS = ("n01440764", "n01443537", "n15075141")  # Labels 0, 1 and 999.
VALIDATION_LABELS = (65, 970, 230, 809)  # Of pictures 1..4, as in every published list.


def encode(level: int, file_format: str = "JPEG", mode: str = "RGB") -> bytes:
  buffer = io.BytesIO()
  Image.new("RGB", (50, 40), (level, level, level)).convert(mode).save(buffer, file_format)
  return buffer.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
  info = tarfile.TarInfo(name)
  info.size = len(content)
  tar.addfile(info, io.BytesIO(content))


def train_pictures() -> dict[str, dict[str, bytes]]:
  """By class: names and contents, among them what is odd in the real set, and worse."""
  tench = {f"n01440764_{i}.JPEG": encode(10 * i) for i in range(6)}
  tench |= {"n01440764_90.JPEG": encode(90, "PNG", "RGBA"), "n01440764_91": encode(91)}
  goldfish = {"n01443537_0.JPEG": encode(0, mode="CMYK"), "n01443537_1.jpg": encode(1, mode="L")}
  tissue = {"n15075141_0.JPEG": encode(200), "n15075141_1.JPEG": b"broken", "._x.JPEG": b"mac"}
  return dict(zip(WNIDS, (tench, goldfish, tissue)))


def validation_pictures() -> dict[str, bytes]:
  return {f"ILSVRC2012_val_{i:08d}.JPEG": encode(20 * i) for i in (3, 1, 4, 2)}


def write_tars(folder: pathlib.Path) -> None:
  with tarfile.open(folder / imagenet_presized.TRAIN_TAR, "w") as outer:
    for wnid, files in reversed(train_pictures().items()):
      buffer = io.BytesIO()
      with tarfile.open(fileobj=buffer, mode="w") as inner:
        for name, content in files.items():
          add(inner, name, content)
      add(outer, f"{wnid}.tar", buffer.getvalue())
  with tarfile.open(folder / imagenet_presized.VALIDATION_TAR, "w") as tar:
    for name, content in validation_pictures().items():
      add(tar, name, content)
    add(tar, "readme.txt", b"odd")


def write_folders(folder: pathlib.Path) -> None:
  for wnid, files in train_pictures().items():
    (folder / "train" / wnid).mkdir(parents=True)
    for name, content in files.items():
      (folder / "train" / wnid / name).write_bytes(content)
  (folder / "val").mkdir()
  for name, content in validation_pictures().items():
    (folder / "val" / name).write_bytes(content)


def write_folders_sorted_by_class(folder: pathlib.Path) -> None:
  """As write_folders, but with the validation pictures moved into class folders, as many do."""
  write_folders(folder)
  for path in list((folder / "val").iterdir()):
    number = int(path.stem[-8:])
    target = folder / "val" / imagenet_presized.wnids()[VALIDATION_LABELS[number - 1]]
    target.mkdir(exist_ok=True)
    path.rename(target / path.name)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
  (tmp_path / "imagenet").mkdir()
  return tmp_path / "imagenet"


def load(folder: pathlib.Path, split: str = "train", edge: int = 20, **options) -> sources.Split:
  data_dir = str(folder.parent / "data_dir")
  return sources.load("imagenet_presized", split, data_dir, str(folder), edge=edge, **options)


def levels(split: sources.Split) -> list[int]:
  return [round(split.images.picture(i).mean()) for i in range(len(split.labels))]


@pytest.mark.parametrize("write", [write_tars, write_folders, write_folders_sorted_by_class])
def test_every_layout_gives_the_same_set(write, folder: pathlib.Path) -> None:
  write(folder)
  train, validation = load(folder), load(folder, "validation")
  assert train.labels.tolist() == [0] * 8 + [1] * 2 + [999]
  found = dict(zip(("tench", "goldfish", "tissue"), np.split(levels(train), [8, 10])))
  np.testing.assert_allclose(found["tench"], [0, 10, 20, 30, 40, 50, 90, 91], atol=1)
  np.testing.assert_allclose(sorted(found["goldfish"]), [0, 1], atol=1)
  np.testing.assert_allclose(found["tissue"], [200], atol=1)
  by_level = dict(zip(np.round(np.array(levels(validation)) / 20).astype(int), validation.labels))
  assert by_level == dict(zip((1, 2, 3, 4), VALIDATION_LABELS))
  assert train.num_classes == validation.num_classes == 1000
  assert train.images.lines.shape == (25 * 11, 20, 3)
  (skipped,) = (folder.parent / "data_dir").rglob("skipped.txt")
  assert skipped.read_text() == "n15075141_1.JPEG\tcannot be decoded\n"
  assert not (folder.parent / "data_dir" / "presize_work").exists()


def test_labels_are_those_of_tfds_and_the_official_list() -> None:
  assert len(imagenet_presized.wnids()) == 1000
  assert imagenet_presized.wnids() == sorted(imagenet_presized.wnids())
  assert np.bincount(imagenet_presized.validation_labels()).tolist() == [50] * 1000
  assert tuple(imagenet_presized.validation_labels()[:4]) == VALIDATION_LABELS


def test_max_labels(folder: pathlib.Path) -> None:
  write_tars(folder)
  few = load(folder, max_labels=2)
  assert few.labels.tolist() == [0] * 8 + [1] * 2 and few.num_classes == 2
  assert load(folder, max_labels=1).labels.tolist() == [0] * 8
  assert load(folder, "validation", max_labels=300).labels.tolist() == [65, 230]
  both = load(folder, "train+validation", max_labels=100)
  assert sorted(both.labels.tolist()) == [0] * 8 + [1] * 2 + [65]
  with pytest.raises(ValueError, match="no labels below 60"):
    load(folder, "validation", max_labels=60)


def test_validation_and_test_are_parts_of_the_validation_set(folder: pathlib.Path) -> None:
  write_tars(folder)
  with tarfile.open(folder / imagenet_presized.VALIDATION_TAR, "w") as tar:
    for i in range(1, 11):
      add(tar, f"ILSVRC2012_val_{i:08d}.JPEG", encode(20 * i))
  arguments = str(folder.parent / "data_dir"), str(folder)
  load_experiment = functools.partial(sources.load_experiment, "imagenet_presized", edge=20)
  train, evaluation = load_experiment("validation", *arguments)
  _, held_out = load_experiment("test", *arguments)
  assert len(train.labels) == 11
  order = np.random.RandomState(42).permutation(10)
  np.testing.assert_allclose(levels(held_out), 20 * (order[:2] + 1), atol=1)
  np.testing.assert_allclose(levels(evaluation), 20 * (order[2:] + 1), atol=1)


def test_missing_files_are_named_with_their_place(folder: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError) as error:
    load(folder)
  message = str(error.value)
  assert "\n" not in message and str(folder) in message and "at edge 20" in message
  assert imagenet_presized.TRAIN_TAR in message and imagenet_presized.VALIDATION_TAR in message
  write_tars(folder)
  (folder / imagenet_presized.VALIDATION_TAR).unlink()
  with pytest.raises(FileNotFoundError) as error:
    load(folder)
  assert f"lacks {imagenet_presized.VALIDATION_TAR} (or the pictures in val/)" in str(error.value)
  with pytest.raises(FileNotFoundError, match="data_dir/downloads/manual lacks"):
    sources.load("imagenet_presized", "train", str(folder.parent / "data_dir"), edge=20)


def test_a_set_of_another_size_is_named(folder: pathlib.Path) -> None:
  write_tars(folder)
  load(folder)
  shutil.rmtree(folder)
  folder.mkdir()
  assert len(load(folder).labels) == 11  # Prepared sets need their sources no more.
  with pytest.raises(FileNotFoundError, match=r"at edge 72 under .*data_dir \(but at 20\), and"):
    load(folder, edge=72)


def test_a_wrong_tar_is_one_sentence(folder: pathlib.Path) -> None:
  def message() -> str:
    with pytest.raises(ValueError) as error:
      load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)

  train = folder / imagenet_presized.TRAIN_TAR
  validation = folder / imagenet_presized.VALIDATION_TAR
  write_tars(folder)
  whole = train.read_bytes()
  train.write_bytes(b"<html>not found</html>")
  assert f"{train} is not a whole tar" in message()
  train.write_bytes(whole[:15_000])
  assert "whole tar" in message() or "damaged tar" in message()
  shutil.copyfile(validation, train)
  assert f"{train} holds no classes" in message()
  with tarfile.open(train, "w") as tar:
    add(tar, "n00004475.tar", b"")
  assert f"{train} holds class n00004475" in message()
  train.write_bytes(whole)
  shutil.copyfile(train, validation)
  assert f"{validation} holds no pictures such as ILSVRC2012_val_00000001.JPEG" in message()
  assert not list((folder.parent / "data_dir").rglob("dataset_info.json"))


def test_stated_configs_are_used() -> None:
  assert imagenet_presized.config_for(72) is imagenet_presized.ImagenetPresized.BUILDER_CONFIGS[0]
  assert imagenet_presized.config_for(96).name == "96"
  target = prepare.Target(imagenet_presized.ImagenetPresized, imagenet_presized.config_for(128))
  assert target.directory("root") == os.path.join("root", "imagenet_presized", "128", "1.0.0")

"""Tests of preparing a folder of one's own pictures."""

import contextlib
import logging
import os
import pathlib

from absl import logging as absl_logging
import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import codec, folders, layout, prepare, sources, survey


def write(root: pathlib.Path, *names: str, size: tuple[int, int] = (40, 30)) -> None:
  """Writes pictures of different plain colours."""
  for i, name in enumerate(names):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (5 * i % 256, 100, 200)).save(root / name)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
  (tmp_path / "mine").mkdir()
  return tmp_path / "mine"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
  """Captures absl's log, which bypasses the root logger."""
  absl_logging.get_absl_logger().addHandler(caplog.handler)
  with caplog.at_level(logging.INFO):
    yield caplog
  absl_logging.get_absl_logger().removeHandler(caplog.handler)


def load(folder: pathlib.Path, split: str = "train", edge: int = 24, **options) -> sources.Split:
  data_dir = str(folder.parent / "data_dir")
  return sources.load("image_folder", split, data_dir, str(folder), edge=edge, **options)


@pytest.mark.parametrize(
    "paths, entries, classes",
    [
        (["a.jpg", "b.jpg"], [("a.jpg", "", ""), ("b.jpg", "", "")], ()),
        (["cat/a.jpg", "dog/x/b.jpg"], [("cat/a.jpg", "", "cat"), ("dog/x/b.jpg", "", "dog")],
         ("cat", "dog")),
        (["a.jpg", "dog/b.jpg"], [("a.jpg", "", ""), ("dog/b.jpg", "", "dog")], ()),
        (["only/a.jpg", "only/b.jpg"], [("only/a.jpg", "", ""), ("only/b.jpg", "", "")], ()),
        (["Train/cat/a.jpg", "Train/dog/b.jpg", "Val/cat/c.jpg", "docs/d.jpg"],
         [("Train/cat/a.jpg", "train", "cat"), ("Train/dog/b.jpg", "train", "dog"),
          ("Val/cat/c.jpg", "validation", "cat")], ("cat", "dog")),
        (["train/a.jpg", "test/b.jpg"], [("train/a.jpg", "train", ""), ("test/b.jpg", "test", "")],
         ()),
        (["train/cat/a.jpg", "train/dog/b.jpg"],
         [("train/cat/a.jpg", "", "cat"), ("train/dog/b.jpg", "", "dog")], ("cat", "dog")),
        (["test/cat/a.jpg", "cat/b.jpg"],
         [("test/cat/a.jpg", "", "test"), ("cat/b.jpg", "", "cat")], ("cat", "test")),
    ],
)
def test_splits_and_classes_are_read_off_the_folders(
    paths: list[str], entries: list[tuple[str, str, str]], classes: tuple[str, ...]
) -> None:
  arranged = layout.arrange("", folders.Found(sorted(paths), [], []))
  assert (arranged.entries, arranged.classes) == (sorted(entries), classes)


def test_only_pictures_are_found_however_nested(folder: pathlib.Path) -> None:
  write(folder, "b/c/d/1.jpeg", "a.JPG", "b/2.webp", "b/3.bmp", "b/4.png", ".thumbs/5.jpg")
  (folder / "notes.txt").write_text("")
  (folder / "b" / "._4.png").write_text("")
  os.symlink(folder, folder / "b" / "loop")
  assert folders.scan(str(folder)).pictures == [
      "a.JPG", "b/2.webp", "b/3.bmp", "b/4.png", "b/c/d/1.jpeg",
  ]


def test_a_folder_with_splits_and_classes(folder: pathlib.Path) -> None:
  write(folder, *(f"train/{c}/{i}.png" for c in ("dog", "cat") for i in range(5)))
  write(folder, "test/dog/1.png", "test/cat/2.png", "test/cat/3.png", size=(30, 60))
  train, evaluation = sources.load_experiment(
      "image_folder", "validation", str(folder.parent / "data_dir"), str(folder), edge=24
  )
  assert train.num_classes == evaluation.num_classes == 2
  assert np.bincount(train.labels).tolist() == [5, 5]  # cat 0, dog 1
  assert np.bincount(evaluation.labels).tolist() == [2, 1]
  assert train.images.picture(0).shape == (24, 32, 3)
  assert evaluation.images.picture(0).shape == (48, 24, 3)
  dogs = [int(train.images.picture(i)[0, 0, 0]) for i in np.flatnonzero(train.labels)]
  np.testing.assert_allclose(sorted(dogs), range(0, 25, 5), atol=2)  # Written first.


def test_a_folder_without_splits_keeps_a_share_for_evaluation(folder: pathlib.Path) -> None:
  write(folder, *(f"{i:02d}.png" for i in range(20)))
  train = load(folder, validation_share=0.25)
  evaluation = load(folder, "validation", validation_share=0.25)
  assert (len(train.labels), len(evaluation.labels)) == (15, 5)
  assert train.num_classes == 0 and not train.labels.any()
  reds = [int(s.images.picture(i)[0, 0, 0]) for s in (train, evaluation)
          for i in range(len(s.labels))]
  np.testing.assert_allclose(sorted(reds), np.arange(0, 100, 5), atol=2)
  assert reds != sorted(reds)
  again, _ = sources.load_experiment(
      "image_folder", "test", str(folder.parent / "elsewhere"), str(folder), edge=24,
      validation_share=0.25,
  )
  np.testing.assert_array_equal(again.images.lines, train.images.lines)


def test_preparation_follows_the_folder(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  write(folder, "a.png", "b.png", "c.png")
  total = lambda **options: len(load(folder, "train+validation", **options).labels)
  assert total() == 3
  prepared = folder.parent / "data_dir" / "image_folder"
  assert len(list(prepared.iterdir())) == 1
  monkeypatch.setattr(prepare, "_prepare", None)
  assert total() == 3  # Read back: another preparation would fail here.
  monkeypatch.undo()
  write(folder, "d.png")
  assert total() == 4
  os.utime(folder / "a.png", (1, 1))
  assert total(edge=24) == total(edge=20) == 4
  assert len(list(prepared.iterdir())) == 4
  assert not (folder.parent / "data_dir" / "presize_work").exists()


def test_bad_pictures_are_skipped_and_oddities_told(
    folder: pathlib.Path, logged: pytest.LogCaptureFixture
) -> None:
  write(folder, *(f"cat/{i}.png" for i in range(4)), "loose.png")
  (folder / "cat" / "broken.jpg").write_bytes(b"no picture")
  (folder / "cat" / "link.jpg").symlink_to(folder / "nowhere.jpg")
  (folder / "cat" / "ring.jpg").symlink_to("ring.jpg")
  (folder / "cat" / "ring").symlink_to("ring")
  (folder / "dog").mkdir()
  assert len(load(folder, "train+validation").labels) == 5
  assert "skipped 3 of 8 pictures (" in logged.text and "such as cat/broken.jpg" in logged.text
  train, _ = sources.load_experiment(
      "image_folder", "validation", str(folder.parent / "data_dir"), str(folder), edge=24
  )
  said = survey.line(train.about)
  assert "4 pictures without classes (not every picture lies in one of two or more class" in said
  assert "left out: 1 empty folder, 3 unreadable (1 No such file" in said
  (skipped,) = (folder.parent / "data_dir").rglob("skipped.txt")
  assert [line.split("\t")[0] for line in skipped.read_text().splitlines()] == [
      "cat/broken.jpg", "cat/link.jpg", "cat/ring.jpg", "dog/"
  ]


def test_a_link_to_where_one_may_not_look_is_all_that_is_left_out(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  write(folder, "a.png", "b/c.png")
  (folder / "album").mkdir()
  scan = os.scandir
  class Forbidden:
    """An entry, of which only the name may be known."""
    name, path = "album", str(folder / "album")
    def is_dir(self) -> bool:
      raise PermissionError
  def entries(path: str) -> contextlib.nullcontext:
    with scan(path) as found:
      return contextlib.nullcontext([Forbidden() if e.name == "album" else e for e in found])
  monkeypatch.setattr(os, "scandir", entries)
  found = folders.scan(str(folder))
  assert found.pictures == ["a.png", "b/c.png"] and found.left == [("album", codec.FORBIDDEN)]


def test_a_folder_without_enough_pictures_is_one_sentence(folder: pathlib.Path) -> None:
  def message(error: type[Exception]) -> str:
    with pytest.raises(error) as info:
      load(folder)
    assert "\n" not in str(info.value) and str(folder) in str(info.value)
    return str(info.value)

  assert "holds no pictures (.jpg, " in message(ValueError)
  (folder / "labels" / "cat").mkdir(parents=True)
  assert "holds no pictures" in message(ValueError)
  write(folder, "a.png")
  assert "holds a single picture" in message(ValueError)
  (folder / "b.png").write_bytes(b"")
  assert "Only 1 of the 2 image files" in message(ValueError)
  assert not list((folder.parent / "data_dir").rglob("dataset_info.json"))
  (folder / "a.png").unlink()
  (folder / "b.png").unlink()
  (folder / "labels" / "cat").rmdir()
  (folder / "labels").rmdir()
  folder.rmdir()
  assert "is not a folder" in message(FileNotFoundError)


def test_an_explicit_split_that_cannot_be_opened_is_told(folder: pathlib.Path) -> None:
  write(folder, "train/a.png", "train/b.png", "test/c.png")
  (folder / "test" / "c.png").write_bytes(b"")
  with pytest.raises(ValueError, match="Only 0 of the 1 test files of .* can be"):
    load(folder)


def test_arguments_must_make_sense(folder: pathlib.Path) -> None:
  write(folder, "a.png", "b.png")
  with pytest.raises(ValueError, match="The edge of image_folder is 0"):
    load(folder, edge=0)
  with pytest.raises(ValueError, match="The validation share is 1.5"):
    load(folder, validation_share=1.5)
  with pytest.raises(ValueError, match="image_folder has no path"):
    sources.load("image_folder", "train", str(folder), edge=24)
  with pytest.raises(ValueError, match="max_labels is 1, but image_folder"):
    load(folder, max_labels=1)

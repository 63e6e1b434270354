"""Tests of sets that would have to come from the network, which tests never use."""

import importlib.util
import pathlib
import socket
import time

import pytest

from bigan_jax.data import downloads, sources
from bigan_jax.data.builders import mnist


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(downloads, "can_reach", lambda url: False)


def test_missing_set_offline_says_what_to_put_where(tmp_path: pathlib.Path, offline: None) -> None:
  with pytest.raises(FileNotFoundError) as error:
    sources.load("fashion_mnist", "train", str(tmp_path))
  message = str(error.value)
  assert "fashion_mnist/3.0.1" in message and "TFDS_DATA_DIR" in message
  assert str(tmp_path / "downloads" / "manual") in message
  assert all(name in message for name in mnist.FILES)


def test_files_put_in_the_manual_folder_are_used_and_checked(
    tmp_path: pathlib.Path, offline: None
) -> None:
  manual = tmp_path / "downloads" / "manual"
  manual.mkdir(parents=True)
  for name in mnist.FILES:
    (manual / name).write_bytes(b"not the official file")
  with pytest.raises(OSError, match="Preparing mnist under .* failed: .*checksum"):
    sources.load("mnist", "train", str(tmp_path))
  assert not (tmp_path / "mnist" / "3.0.1").exists()


@pytest.mark.parametrize("name", ["cifar10:3.0.1", "cifar10/small"])
def test_another_version_than_ours_is_told(name: str, tmp_path: pathlib.Path) -> None:
  with pytest.raises(ValueError, match="cifar10 is prepared as cifar10:3.0.2 alone: ask for that"):
    sources.load(name, "train", str(tmp_path))


@pytest.mark.parametrize("name", ["svhn_cropped", "imagenet2012_subset/1pct"])
def test_other_sets_of_tfds_say_how_to_prepare_them_elsewhere(
    name: str, tmp_path: pathlib.Path, offline: None
) -> None:
  command = f"`tfds build {name} --file_format=array_record`"
  with pytest.raises(FileNotFoundError, match=f"cannot be reached.*{command}.* into {tmp_path}"):
    sources.load(name, "train", str(tmp_path))


@pytest.mark.skipif(bool(importlib.util.find_spec("tensorflow")), reason="TensorFlow is here.")
def test_sets_whose_code_needs_tensorflow_say_so_quietly(
    tmp_path: pathlib.Path, offline: None, capsys: pytest.CaptureFixture[str]
) -> None:
  with pytest.raises(FileNotFoundError, match="No module named 'tensorflow'.*tfds build coco_capt"):
    sources.load("coco_captions", "train", str(tmp_path))
  assert capsys.readouterr() == ("", "")


def test_can_reach_gives_up_in_time() -> None:
  with socket.create_server(("127.0.0.1", 0)) as silent:  # Accepts, and never answers.
    start = time.monotonic()
    assert not downloads.can_reach(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.3)
    assert time.monotonic() - start < 2

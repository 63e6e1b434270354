"""Tests of finding and preparing sets, and of every way in which one can be missing or damaged."""

import json
import pathlib
import shutil
import subprocess
import sys

from PIL import Image
import pytest

from bigan_jax.data import prepare, sources


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  root = tmp_path_factory.mktemp("prepared")
  prepare.find_or_prepare("digits", str(root))
  return root


@pytest.fixture
def copied(prepared: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
  """A data_dir whose prepared digits a test may damage."""
  shutil.copytree(prepared, tmp_path / "copied")
  return tmp_path / "copied"


def test_unknown_name_is_answered_with_the_nearest() -> None:
  with pytest.raises(ValueError, match="'mnits'.*did you mean 'mnist'.*digits, mnist"):
    sources.load("mnits", "train")


def test_data_dir_then_environment_then_home(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
  assert prepare.data_root("") == str(tmp_path / "tensorflow_datasets")
  monkeypatch.setenv("TFDS_DATA_DIR", "~/environment")
  assert prepare.data_root("") == str(tmp_path / "environment")
  assert prepare.data_root("~/given") == str(tmp_path / "given")


def test_digits_fall_back_to_home_when_data_dir_cannot_be_written(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
  blocked = tmp_path / "file"
  blocked.write_text("not a directory")
  monkeypatch.setenv("HOME", str(tmp_path))
  assert len(sources.load("digits", "test", str(blocked)).labels) == 297
  assert (tmp_path / "tensorflow_datasets" / "digits" / "1.0.0").is_dir()
  assert capsys.readouterr() == ("", "")  # Silent: nobody asked for a preparation.
  monkeypatch.setenv("HOME", str(blocked))
  with pytest.raises(OSError, match="name a writable directory by data_dir or TFDS_DATA_DIR"):
    sources.load("digits", "test", str(blocked))


def edit_info(directory: pathlib.Path, **fields: object) -> None:
  path = directory / "dataset_info.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | fields))


DAMAGES = {
    "unfinished": lambda d: (d / "dataset_info.json").unlink(),
    "damaged dataset_info.json": lambda d: (d / "dataset_info.json").write_text('{"splits": ['),
    "holds no splits": lambda d: edit_info(d, splits=[]),
    "tfrecord format": lambda d: edit_info(d, fileFormat="tfrecord"),
    "lacks digits-train.array_record-00000-of-00001": lambda d: record(d).unlink(),
    "is damaged": lambda d: record(d).write_bytes(record(d).read_bytes()[:70000]),
    "is damaged (": lambda d: record(d).write_bytes(b""),
}


def record(directory: pathlib.Path) -> pathlib.Path:
  return directory / "digits-train.array_record-00000-of-00001"


@pytest.mark.parametrize("sentence", DAMAGES)
def test_a_damaged_set_is_refused(sentence: str, copied: pathlib.Path) -> None:
  directory = copied / "digits" / "1.0.0"
  DAMAGES[sentence](directory)
  with pytest.raises(ValueError) as error:
    sources.load("digits", "train", str(copied))
  message = str(error.value)
  assert sentence in message and str(directory) in message and "delete" in message


def test_two_processes_prepare_at_once(tmp_path: pathlib.Path) -> None:
  code = (
      "import sys; from bigan_jax.data import sources;"
      " print(int(sources.load('digits', 'train', sys.argv[1]).images.sum()))"
  )
  command = [sys.executable, "-c", code, str(tmp_path)]
  runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
  sums = [run.communicate()[0] for run in runs]
  assert [run.returncode for run in runs] == [0, 0]
  assert sums[0] == sums[1] != ""
  assert [path.name for path in (tmp_path / "digits").iterdir()] == ["1.0.0"]


def test_what_killed_preparations_left_is_removed(tmp_path: pathlib.Path) -> None:
  folder = tmp_path / "mine"
  folder.mkdir()
  for name in ("a.png", "b.png"):
    Image.new("RGB", (9, 9)).save(folder / name)
  arguments = "image_folder", str(tmp_path / "data_dir"), str(folder), 8
  directory = pathlib.Path(prepare.find_or_prepare(*arguments).data_dir)
  shutil.rmtree(directory)
  (directory.parent / "incomplete.ABCDEF_1.0.0").mkdir()
  assert prepare.find_or_prepare(*arguments).data_dir == str(directory)
  assert [path.name for path in directory.parent.iterdir()] == ["1.0.0"]

"""Tests of loading: whole splits, parts of them, and the splits of an experiment."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from bigan_jax.data import prepare, sources, splits
from bigan_jax.data.builders import digits


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  root = tmp_path_factory.mktemp("prepared")
  prepare.find_or_prepare("digits", str(root))
  return root


def test_load_returns_one_array(prepared: pathlib.Path) -> None:
  split = sources.load("digits", "train", str(prepared))
  assert split.images.shape == (1500, 8, 8, 1) and split.images.dtype == np.uint8
  assert split.images.flags.c_contiguous
  assert split.labels.shape == (1500,) and split.labels.dtype == np.int32
  assert split.num_classes == 10
  images, labels = digits.read_digits()
  np.testing.assert_array_equal(split.images[..., 0], images[:1500])
  np.testing.assert_array_equal(split.labels, labels[:1500])


def test_parts_of_splits(prepared: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
  whole = sources.load("digits", "train", str(prepared))
  monkeypatch.setattr(splits, "BLOCK", 7)
  part = sources.load("digits", "train[10%:20%]", str(prepared))
  np.testing.assert_array_equal(part.images, whole.images[150:300])
  both = sources.load("digits", "test+train", str(prepared))
  assert len(both.labels) == 1797


@pytest.mark.parametrize("split", ["trian", "train[5", "train[:0%]", ""])
def test_a_bad_split_is_named(split: str, prepared: pathlib.Path) -> None:
  with pytest.raises(ValueError) as error:
    sources.load("digits", split, str(prepared))
  assert repr(split) in str(error.value) and "\n" not in str(error.value)


def test_validation_splits_cut_the_shuffled_training_set(prepared: pathlib.Path) -> None:
  train, evaluation = sources.load_experiment("digits", "validation", str(prepared), "")
  whole = sources.load("digits", "train", str(prepared))
  order = np.random.RandomState(42).permutation(1500)
  np.testing.assert_array_equal(train.images, whole.images[order[:1250]])
  np.testing.assert_array_equal(evaluation.labels, whole.labels[order[1250:]])


def test_test_splits_keep_the_whole_training_set(prepared: pathlib.Path) -> None:
  train, evaluation = sources.load_experiment("digits", "test", str(prepared), "")
  whole = sources.load("digits", "train", str(prepared))
  order = np.random.RandomState(42).permutation(1500)
  np.testing.assert_array_equal(train.labels, whole.labels[order])
  assert evaluation.images.shape == (297, 8, 8, 1)
  with pytest.raises(ValueError, match="splits is 'tset': choose from validation, test"):
    sources.load_experiment("digits", "tset", str(prepared), "")


@pytest.mark.parametrize("protocol, size", [("validation", 1250), ("test", 1500)])
def test_what_takes_more_than_it_may_is_left_on_disk(
    prepared: pathlib.Path, protocol: str, size: int
) -> None:
  load = lambda most: sources.load_experiment("digits", protocol, str(prepared), most_bytes=most)
  assert all(isinstance(split, splits.Split) for split in load(1500 * 64))
  for read, stored in zip(load(1500 * 64), load(250 * 64 - 1), strict=True):
    assert isinstance(stored, splits.Stored) and stored.size == read.size
    assert (stored.num_classes, stored.shape) == (10, (8, 8, 1))
    np.testing.assert_array_equal(stored.read().images, read.images)
    np.testing.assert_array_equal(stored.read().labels, read.labels)
  assert load(0)[0].size == size


def test_importing_is_light() -> None:
  code = "import sys, bigan_jax.data.sources; print('tensorflow_datasets' in sys.modules)"
  output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
  assert output.stdout == "False\n"

"""Tests of the digits builder."""

import numpy as np
import pytest
from sklearn import datasets
import tensorflow_datasets as tfds

from bigan_jax.data.builders import digits


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> digits.Digits:
  builder = digits.Digits(data_dir=tmp_path_factory.mktemp("tfds"), file_format="array_record")
  builder.download_and_prepare()
  return builder


def test_the_contract(builder: digits.Digits) -> None:
  assert builder.info.full_name == "digits/1.0.0"
  assert builder.info.features["image"].shape == (8, 8, 1)
  assert builder.info.features["image"].np_dtype == np.uint8
  assert builder.info.features["label"].num_classes == 10
  assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
      "train": 1500, "test": 297,
  }


def test_the_stored_pictures_are_those_of_scikit_learn(builder: digits.Digits) -> None:
  source = builder.as_data_source("train+test")
  stored = sorted((e["label"], e["image"].tobytes()) for e in source)
  images, labels = datasets.load_digits(return_X_y=True)
  pixels = np.round(images * 255 / 16).astype(np.uint8)
  assert stored == sorted((label, image.tobytes()) for label, image in zip(labels, pixels))


def test_stored_order_is_the_shuffled_order(builder: digits.Digits) -> None:
  _, labels = digits.read_digits()
  assert [e["label"] for e in builder.as_data_source("train[:20]")] == labels[:20].tolist()
  # scikit-learn's own order runs 0, 1, 2, ...: a split by position would not be a random one.
  assert labels[:10].tolist() != list(range(10))
  assert len(set(labels[digits.NUM_TRAIN:])) == 10


def test_is_known_to_tfds_by_name() -> None:
  assert tfds.core.registered.imported_builder_cls("digits") is digits.Digits

"""Data set name + split -> one array of pictures in host memory."""

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from bigan_jax.data import prepare

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

BLOCK = 4096  # Records read at a time: few calls, little memory beside the result.
TRAIN_SHARE = 5 / 6  # 50,000 of MNIST's 60,000 (reference section 8); other sets likewise.
PROTOCOLS = ("validation", "test")
SHUFFLE_SEED = 42  # The authors' (reference section 8).


class Split(NamedTuple):
  """Pictures held in host memory.

  images: uint8 [N, H, W, C]. labels: int32 [N], zeros if unlabelled. num_classes: 0 if unlabelled.
  """

  images: np.ndarray
  labels: np.ndarray
  num_classes: int


def load(name: str, split: str, data_dir: str = "", path: str = "") -> Split:
  """Reads a whole split, preparing the set first if need be.

  Args:
    name: one of prepare.NAMES.
    split: TFDS syntax: "train", "test", "train[:80%]", "train+test".
    data_dir: parent of the prepared sets; if empty, $TFDS_DATA_DIR, else ~/tensorflow_datasets.
    path: where a set of the user's own pictures lies; sets known by name ignore it.

  Raises:
    ValueError: unknown set or split; a damaged prepared set.
    FileNotFoundError, OSError: see `prepare.find_or_prepare`.
  """
  del path
  return _read(prepare.find_or_prepare(name, data_dir), split)


def load_experiment(
    name: str, splits: str, data_dir: str = "", path: str = "", seed: int = SHUFFLE_SEED
) -> tuple[Split, Split]:
  """The training and the evaluation pictures of an experiment (reference section 8).

  Args:
    name, data_dir, path: as for `load`.
    splits: "validation": the training set, shuffled once, is cut into 5/6 (MNIST: 50,000) to
      train on and 1/6 (10,000) to evaluate on. "test": all of it, in that order, and the test set.
    seed: of that shuffle.

  Raises:
    ValueError: another value of `splits`; and as `load`.
  """
  if splits not in PROTOCOLS:
    raise ValueError(f"splits is {splits!r}: choose from {', '.join(PROTOCOLS)}.")
  whole = load(name, "train", data_dir, path)
  order = np.random.RandomState(seed).permutation(len(whole.labels))
  if splits == "test":
    return _take(whole, order), load(name, "test", data_dir, path)
  cut = round(TRAIN_SHARE * len(order))
  return _take(whole, order[:cut]), _take(whole, order[cut:])


def _take(split: Split, indices: np.ndarray) -> Split:
  return Split(split.images[indices], split.labels[indices], split.num_classes)


def _read(builder: "tfds.core.DatasetBuilder", split: str) -> Split:
  import tensorflow_datasets as tfds

  _check_split(split, builder)
  # TFDS decodes through a layer that costs twice as much as the decoding itself.
  source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
  features = builder.info.features
  images = np.empty((len(source), *features["image"].shape), np.uint8)
  labels = np.empty(len(source), np.int32)
  try:
    for start in range(0, len(source), BLOCK):
      block = range(start, min(start + BLOCK, len(source)))
      for i, example in zip(block, source.__getitems__(block)):
        images[i] = decode(example["image"]).reshape(images.shape[1:])
        labels[i] = example["label"]
  except (RuntimeError, OSError, ValueError) as error:  # ArrayRecord's, Pillow's, a wrong shape.
    raise ValueError(
        f"The prepared {builder.name} at {builder.data_path} is damaged ({error}): delete that"
        " directory and prepare it again."
    ) from error
  return Split(images, labels, features["label"].num_classes)


def _check_split(split: str, builder: "tfds.core.DatasetBuilder") -> None:
  """Raises ValueError unless every part of `split` names a split that the set has, not empty."""
  try:
    empty = builder.info.splits[split].num_examples == 0
  except (KeyError, ValueError, AssertionError) as error:
    known = ", ".join(builder.info.splits)
    raise ValueError(
        f"{builder.name} has no split {split!r}: choose from {known}, or a part such as"
        " 'train[:80%]'."
    ) from error
  if empty:
    raise ValueError(f"Split {split!r} of {builder.name} holds no pictures: ask for a larger part.")


def decode(encoded: bytes) -> np.ndarray:
  """Pixels uint8 [H, W] or [H, W, 3] of an encoded picture; OSError if it is none."""
  with Image.open(io.BytesIO(encoded)) as picture:
    return np.asarray(picture)

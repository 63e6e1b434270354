"""Data set name + split -> its pictures in host memory."""

import bisect
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bigan_jax.data import codec, prepare, strips

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

BLOCK = 4096  # Records read at a time: few calls, little memory beside the result.
TRAIN_SHARE = 5 / 6  # 50,000 of MNIST's 60,000 (reference section 8); other sets likewise.
IMAGENET_TEST_SHARE = 1 / 5  # 10,000 of ImageNet's 50,000 for validation (reference section 8).
PROTOCOLS = ("validation", "test")
SHUFFLE_SEED = 42  # The authors' (reference section 8).
KEYED = ("mnist", "fashion_mnist")  # Stored by the hash of each image's index in its file.


class Split(NamedTuple):
  """Pictures held in host memory.

  images: uint8 [N, H, W, C]; strips.Strips for sets whose pictures differ in size.
  labels: int32 [N], zeros if unlabelled. num_classes: 0 if unlabelled.
  """

  images: np.ndarray | strips.Strips
  labels: np.ndarray
  num_classes: int


def load(
    name: str,
    split: str,
    data_dir: str = "",
    path: str = "",
    edge: int = 0,
    validation_share: float = 0.1,
    max_labels: int = 0,
) -> Split:
  """Reads a whole split, preparing the set first if need be.

  Args:
    name, data_dir, path, edge, validation_share: see `prepare.find_or_prepare`.
    split: TFDS syntax: "train", "test", "train[:80%]", "train+test".
    max_labels: of imagenet_presized, only pictures with a label below this; 0: all.

  Raises:
    ValueError: unknown set or split; a damaged prepared set.
    FileNotFoundError, OSError: see `prepare.find_or_prepare`.
  """
  builder = prepare.find_or_prepare(name, data_dir, path, edge, validation_share)
  return _read(builder, split, edge, max_labels)


def load_experiment(
    name: str,
    splits: str,
    data_dir: str = "",
    path: str = "",
    seed: int = SHUFFLE_SEED,
    edge: int = 0,
    validation_share: float = 0.1,
    max_labels: int = 0,
) -> tuple[Split, Split]:
  """The training and the evaluation pictures of an experiment (reference section 8).

  Args:
    name, data_dir, path, edge, validation_share, max_labels: as for `load`.
    splits: "validation" or "test". Of digits and mnist: the training set, shuffled once, is cut
      into 5/6 (50,000) to train on and 1/6 to evaluate on; or all of it and the test set. Of
      imagenet_presized: the validation set, shuffled, is cut into 1/5 (10,000), the test set, and
      4/5. Of image_folder: the split of that name if the folder has it, else the other.
    seed: of the shuffle.

  Raises:
    ValueError: another value of `splits`; and as `load`.
  """
  if splits not in PROTOCOLS:
    raise ValueError(f"splits is {splits!r}: choose from {', '.join(PROTOCOLS)}.")
  builder = prepare.find_or_prepare(name, data_dir, path, edge, validation_share)
  train = _read(builder, "train", edge, max_labels)
  if name == "image_folder":
    other = next(split for split in (splits, *PROTOCOLS) if split in builder.info.splits)
    return train, _read(builder, other, edge, 0)
  if name == "imagenet_presized":
    return train, _imagenet_evaluation(builder, splits, edge, max_labels, seed)
  order = np.random.RandomState(seed).permutation(len(train.labels))
  if name in KEYED:
    order = _stored_position("train", len(order))[order]
  if splits == "test":
    return _take(train, order), _read(builder, "test", edge, 0)
  cut = round(TRAIN_SHARE * len(order))
  return _take(train, order[:cut]), _take(train, order[cut:])


def _imagenet_evaluation(
    builder: "tfds.core.DatasetBuilder", splits: str, edge: int, max_labels: int, seed: int
) -> Split:
  """The part of the validation set that `splits` names, then restricted to `max_labels`."""
  order = np.random.RandomState(seed).permutation(builder.info.splits["validation"].num_examples)
  cut = round(IMAGENET_TEST_SHARE * len(order))
  indices = order[:cut] if splits == "test" else order[cut:]
  return _read(builder, "validation", edge, max_labels, indices)


def _stored_position(split: str, count: int) -> np.ndarray:
  """[count] places at which TFDS stored the images, in the order of the files that it read.

  TFDS writes examples in the order of a hash of their keys, here 0, 1, ... The authors cut the
  files' order: this way their very 50,000 and 10,000 images come out (reference section 8).
  """
  from tensorflow_datasets.core import hashing

  hasher = hashing.Hasher(split)
  stored = sorted(range(count), key=hasher.hash_key)
  return np.argsort(stored)


def _take(split: Split, indices: np.ndarray) -> Split:
  return Split(split.images[indices], split.labels[indices], split.num_classes)


def _read(
    builder: "tfds.core.DatasetBuilder",
    split: str,
    edge: int,
    max_labels: int,
    indices: np.ndarray | None = None,
) -> Split:
  """Reads `indices` of a split, all by default, of which only labels below `max_labels`."""
  import tensorflow_datasets as tfds

  _check_split(split, builder)
  if max_labels and builder.name != "imagenet_presized":
    raise ValueError(
        f"max_labels is {max_labels}, but {builder.name} is read whole: leave it at 0, only"
        " imagenet_presized has subsets."
    )
  # TFDS decodes through a layer that costs twice as much as the decoding itself.
  source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
  try:
    if builder.name not in prepare.PICTURES:
      return _read_uniform(source, builder.info.features)
    read = _read_strips(source, builder.info.features, edge, max_labels, split, indices)
  except (RuntimeError, OSError, ValueError) as error:  # ArrayRecord's, Pillow's, a wrong shape.
    raise ValueError(
        f"The prepared {builder.name} at {builder.data_path} is damaged ({error}): delete that"
        " directory and prepare it again."
    ) from error
  if not len(read.labels):
    raise ValueError(
        f"Split {split!r} of {builder.name} has no labels below {max_labels}: raise max_labels."
    )
  return read


def _read_uniform(source: Sequence[dict], features: "tfds.features.FeaturesDict") -> Split:
  images = np.empty((len(source), *features["image"].shape), np.uint8)
  labels = np.empty(len(source), np.int32)
  for start in range(0, len(source), BLOCK):
    block = range(start, min(start + BLOCK, len(source)))
    for i, example in zip(block, source.__getitems__(block)):
      images[i] = codec.decode(example["image"]).reshape(images.shape[1:])
      labels[i] = example["label"]
  return Split(images, labels, features["label"].num_classes)


def _read_strips(
    source: Sequence[dict],
    features: "tfds.features.FeaturesDict",
    edge: int,
    max_labels: int,
    split: str,
    indices: np.ndarray | None,
) -> Split:
  num_classes = max_labels or (features["label"].num_classes if "label" in features else 0)
  if indices is None:
    indices = np.arange(len(source))
    if max_labels and split == "train":  # Stored in the order of its labels.
      end = bisect.bisect_left(indices, max_labels, key=lambda i: source[int(i)]["label"])
      indices = indices[:end]
  sizes, labels = strips.survey(source, indices)
  kept = labels < max_labels if max_labels else np.ones(len(labels), bool)
  return Split(strips.read(source, indices[kept], sizes[kept], edge), labels[kept], num_classes)


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

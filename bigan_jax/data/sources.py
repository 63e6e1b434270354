"""Data set name + split -> its pictures, in host memory or left on disk."""

import bisect
from collections.abc import Callable
import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from bigan_jax.data import named, prepare, strips, survey
from bigan_jax.data.splits import Split, Stored

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

TRAIN_SHARE = 5 / 6  # 50,000 of MNIST's 60,000 (reference section 8); other sets likewise.
IMAGENET_TEST_SHARE = 1 / 5  # 10,000 of ImageNet's 50,000 for validation (reference section 8).
PROTOCOLS = ("validation", "test")
SHUFFLE_SEED = 42  # The authors' (reference section 8).
KEYED = ("mnist", "fashion_mnist")  # Stored by the hash of each image's index in its file.


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
    name: str, splits: str, data_dir: str = "", path: str = "", seed: int = SHUFFLE_SEED,
    edge: int = 0, validation_share: float = 0.1, max_labels: int = 0,
    most_bytes: float = math.inf,
) -> tuple[Split | Stored, Split | Stored]:
  """The training and the evaluation pictures of an experiment (reference section 8).

  Args:
    name, data_dir, path, edge, validation_share, max_labels: as for `load`.
    splits: "validation" or "test". Of digits and mnist: the training set, shuffled once, is cut
      into 5/6 (50,000) to train on and 1/6 to evaluate on; or all of it and the test set. Of other
      sets of TFDS likewise, but that a validation set of their own takes the place of the part. Of
      imagenet_presized: the validation set, shuffled, is cut into 1/5 (10,000), the test set, and
      4/5. Of image_folder: the split of that name if the folder has it, else the other.
    seed: of the shuffle.
    most_bytes: pictures whose pixels take more than this are left on disk.

  Raises:
    ValueError: another value of `splits`; and as `load`.
  """
  if splits not in PROTOCOLS:
    raise ValueError(f"splits is {splits!r}: choose from {', '.join(PROTOCOLS)}.")
  builder = prepare.find_or_prepare(name, data_dir, path, edge, validation_share)
  read = functools.partial(_read, builder, edge=edge, max_labels=0, most_bytes=most_bytes)
  if name == "imagenet_presized":
    split, train = splits, read("train", max_labels=max_labels)
    judged = _imagenet_evaluation(builder, splits, edge, max_labels, seed)
  elif name == "image_folder":
    split = next(split for split in (splits, *PROTOCOLS) if split in builder.info.splits)
    train, judged = read("train"), read(split)
  else:
    split, train, judged = _named_experiment(builder, splits, seed, read)
  about = survey.of_set(builder, split, train.size, judged.size, train.num_classes)
  return train._replace(about=about._replace(resized=_resized(builder, edge))), judged


def _resized(builder: "tfds.core.DatasetBuilder", edge: int) -> str:
  """What the survey says of pictures of one size that are made larger or smaller."""
  shape = named.contents(builder).shape
  if not shape or not edge or min(shape[:2]) == edge:
    return ""
  return f"{shape[1]} x {shape[0]} pixels to a shorter side of {edge}"


def _named_experiment(
    builder: "tfds.core.DatasetBuilder", splits: str, seed: int,
    read: Callable[[str], Split | Stored],
) -> tuple[str, Split | Stored, Split | Stored]:
  """(name of the judged split, the shuffled training set, the judged one or a part of the former).

  The training set is "train", or the only split. Judged by "test" are test or else validation
  pictures, by "validation" those alone, and where there are none, a part of the training set.
  """
  known = [name for name, split in builder.info.splits.items() if split.num_examples]
  training = known[0] if len(known) == 1 else "train"
  train = read(training)
  order = np.random.RandomState(seed).permutation(train.size)
  if builder.name in KEYED:
    order = _stored_position("train", len(order))[order]
  wanted = ("test", "validation") if splits == "test" else ("validation",)
  judged = next((name for name in wanted if name in known and name != training), "")
  if judged:
    return judged, train.take(order), read(judged)
  cut = round(TRAIN_SHARE * len(order))
  return training, train.take(order[:cut]), train.take(order[cut:])


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


def _read(
    builder: "tfds.core.DatasetBuilder",
    split: str,
    edge: int,
    max_labels: int,
    indices: np.ndarray | None = None,
    most_bytes: float = math.inf,
) -> Split | Stored:
  """`indices` of a split, all by default, of which only labels below `max_labels`.

  Read into memory unless their pixels take more than `most_bytes`.
  """
  _check_split(split, builder)
  if max_labels and builder.name != "imagenet_presized":
    raise ValueError(
        f"max_labels is {max_labels}, but {builder.name} is read whole: leave it at 0, only"
        " imagenet_presized has subsets."
    )
  stored = _stored(builder, split, edge)
  if indices is not None:
    stored = stored.take(indices)
  if max_labels:
    stored = _first_labels(stored, max_labels, by_label=split == "train")
  if not stored.size:
    raise ValueError(
        f"Split {split!r} of {builder.name} has no labels below {max_labels}: raise max_labels."
    )
  fits = math.isinf(most_bytes) or stored.memory() <= most_bytes
  return stored.read() if fits else stored


def _stored(builder: "tfds.core.DatasetBuilder", split: str, edge: int) -> Stored:
  """A whole split, left on disk: of one size as it is, or with its shorter side resized to `edge`.

  Raises:
    ValueError: see `named.contents`; no edge, and the pictures differ in size.
  """
  import tensorflow_datasets as tfds

  holds, origin = named.contents(builder), (builder.name, str(builder.data_path))
  # TFDS decodes through a layer that costs twice as much as the decoding itself.
  source = builder.as_data_source(split, decoders={holds.image: tfds.decode.SkipDecoding()})
  keys = {"image": holds.image} | ({"label": holds.label} if holds.label else {})
  presized = builder.name in prepare.PICTURES
  if not holds.shape and not edge:
    raise ValueError(
        f"The pictures of {builder.name} differ in size: state the shorter side to resize them to,"
        " such as --config.data.edge=72."
    )
  return Stored(
      source if presized else named.Records(source, keys), np.arange(len(source)),
      None if edge else holds.shape, edge, holds.classes, origin, resize=not presized,
  )


def _first_labels(stored: Stored, max_labels: int, by_label: bool) -> Stored:
  """Only pictures with labels below `max_labels`; `by_label` if they are stored in that order."""
  with stored.blame():
    if by_label:
      label = lambda i: stored.source[int(i)]["label"]
      kept = np.arange(bisect.bisect_left(stored.indices, max_labels, key=label))
    else:
      kept = np.flatnonzero(strips.survey(stored.source, stored.indices)[1] < max_labels)
  return stored.take(kept)._replace(num_classes=max_labels)


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

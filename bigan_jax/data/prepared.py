"""A prepared set on disk: read as TFDS does, or refused by one sentence if it is damaged."""

from collections.abc import Callable
import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

# What a machine with TensorFlow makes a set with that can be read here.
BUILD = "tfds build {} --file_format=array_record"


def find(
    directory: str, name: str, build: Callable[[], "tfds.core.DatasetBuilder"]
) -> "tfds.core.DatasetBuilder | None":
  """The builder of the set in `directory`; None if there is none.

  Args:
    name: of the set, for messages. build: makes its builder.

  Raises:
    ValueError: the set is incomplete, damaged or not in ArrayRecord.
  """
  if not os.path.isdir(directory):
    return None
  damage = _damage(directory)
  if not damage:
    builder = build()
    paths = [path for split in builder.info.splits.values() for path in split.filepaths]
    damage = next((f"lacks {path.name}" for path in paths if not path.exists()), "")
  if damage:
    raise ValueError(
        f"The prepared {name} at {directory} {damage}: delete or complete that directory, or name"
        " another one by data_dir."
    )
  return builder


def read(directory: str, name: str) -> "tfds.core.DatasetBuilder | None":
  """The same, of a set that any code prepared: by its own description."""
  import tensorflow_datasets as tfds

  return find(directory, name, lambda: tfds.builder_from_directory(directory))


def _damage(directory: str) -> str:
  """What is wrong with the description of a prepared set, as the predicate of a sentence."""
  try:
    with open(os.path.join(directory, "dataset_info.json"), encoding="utf-8") as file:
      info = json.load(file)
  except FileNotFoundError:
    return "is unfinished (it lacks dataset_info.json)"
  except ValueError:
    return "has a damaged dataset_info.json"
  if not info.get("splits"):
    return "holds no splits"
  if info.get("fileFormat") != "array_record":
    return (
        f"is in {info.get('fileFormat')} format, not the array_record that is read here and that"
        f" `{BUILD.format(info.get('name'))}` writes"
    )
  return "" if os.path.exists(os.path.join(directory, "features.json")) else "lacks features.json"

"""Sets of pictures by their TFDS name: where one lies prepared, and what it holds."""

from collections.abc import Sequence
import os
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
  # TFDS takes most of a second to import, which `--help` need not pay: functions import it.
  import tensorflow_datasets as tfds

_NAME = re.compile(r"([a-z]\w*)(?:/([^:/]+))?(?::(\d+\.\d+\.\d+))?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Spec(NamedTuple):
  """NAME/CONFIG:VERSION; of a name alone the others are empty."""

  name: str
  config: str = ""
  version: str = ""

  def __str__(self) -> str:
    config = f"/{self.config}" if self.config else ""
    return f"{self.name}{config}{':' + self.version if self.version else ''}"


class Contents(NamedTuple):
  """What each example of a set holds.

  image, label: their names; label is empty if there is none. shape: (H, W, C), None where pictures
  differ. classes: how many; 0 if unlabelled.
  """

  image: str
  label: str
  shape: tuple[int, int, int] | None
  classes: int


def parse(text: str) -> Spec:
  """Reads "cifar10", "cifar10_corrupted/brightness_1" or "mnist:3.0.1"; else ValueError."""
  match = _NAME.fullmatch(text)
  if not match:
    raise ValueError(
        f"config.data.name is {text!r}: give a name such as cifar10, NAME/CONFIG or NAME:1.0.0."
    )
  return Spec(*(part or "" for part in match.groups()))


def find(spec: Spec, root: str) -> str:
  """The directory of the newest prepared version, or of the one asked for; "" if none is there.

  Raises:
    ValueError: other versions or configs are there.
  """
  home = os.path.join(root, spec.name)
  config = spec.config or _only_config(spec, home)
  versions = _versions(os.path.join(home, config))
  if spec.version and versions and spec.version not in versions:
    raise ValueError(
        f"{spec.name} is not prepared in version {spec.version} under {root}: choose from"
        f" {', '.join(versions)}."
    )
  if not versions:
    return ""
  return os.path.join(home, config, spec.version or versions[-1])


def _only_config(spec: Spec, home: str) -> str:
  """The config that is prepared, if there is one alone; "" for sets without configs."""
  folders = sorted(os.listdir(home)) if os.path.isdir(home) else []
  configs = [name for name in folders if _versions(os.path.join(home, name))]
  if _versions(home) or not configs:
    return ""
  if len(configs) > 1:
    raise ValueError(
        f"{spec.name} is prepared in several configs under {os.path.dirname(home)}: name one,"
        f" {', '.join(f'{spec.name}/{config}' for config in configs)}."
    )
  return configs[0]


def _versions(directory: str) -> list[str]:
  """Prepared versions, the oldest first."""
  names = os.listdir(directory) if os.path.isdir(directory) else []
  return sorted(filter(_VERSION.fullmatch, names), key=lambda v: [*map(int, v.split("."))])


def contents(builder: "tfds.core.DatasetBuilder") -> Contents:
  """What a set holds; of several kinds of classes, those called "label".

  Raises:
    ValueError: no picture in an example, or several, or pictures of another kind than 8 bits.
  """
  import tensorflow_datasets as tfds

  named, kinds = dict(builder.info.features), tfds.features
  images = sorted(key for key, kind in named.items() if isinstance(kind, kinds.Image))
  if len(images) != 1:
    found = f"{len(images)} pictures ({', '.join(images)})" if images else "no picture"
    raise ValueError(
        f"An example of {builder.name} holds {found}: take a set with one picture an example, or"
        " keep your own in a folder for configs/image_folder.py."
    )
  image = named[images[0]]
  if image.np_dtype != np.uint8:
    raise ValueError(
        f"The pictures of {builder.name} are of {np.dtype(image.np_dtype).name}: take a set of"
        " uint8, 8 bits a channel."
    )
  labels = [key for key, kind in named.items() if isinstance(kind, kinds.ClassLabel)]
  label = "label" if "label" in labels else labels[0] if len(labels) == 1 else ""
  shape = tuple(image.shape)
  known = None not in shape and shape[2] in (1, 3)
  return Contents(
      images[0], label, shape if known else None, (named[label].num_classes or 0) if label else 0
  )


class Records:
  """The examples of a source, each as {"image": encoded} and, if it has any, "label"."""

  def __init__(self, source: Sequence[dict], keys: dict[str, str]) -> None:
    """keys: {what it is called here: what it is called there}."""
    self._source, self._keys = source, keys

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> dict:
    return self._renamed(self._source[index])

  def __getitems__(self, indices: Sequence[int]) -> list[dict]:
    return [self._renamed(example) for example in self._source.__getitems__(indices)]

  def _renamed(self, example: dict) -> dict:
    return {name: example[key] for name, key in self._keys.items()}

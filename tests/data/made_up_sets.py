"""Sets of TFDS that tests prepare themselves, as another program would have."""

from collections.abc import Sequence
import pathlib
from typing import Any

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds

KINDS = tfds.features


def pictures(count: int, height: int, width: int, channels: int = 3) -> list[Image.Image]:
  """Noise."""
  random = np.random.RandomState(0)
  drawn = random.randint(0, 256, (count, height, width, channels)).astype(np.uint8)
  return [Image.fromarray(array.squeeze()) for array in drawn]


def labelled(images: Sequence[Image.Image], classes: int = 3) -> list[dict[str, Any]]:
  """Examples of the plainest kind."""
  return [{"image": image, "label": i % classes} for i, image in enumerate(images)]


def prepare(
    root: pathlib.Path, name: str, features: dict[str, Any],
    splits: dict[str, list[dict[str, Any]]], version: str = "1.0.0", config: str = "",
) -> pathlib.Path:
  """Prepares {split: examples} under `root`; gives the directory of the version."""
  def info(self: tfds.core.GeneratorBasedBuilder) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(builder=self, features=KINDS.FeaturesDict(features))
  body = {
      "name": name, "VERSION": tfds.core.Version(version), "_info": info,
      "_split_generators": lambda self, _: {s: enumerate(rows) for s, rows in splits.items()},
      "_generate_examples": lambda self: None,
      "BUILDER_CONFIGS": [tfds.core.BuilderConfig(name=config)] if config else [],
  }
  cls = type(name.title(), (tfds.core.GeneratorBasedBuilder,), body, skip_registration=True)
  builder = cls(data_dir=str(root), file_format="array_record")
  builder.download_and_prepare()
  return pathlib.Path(builder.data_path)

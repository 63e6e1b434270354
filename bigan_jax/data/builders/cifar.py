"""CIFAR-10 and CIFAR-100: stock TFDS builders that read the official archives in plain Python."""

from collections.abc import Iterator
import os
import tarfile

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds
from tensorflow_datasets.image_classification import cifar as stock

SIDE = 32
PIXELS = SIDE * SIDE * 3


# `skip_registration`: the names stay the stock ones, which TFDS's registry already holds.
class Cifar10(stock.Cifar10, skip_registration=True):
  """Stock `cifar10` in name, version, features and contents, prepared without TensorFlow."""

  name = "cifar10"
  URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"

  @classmethod
  def urls(cls) -> tuple[str, ...]:
    """What it is prepared from."""
    return (cls.URL,)

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
    path, info = dl_manager.download(self.URL), self._cifar_info
    for key, file in zip(info.label_keys, info.label_files, strict=True):
      self.info.features[key].names = _read(path, info.prefix + file).decode().split()
    return {
        "train": self._examples(path, "train", info.train_files),
        "test": self._examples(path, "test", info.test_files),
    }

  def _examples(self, path: os.PathLike, split: str, files: list[str]) -> Iterator:
    """Records of one byte a label, then the pixels of all rows, channel by channel."""
    info, index = self._cifar_info, 0
    size = len(info.label_keys) + PIXELS
    for file in files:
      data = np.frombuffer(_read(path, info.prefix + file), np.uint8)
      if not len(data) or len(data) % size:
        raise ValueError(
            f"{file} in {path} holds {len(data)} bytes, no multiple of {size}: download it again."
        )
      for record in data.reshape(-1, size):
        labels = dict(zip(info.label_keys, map(int, record[:-PIXELS])))
        image = np.ascontiguousarray(record[-PIXELS:].reshape(3, SIDE, SIDE).transpose(1, 2, 0))
        yield index, {**labels, "id": f"{split}_{index:05d}", "image": Image.fromarray(image)}
        index += 1


class Cifar100(Cifar10, skip_registration=True):
  """Stock `cifar100`, with fine (`label`) and coarse labels, prepared without TensorFlow."""

  name = "cifar100"
  URL = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
  _info = stock.Cifar100._info
  _cifar_info = stock.Cifar100._cifar_info


def _read(path: os.PathLike, member: str) -> bytes:
  """A file of a gzipped tar; ValueError if it is no such tar or lacks the file."""
  try:
    with tarfile.open(path) as archive:
      return archive.extractfile(member).read()
  except (tarfile.TarError, KeyError, EOFError, OSError) as error:
    raise ValueError(f"{path} is not the official archive ({error}): download it again.") from error

"""MNIST and Fashion-MNIST: the stock TFDS builders, reading the IDX files in plain Python."""

from collections.abc import Iterator
import gzip
import os

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds
from tensorflow_datasets.image_classification import mnist as stock

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


# `skip_registration`: the names stay the stock ones, which TFDS's registry already holds.
class Mnist(stock.MNIST, skip_registration=True):
  """Stock `mnist` in name, version, features and contents, prepared without TensorFlow."""

  name = "mnist"

  @classmethod
  def urls(cls) -> tuple[str, ...]:
    """What it is prepared from."""
    return tuple(cls.URL + name for name in FILES)

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
    paths = dl_manager.download({name: self.URL + name for name in FILES})
    return {
        "train": self._generate_examples(paths[FILES[0]], paths[FILES[1]]),
        "test": self._generate_examples(paths[FILES[2]], paths[FILES[3]]),
    }

  def _generate_examples(
      self, images_path: os.PathLike, labels_path: os.PathLike
  ) -> Iterator:
    images, labels = read_idx(images_path), read_idx(labels_path)
    if len(images) != len(labels):
      raise ValueError(
          f"{images_path} holds {len(images)} images but {labels_path} {len(labels)} labels:"
          " give two files of the same set."
      )
    for index, (image, label) in enumerate(zip(images, labels)):
      yield index, {"image": Image.fromarray(image), "label": int(label)}


class FashionMnist(Mnist, skip_registration=True):
  """Stock `fashion_mnist`, prepared without TensorFlow."""

  name = "fashion_mnist"
  URL = stock.FashionMNIST.URL
  _info = stock.FashionMNIST._info


def read_idx(path: os.PathLike) -> np.ndarray:
  """The uint8 array in a gzipped IDX file; ValueError if the file is damaged or something else.

  IDX: two zero bytes, type 8 (uint8), the number of dimensions, each size as a big-endian int32,
  then the values.
  """
  try:
    with gzip.open(path, "rb") as file:
      data = file.read()
    if data[:3] != b"\x00\x00\x08":
      raise ValueError("it does not begin as IDX files of bytes do")
    start = 4 + 4 * data[3]
    shape = np.frombuffer(data[4:start], ">i4")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
  except (OSError, EOFError, ValueError, IndexError) as error:
    raise ValueError(f"{path} is no gzipped IDX file ({error}): download it again.") from error

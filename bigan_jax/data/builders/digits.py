"""TFDS builder of scikit-learn's 1,797 handwritten 8x8 digits: real data without a download."""

from collections.abc import Iterator

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds

NUM_TRAIN = 1500
SHUFFLE_SEED = 0


class Digits(tfds.core.GeneratorBasedBuilder):
  """1,500 training and 297 test images [8, 8, 1] uint8 in 10 classes, shuffled once."""

  name = "digits"
  VERSION = tfds.core.Version("1.0.0")

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
        builder=self,
        description="Handwritten digits, 8x8 pixels, as scikit-learn ships them.",
        features=tfds.features.FeaturesDict({
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }),
        supervised_keys=("image", "label"),
        homepage="https://archive.ics.uci.edu/dataset/80",
        disable_shuffling=True,  # Already shuffled; the stored order is the generated one.
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
    images, labels = read_digits()
    return {
        "train": self._generate_examples(images[:NUM_TRAIN], labels[:NUM_TRAIN]),
        "test": self._generate_examples(images[NUM_TRAIN:], labels[NUM_TRAIN:]),
    }

  def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator:
    for index, (image, label) in enumerate(zip(images, labels)):
      yield index, {"image": Image.fromarray(image), "label": int(label)}


def read_digits() -> tuple[np.ndarray, np.ndarray]:
  """All images [1797, 8, 8] uint8 0..255 and labels [1797], in the builder's shuffled order."""
  from sklearn import datasets  # Takes a second to import; only a preparation needs it.

  images, labels = datasets.load_digits(return_X_y=True)
  order = np.random.RandomState(SHUFFLE_SEED).permutation(len(images))
  pixels = np.round(images[order] * (255 / 16)).astype(np.uint8)
  return pixels.reshape(-1, 8, 8), labels[order]

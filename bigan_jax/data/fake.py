"""Noise in the form of any data set, for benchmarks and trials without data."""

import numpy as np

from bigan_jax.data.sources import Split
from bigan_jax.data.strips import Strips
from bigan_jax.data.survey import Survey

CLASSES = 10


def split(count: int, shape: tuple[int, int, int], edge: int, seed: int) -> Split:
  """`count` labelled pictures of noise.

  Args:
    shape: (H, W, C) of each; C alone counts where edge is not 0.
    edge: shorter side of pictures of unequal size, up to twice as long as wide.
  """
  random = np.random.RandomState(seed)
  labels = random.randint(0, CLASSES, count).astype(np.int32)
  if not edge:
    return Split(random.randint(0, 256, (count, *shape)).astype(np.uint8), labels, CLASSES)
  lengths = random.randint(edge, 2 * edge, count).astype(np.int32)
  lines = random.randint(0, 256, (lengths.sum(), edge, shape[2])).astype(np.uint8)
  starts = np.cumsum(lengths, dtype=np.int64) - lengths
  return Split(Strips(lines, starts, lengths, random.rand(count) < 0.5), labels, CLASSES)


def about(train: Split, judged: Split) -> Survey:
  """What noise there is."""
  names = tuple(map(str, range(CLASSES)))
  return Survey("fake", "noise", (), train.size, judged.size, names)

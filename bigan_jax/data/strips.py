"""Pictures of unequal size in one array without padding, if they share their shorter side."""

from collections.abc import Callable, Sequence
import concurrent.futures
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from bigan_jax.data import codec

BLOCK = 512  # Records a thread decodes in one go.


class Strips(NamedTuple):
  """N pictures, cut into lines across their longer side, all lines one after the other.

  A line is as long as the shorter side, the same for all pictures: a row of an upright one, a
  column of a landscape. So a crop of k x k is k consecutive lines and a stretch of each; there is
  no padding, and an index counts lines, which for all of ImageNet still fits 32 bits.

  lines: uint8 [total, edge, C], C = 3 unless converted. starts: int64 [N], the first line of
  each. lengths: int32 [N], how many. landscape: bool [N], whether lines are columns.
  """

  lines: np.ndarray
  starts: np.ndarray
  lengths: np.ndarray
  landscape: np.ndarray

  def picture(self, index: int) -> np.ndarray:
    """Picture `index` as uint8 [H, W, 3]."""
    start = self.starts[index]
    lines = self.lines[start:start + self.lengths[index]]
    return lines.swapaxes(0, 1) if self.landscape[index] else lines

  def take(self, indices: np.ndarray) -> "Strips":
    """Some of the pictures, in another order; they keep all the lines."""
    return self._replace(
        starts=self.starts[indices],
        lengths=self.lengths[indices],
        landscape=self.landscape[indices],
    )

  def part(self, which: slice) -> "Strips":
    """Some consecutive pictures and, of those that were never reordered, their lines alone."""
    starts, lengths = self.starts[which], self.lengths[which]
    first = starts.min(initial=len(self.lines))
    last = (starts + lengths).max(initial=first)
    return Strips(self.lines[first:last], starts - first, lengths, self.landscape[which])


def survey(
    source: Sequence[dict], indices: np.ndarray, edge: int = 0
) -> tuple[np.ndarray, np.ndarray]:
  """Sizes [N, 2] (width, height) and labels [N] int32 (0 if unlabelled), from the headers alone.

  Args:
    edge: sizes are those of pictures resized to this shorter side; 0: as they are stored.
  """
  sizes = np.empty((len(indices), 2), np.int32)
  labels = np.zeros(len(indices), np.int32)
  for start in range(0, len(indices), BLOCK):
    block = indices[start:start + BLOCK].tolist()
    for i, example in enumerate(source.__getitems__(block), start):
      with Image.open(io.BytesIO(example["image"])) as picture:
        sizes[i] = codec.scaled_size(*picture.size, edge) if edge else picture.size
      labels[i] = example.get("label", 0)
  return sizes, labels


def read(
    source: Sequence[dict], indices: np.ndarray, sizes: np.ndarray, edge: int,
    decode: Callable[[bytes], np.ndarray] = codec.decode,
) -> Strips:
  """Decodes pictures, several at a time, into one array.

  Args:
    source: a TFDS data source that leaves images encoded.
    indices: which of its records, [N].
    sizes: their sizes, from `survey`.
    edge: their shorter side.
    decode: a picture's bytes -> its pixels [H, W, 3].

  Raises:
    ValueError: another shorter side. OSError: a picture that cannot be decoded.
  """
  if (sizes.min(axis=1) != edge).any():
    raise ValueError(f"not every picture has the shorter side {edge}")
  lengths = sizes.max(axis=1)
  starts = np.cumsum(lengths, dtype=np.int64) - lengths
  lines = np.empty((lengths.sum(dtype=np.int64), edge, 3), np.uint8)
  strips = Strips(lines, starts, lengths, landscape=sizes[:, 0] > sizes[:, 1])

  def fill(start: int) -> None:
    block = indices[start:start + BLOCK].tolist()
    for i, example in enumerate(source.__getitems__(block), start):
      strips.picture(i)[...] = decode(example["image"])

  with concurrent.futures.ThreadPoolExecutor() as pool:
    list(pool.map(fill, range(0, len(indices), BLOCK)))
  return strips

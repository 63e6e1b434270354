"""What a split is: pictures and labels in host memory, or left on disk until they are asked for."""

from collections.abc import Iterator, Sequence
import contextlib
from typing import NamedTuple

import numpy as np

from bigan_jax.data import codec, colours, strips
from bigan_jax.data.survey import Survey

BLOCK = 4096  # Records read at a time: few calls, little memory beside the result.
SAMPLE = 1000  # Records by whose sizes a whole set's is estimated, to about 1 %.


class Split(NamedTuple):
  """Pictures held in host memory.

  images: uint8 [N, H, W, C]; strips.Strips for sets whose pictures differ in size.
  labels: int32 [N], zeros if unlabelled. num_classes: 0 if unlabelled. about: of training sets.
  """

  images: np.ndarray | strips.Strips
  labels: np.ndarray
  num_classes: int
  about: Survey | None = None

  @property
  def size(self) -> int:
    """How many pictures."""
    return len(self.labels)

  @property
  def shape(self) -> tuple[int, int, int] | None:
    """(H, W, C) of all pictures; None where they differ."""
    return None if isinstance(self.images, strips.Strips) else self.images.shape[1:]

  def take(self, indices: np.ndarray) -> "Split":
    """Some of the pictures, in another order."""
    images = self.images[indices] if self.shape else self.images.take(indices)
    return self._replace(images=images, labels=self.labels[indices])

  def in_channels(self, channels: int) -> "Split":
    """The same pictures in 1 channel (grey) or 3."""
    if self.shape:
      return self._replace(images=colours.convert(self.images, channels))
    lines = colours.convert(self.images.lines, channels)
    return self._replace(images=self.images._replace(lines=lines))


class Stored(NamedTuple):
  """Pictures in ArrayRecord files; it pickles, so that other processes may read them.

  source: a TFDS data source that leaves images encoded. indices: [N], which of its records.
  shape: (H, W, C) of all pictures, or None where they only share their shorter side, `edge`.
  num_classes: 0 if unlabelled. origin: set and directory, for messages.
  resident: several processes are to hold them in memory, a part each. about: of training sets.
  channels: that pictures are converted to, 1 or 3; 0: as they are. resize: to `edge`, unless all
  are of one size; otherwise they are stored so.
  """

  source: Sequence[dict]
  indices: np.ndarray
  shape: tuple[int, int, int] | None
  edge: int
  num_classes: int
  origin: tuple[str, str]
  resident: bool = False
  about: Survey | None = None
  channels: int = 0
  resize: bool = False

  @property
  def size(self) -> int:
    """How many pictures."""
    return len(self.indices)

  def take(self, indices: np.ndarray) -> "Stored":
    """Some of the pictures, in another order."""
    return self._replace(indices=self.indices[indices])

  def in_channels(self, channels: int) -> "Stored":
    """The same pictures in 1 channel (grey) or 3."""
    shape = self.shape and (*self.shape[:2], channels)
    return self._replace(shape=shape, channels=channels)

  def memory(self) -> float:
    """Bytes that all pixels take in memory: estimated where sizes differ."""
    if self.shape:
      return float(self.size) * np.prod(self.shape)
    sample = self.indices[np.unique(np.linspace(0, self.size - 1, SAMPLE, dtype=np.int64))]
    with self.blame():
      sizes, _ = strips.survey(self.source, sample, self._to_edge())
    return float(self.size) * sizes.max(axis=1).mean() * self.edge * 3

  def decode(self, indices: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Pictures `indices`, uint8 [H, W, C] each, and their labels, int32."""
    with self.blame():
      examples = self.source.__getitems__(self.indices[indices].tolist())
      pictures = [self._checked(self._pixels(example["image"])) for example in examples]
    labels = np.array([example.get("label", 0) for example in examples], np.int32)
    self._check(labels)
    return pictures, labels

  def read_labels(self) -> np.ndarray:
    """The labels of all pictures, which are not decoded: int32 [N]."""
    labels = np.zeros(self.size, np.int32)
    with self.blame():
      for start in range(0, self.size, BLOCK):
        examples = self.source.__getitems__(self.indices[start:start + BLOCK].tolist())
        labels[start:start + len(examples)] = [example.get("label", 0) for example in examples]
    self._check(labels)
    return labels

  def read(self) -> Split:
    """Decodes all pictures into memory."""
    if not self.shape:
      with self.blame():
        sizes, labels = strips.survey(self.source, self.indices, self._to_edge())
        images = strips.read(self.source, self.indices, sizes, self.edge, self._pixels)
      self._check(labels)
      split = Split(images, labels, self.num_classes, self.about)
      return split.in_channels(self.channels) if self.channels else split
    split = Split(
        np.empty((self.size, *self.shape), np.uint8), np.empty(self.size, np.int32),
        self.num_classes, self.about,
    )
    for start in range(0, self.size, BLOCK):
      block = np.arange(start, min(start + BLOCK, self.size))
      split.images[block], split.labels[block] = self.decode(block)
    return split

  def _to_edge(self) -> int:
    """The shorter side that pictures are resized to as they are read; 0: they are not."""
    return self.edge if self.resize else 0

  def _pixels(self, encoded: bytes) -> np.ndarray:
    return codec.decode(encoded, self._to_edge())

  def _check(self, labels: np.ndarray) -> None:
    """Raises ValueError for a label that is none of the classes."""
    if self.num_classes and not (0 <= labels).all() & (labels < self.num_classes).all():
      wrong = labels[(labels < 0) | (labels >= self.num_classes)][0]
      name, path = self.origin
      raise ValueError(
          f"{name} at {path} has the label {wrong}, but its classes are 0 to"
          f" {self.num_classes - 1}: take a split with labels, or prepare the set again."
      )

  def _checked(self, picture: np.ndarray) -> np.ndarray:
    """The picture in the form that the set promises."""
    if self.shape:
      picture = picture.reshape(*self.shape[:2], -1)
      return self._converted(picture).reshape(self.shape)
    if picture.ndim != 3 or min(picture.shape[:2]) != self.edge:
      raise ValueError(f"not every picture has the shorter side {self.edge}")
    return self._converted(picture)

  def _converted(self, picture: np.ndarray) -> np.ndarray:
    return colours.convert(picture, self.channels) if self.channels else picture

  @contextlib.contextmanager
  def blame(self) -> Iterator[None]:
    """Turns what ArrayRecord, Pillow or a wrong shape raise within into one sentence."""
    try:
      yield
    except (RuntimeError, OSError, ValueError) as error:
      name, path = self.origin
      raise ValueError(
          f"The prepared {name} at {path} is damaged ({error}): delete that directory and prepare"
          " it again."
      ) from error

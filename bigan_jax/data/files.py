"""Anyone's picture files as an encoder sees them: read, resized and cropped as in training."""

import collections
from collections.abc import Iterable, Iterator
import concurrent.futures
import itertools
import os
from typing import NamedTuple

import ml_collections
import numpy as np
from PIL import Image

from bigan_jax.data import codec
from bigan_jax.data.preprocess import Range

PART = 8  # pictures that a thread takes at once
AHEAD = 8  # parts per thread that may wait to be used


class View(NamedTuple):
  """How a picture becomes what E sees.

  edge: its shorter side is resized to this, in pixels, by Lanczos.
  shape: (height, width, channels) of the part in the middle that is kept; RGB, or 1 for grey.
  value_range: 0 and 255 become its ends.
  """

  edge: int
  shape: tuple[int, int, int]
  value_range: Range


class Unreadable(NamedTuple):
  """Why a file gives no picture."""

  reason: str


def view(config: ml_collections.ConfigDict) -> View:
  """The view of a training config: data.edge, or the size of E's images where that is 0."""
  shape = tuple(config.model.encoder_shape)
  return View(config.data.edge or max(shape[:2]), shape, tuple(config.model.value_range))


def fit(picture: Image.Image, how: View) -> np.ndarray:
  """One picture of any size and mode as uint8 `how.shape`, turned as its EXIF orientation says."""
  small = codec.resize(picture, how.edge, upright=True)
  height, width, channels = how.shape
  left, top = (small.width - width + 1) // 2, (small.height - height + 1) // 2
  middle = small.crop((left, top, left + width, top + height))
  pixels = np.asarray(middle.convert("L") if channels == 1 else middle)
  return pixels.reshape(how.shape)


def read(path: str, how: View) -> np.ndarray | Unreadable:
  """A picture file as uint8 `how.shape`; never raises."""
  def seen(picture: Image.Image) -> np.ndarray | Unreadable:
    reason = codec.refusal(picture, how.edge)
    return Unreadable(reason) if reason else fit(picture, how)
  try:
    with open(path, "rb") as file:
      found = codec.opened(file.read(), seen)
  except PermissionError:
    return Unreadable(codec.FORBIDDEN)
  except OSError as error:
    return Unreadable(error.strerror or codec.DAMAGED)
  return Unreadable(found) if isinstance(found, str) else found


def stream(
    folder: str, names: Iterable[str], how: View, threads: int
) -> Iterator[tuple[str, np.ndarray | Unreadable]]:
  """(name, `read` of it) in order, read ahead by threads: decoders let others run meanwhile."""
  names = iter(names)
  def read_part(part: list[str]) -> list[tuple[str, np.ndarray | Unreadable]]:
    return [(name, read(os.path.join(folder, name), how)) for name in part]
  pool = concurrent.futures.ThreadPoolExecutor(threads)
  try:
    waiting = collections.deque()
    while part := list(itertools.islice(names, PART)):
      waiting.append(pool.submit(read_part, part))
      if len(waiting) >= AHEAD * threads:
        yield from waiting.popleft().result()
    while waiting:
      yield from waiting.popleft().result()
  finally:
    pool.shutdown(cancel_futures=True)

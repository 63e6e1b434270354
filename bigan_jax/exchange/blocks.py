"""Pictures in blocks of one size, so that what networks make of one never depends on the others."""

from collections.abc import Callable, Generator, Iterable, Iterator
import contextlib
from typing import NamedTuple, TypeVar

import numpy as np
import tqdm

from bigan_jax.data import files

BLOCK = 128  # pictures that a network sees at once
Made = TypeVar("Made")
Picture = tuple[str, np.ndarray | files.Unreadable]


class Block(NamedTuple):
  """Pictures as E sees them, uint8 [BLOCK, H, W, C]; zeros follow the last of len(names)."""

  names: list[str]
  images: np.ndarray


def of(
    stream: Iterable[Picture], skipped: list[tuple[str, str]], shape: tuple[int, ...]
) -> Iterator[Block]:
  """Blocks of the pictures in `stream`; adds (name, reason) of the others to `skipped`."""
  block = Block([], np.zeros((BLOCK, *shape), np.uint8))
  for name, picture in stream:
    if isinstance(picture, files.Unreadable):
      skipped.append((name, picture.reason))
      continue
    block.images[len(block.names)] = picture
    block.names.append(name)
    if len(block.names) == BLOCK:
      yield block
      block = Block([], np.zeros((BLOCK, *shape), np.uint8))
  if block.names:
    yield block


@contextlib.contextmanager
def made(
    run: Callable[[np.ndarray], Made], stream: Generator[Picture, None, None], bar: tqdm.tqdm,
    skipped: list[tuple[str, str]], shape: tuple[int, ...],
) -> Iterator[Iterator[tuple[Block, Made]]]:
  """Within: (block, run(its images)) of all blocks of a stream, which is closed at the end.

  Args:
    bar: the progress line, which every picture moves on.
    skipped: gets (name, reason) of pictures that cannot be read.
    shape: (height, width, channels) of a picture.
  """
  with bar, contextlib.closing(stream):
    yield ahead(run, of(counted(stream, bar), skipped, shape))


def counted(stream: Iterable[Picture], bar: tqdm.tqdm) -> Iterator[Picture]:
  """The same pictures, each of which moves the progress line on."""
  for item in stream:
    yield item
    bar.update()


def ahead(
    run: Callable[[np.ndarray], Made], blocks: Iterable[Block]
) -> Iterator[tuple[Block, Made]]:
  """(block, run(its images)), a block behind: the next is under way while one is used."""
  before = None
  for block in blocks:
    now = block, run(block.images)
    if before:
      yield before
    before = now
  if before:
    yield before

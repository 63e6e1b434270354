"""Thumbnails side by side in one picture, of a size that a page can carry."""

import io
import math

import numpy as np

from bigan_jax.evaluation import pictures

SIDES = (48, 40, 32, 24)  # of thumbnails, in pixels
PIXELS = 8_000_000  # of all of them together, which the smallest may exceed
BLOCK = 8  # of JPEG: cells of whole blocks do not run into each other
QUALITY = 85


def side(count: int) -> int:
  """How large so many thumbnails may be."""
  return next((size for size in SIDES if count * size**2 <= PIXELS), SIDES[-1])


def columns(count: int) -> int:
  """In which so many lie as a square."""
  return math.ceil(math.sqrt(count))


def cell(thumbs: np.ndarray) -> int:
  """The side of a thumbnail's place on a sheet for JPEG."""
  return -(-thumbs.shape[1] // BLOCK) * BLOCK


def sheet(thumbs: np.ndarray, size: int) -> np.ndarray:
  """uint8 [n, side, side, C] -> a square of cells of `size`, row by row: uint8 [H, H, C].

  What a cell has beside its thumbnail repeats the edge; cells without one are black.
  """
  count, wide = len(thumbs), columns(len(thumbs))
  more = size - thumbs.shape[1]
  cells = np.pad(thumbs, ((0, 0), (0, more), (0, more), (0, 0)), "edge")
  cells = np.pad(cells, ((0, wide**2 - count), (0, 0), (0, 0), (0, 0)))
  cells = cells.reshape(wide, wide, size, size, -1).transpose(0, 2, 1, 3, 4)
  return cells.reshape(wide * size, wide * size, -1)


def jpeg(picture: np.ndarray) -> bytes:
  """A picture uint8 [H, W, 1 or 3] as a JPEG; colours as fine as brightness, lest cells mix."""
  file = io.BytesIO()
  pictures.image(picture).save(file, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
  return file.getvalue()

"""One channel to three and back, for networks of another kind of picture than the set's."""

import numpy as np

WEIGHTS = np.array([19_595, 38_470, 7_471], np.uint32)  # of R, G, B in 65,536, as Pillow's "L"
BLOCK = 1 << 14  # rows converted at a time, so that 32 bits a pixel take little memory


def convert(pixels: np.ndarray, channels: int) -> np.ndarray:
  """uint8 [..., C] -> uint8 [..., channels]; 1 or 3; equal ones stay as they are."""
  if pixels.shape[-1] == channels:
    return pixels
  if channels == 3:
    return np.repeat(pixels, 3, axis=-1)
  found = np.empty((*pixels.shape[:-1], 1), np.uint8)
  for start in range(0, len(pixels), BLOCK):
    sums = pixels[start:start + BLOCK].astype(np.uint32) @ WEIGHTS
    found[start:start + BLOCK, ..., 0] = (sums + 0x8000) >> 16
  return found

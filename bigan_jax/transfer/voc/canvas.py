"""Whole pictures and their masks on squares of one size: top left, scaled down if they must be."""

import numpy as np
from PIL import Image

from bigan_jax.data import preprocess
from bigan_jax.transfer.voc import dataset
from bigan_jax.transfer.voc.scorers import VOID


def blank(value_range: preprocess.Range) -> int:
  """What lies around a picture: the pixel nearest to 0, which convolutions are padded with."""
  low, high = value_range
  return round(min(max(-255 * low / (high - low), 0), 255))


def fit(side: int, height: int, width: int) -> tuple[int, int]:
  """The (height, width) of a picture on the canvas; it is never enlarged."""
  scale = min(1, side / max(height, width))
  return max(1, round(scale * height)), max(1, round(scale * width))


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Of a picture uint8 [H, W, 3], antialiased, or of a mask [H, W], to the nearest pixels."""
  if pixels.shape[:2] == size:
    return pixels
  kind = Image.Resampling.BILINEAR if pixels.ndim == 3 else Image.Resampling.NEAREST
  return np.asarray(Image.fromarray(pixels).resize(size[::-1], kind))


def place(pixels: np.ndarray, side: int, fill: int, mirror: bool = False) -> np.ndarray:
  """A picture or mask on its canvas: uint8 [side, side, ...]."""
  small = resize(pixels, fit(side, *pixels.shape[:2]))
  canvas = np.full((side, side, *pixels.shape[2:]), fill, np.uint8)
  canvas[:small.shape[0], :small.shape[1]] = small[:, ::-1] if mirror else small
  return canvas


def places(length: int, fitted: int, count: int) -> np.ndarray:
  """Where on the canvas the pixels of a picture lie along one side: float32 [count].

  Args:
    length: of the picture; pixels beyond it lie on its last one.
    fitted: of the picture on the canvas.
  """
  pixels = np.minimum(np.arange(count), length - 1)
  return np.float32((pixels + 0.5) * (fitted / length) - 0.5)


def batch(
    pictures: dataset.Pictures, side: int, fill: int, flip: bool, batch_size: int,
    keys: dataset.Keys, step: int,
) -> tuple[np.ndarray, np.ndarray]:
  """What the network sees of a step: images uint8 [B, side, side, 3] and masks [B, side, side].

  Args:
    fill: around the pictures.
    flip: mirror every second picture.
    keys: of the order of pictures and of what is mirrored.
  """
  chosen = dataset.indices(keys, step, batch_size, len(pictures))
  images, masks = [], []
  for i, random in zip(chosen, dataset.randoms(keys, step, batch_size)):
    mirror = flip and random.random() < 0.5
    images.append(place(pictures.image(i), side, fill, mirror))
    masks.append(place(pictures.pictures[i].mask(), side, VOID, mirror))
  return np.stack(images), np.stack(masks)

"""From stored 8-bit pictures to the networks' native range: crop, flip, two sizes, scaling.

Everything here runs on the device, inside the jitted step, but what takes pictures or Strips.
"""

from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.data.strips import Strips

Range = tuple[float, float]
DRAWS = 3  # uniform numbers that a training picture uses up: two offsets and the flip


def draw(key: chex.PRNGKey, step: chex.Numeric, count: int) -> jax.Array:
  """The random numbers of a step's pictures, uniform in [0, 1): [count, DRAWS]."""
  return jax.random.uniform(jax.random.fold_in(key, step), (count, DRAWS), jnp.float32)


def to_native(pixels: jax.Array, value_range: Range) -> jax.Array:
  """uint8 0..255 -> float32 in `value_range`: (0, 1) for digits, (-1, 1) for pictures."""
  low, high = value_range
  return pixels.astype(jnp.float32) * ((high - low) / 255) + low


def to_uint8(x: jax.Array, value_range: Range) -> jax.Array:
  """Native range -> uint8, rounded and clipped to 0..255."""
  low, high = value_range
  return jnp.clip(jnp.round((x - low) * (255 / (high - low))), 0, 255).astype(jnp.uint8)


def shrink(pixels: jax.Array, size: int) -> jax.Array:
  """uint8 [B, H, H, C] -> [B, size, size, C], antialiased by Lanczos and rounded to 8 bits again.

  g_X of the generalised BiGAN (reference section 8: PIL's Lanczos of the encoder's own crop).
  """
  if pixels.shape[1] == size:
    return pixels
  count, height, _, channels = pixels.shape
  small = pixels.astype(jnp.float32)
  for shape in ((count, height, size, channels), (count, size, size, channels)):
    small = jax.image.resize(small, shape, "lanczos3", antialias=True)
    small = jnp.clip(jnp.round(small), 0, 255)  # after each pass, as PIL does
  return small.astype(jnp.uint8)


class Lines(NamedTuple):
  """`Strips` in device memory, where 32 bits count the lines: uint8 [total, edge * C] and [N]."""

  lines: jax.Array
  starts: jax.Array
  lengths: jax.Array
  landscape: jax.Array


def lines_of(strips: Strips) -> Lines:
  """Raises ValueError where 32 bits do not suffice."""
  if len(strips.lines) >= 2**31:
    raise ValueError(f"{len(strips.lines)} lines of pixels are too many to index: split the set.")
  lines = strips.lines.reshape(len(strips.lines), int(np.prod(strips.lines.shape[1:])))
  return Lines(lines, strips.starts.astype(np.int32), strips.lengths, strips.landscape)


def random_crop(
    pictures: Lines, indices: jax.Array, draws: jax.Array, size: int, channels: int = 3
) -> jax.Array:
  """Crops of `size` at uniformly random offsets over whole pictures: uint8 [b, size, size, C].

  Args:
    indices: which pictures, [b].
    draws: uniform in [0, 1), [b, >= 2]: the offset along and across the longer side.
    channels: C of the pictures.
  """
  lengths = pictures.lengths[indices]
  edges = jnp.full_like(lengths, pictures.lines.shape[1] // channels)
  along, across = _offset(draws[:, 0], lengths - size), _offset(draws[:, 1], edges - size)
  def cut(line: jax.Array, first: jax.Array) -> jax.Array:
    shape = (size, size * channels)
    return jax.lax.dynamic_slice(pictures.lines, (line, first * channels), shape)
  crops = jax.vmap(cut)(pictures.starts[indices] + along, across)
  crops = crops.reshape(-1, size, size, channels)
  landscape = pictures.landscape[indices][:, None, None, None]
  return jnp.where(landscape, crops.swapaxes(1, 2), crops)


def random_crop_of(pictures: Sequence[np.ndarray], draws: np.ndarray, size: int) -> np.ndarray:
  """The same crops of pictures [H, W, 3] on the host, pixel by pixel: uint8 [b, size, size, 3]."""
  shapes = np.array([picture.shape[:2] for picture in pictures], np.int32)
  along = _offset(draws[:, 0], shapes.max(axis=1) - size)
  across = _offset(draws[:, 1], shapes.min(axis=1) - size)
  landscape = shapes[:, 1] > shapes[:, 0]
  tops, lefts = np.where(landscape, across, along), np.where(landscape, along, across)
  return np.stack([
      picture[y:y + size, x:x + size] for picture, y, x in zip(pictures, tops, lefts, strict=True)
  ])


def _offset(draw: chex.Array, most: chex.Array) -> chex.Array:
  """uniform [0, 1) -> uniform over 0..most; the same in jax and in numpy."""
  return (draw * (most + 1).astype(np.float32)).astype(np.int32).clip(max=most)


def random_flip(images: jax.Array, draw: jax.Array) -> jax.Array:
  """Mirrors [b, H, W, C] left to right where draw [b] < 1/2 (paper, appendix A.2)."""
  return jnp.where(draw[:, None, None, None] < 0.5, images[:, :, ::-1], images)


def centre_crops(strips: Strips, size: int) -> np.ndarray:
  """The middle of every picture, by the authors' rounding: uint8 [N, size, size, C]."""
  crops = np.empty((len(strips.lengths), size, size, strips.lines.shape[2]), np.uint8)
  for i in range(len(crops)):
    picture = strips.picture(i)
    y, x = ((side - size + 1) // 2 for side in picture.shape[:2])
    crops[i] = picture[y:y + size, x:x + size]
  return crops


def random_crops(strips: Strips, size: int, seed: int) -> np.ndarray:
  """One crop of every picture, anywhere in it: uint8 [N, size, size, C]."""
  random = np.random.RandomState(seed)
  crops = np.empty((len(strips.lengths), size, size, strips.lines.shape[2]), np.uint8)
  for i in range(len(crops)):
    picture = strips.picture(i)
    y, x = (random.randint(side - size + 1) for side in picture.shape[:2])
    crops[i] = picture[y:y + size, x:x + size]
  return crops

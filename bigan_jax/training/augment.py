"""Random views of pictures, differentiable and on the device: what D, or E, is shown of them.

DiffAugment (Zhao et al., 2020) shows D the same kinds of changes of real and of made-up pictures.
A translation is a product with a matrix for the rows and one for the columns of each picture: on
CPUs a gather would take longer than a training step, products do not.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from bigan_jax.data.batch import Batch
from bigan_jax.data.preprocess import Range
from bigan_jax.models.layers import TURNS

KINDS = ("flip", "translation", "cutout", "colour")
DRAWS = 8  # uniform numbers that one view of a picture uses up
SHIFT = 1 / 8  # of the side: at most so far (DiffAugment)
HOLE = 1 / 2  # of the side: the square that is cut out (DiffAugment)


class Views(NamedTuple):
  """How pictures are shown in training.

  Attributes:
    kinds: of KINDS, what D's pictures go through, real and made-up ones alike.
    encoder: E sees a view of its own of the same pictures; else it sees them as they are.
    value_range: of pixels.
  """

  kinds: tuple[str, ...]
  encoder: bool
  value_range: Range

  def show(self, batch: Batch, draws: jax.Array) -> Batch:
    """What E sees, by draws [B, 3, DRAWS]."""
    if not self.encoder:
      return batch
    x_encoder = view(batch.x_encoder, draws[:, 0], self.kinds, self.value_range)
    return batch._replace(x_encoder=x_encoder)

  def look(self, draws: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """What D sees of stacked real and made-up pictures [2 B, H, W, C]."""
    both = jnp.concatenate([draws[:, 1], draws[:, 2]])
    return lambda x: view(x, both, self.kinds, self.value_range)


def draw(key: chex.PRNGKey, count: int) -> jax.Array:
  """Of E's view of each picture, and D's of real and of made-up ones: [count, 3, DRAWS]."""
  return jax.random.uniform(key, (count, 3, DRAWS), jnp.float32)


def view(x: jax.Array, draws: jax.Array, kinds: tuple[str, ...], value_range: Range) -> jax.Array:
  """x [B, H, W, C] in `value_range`, each picture changed as its row of draws [B, DRAWS] says.

  Args:
    kinds: of KINDS, in any order; they are applied in the order of that list.
  """
  low, high = value_range
  x = (x - low) * (2 / (high - low)) - 1  # what is moved out of sight is grey: 0
  for kind in (kind for kind in KINDS if kind in kinds):
    x = _APPLY[kind](x, draws)
  return (x + 1) * ((high - low) / 2) + low


def turned(x: jax.Array, turns: jax.Array) -> jax.Array:
  """Square pictures x [B, S, S, C], each turned to the left by `turns` [B] right angles, 0 to 3."""
  ways = [jnp.rot90(x, k, axes=(1, 2)) for k in range(TURNS)]
  return jnp.select([turns[:, None, None, None] == k for k in range(TURNS)], ways)


def _flip(x: jax.Array, draws: jax.Array) -> jax.Array:
  return jnp.where(draws[:, 0, None, None, None] < 0.5, x[:, :, ::-1], x)


def _translation(x: jax.Array, draws: jax.Array) -> jax.Array:
  """Moves by whole pixels, at most SHIFT of each side; what comes into sight is grey."""
  rows = _moved(x.shape[1], draws[:, 1])
  columns = _moved(x.shape[2], draws[:, 2])
  return jnp.einsum("bih,bhwc,bjw->bijc", rows, x, columns, precision="float32")


def _moved(side: int, draw: jax.Array) -> jax.Array:
  """Matrices [B, side, side] that move a line of pixels."""
  most = round(side * SHIFT)
  by = jnp.floor(draw * (2 * most + 1)).astype(jnp.int32) - most
  place = jnp.arange(side)
  return (place[None, :, None] == place[None, None, :] + by[:, None, None]).astype(jnp.float32)


def _cutout(x: jax.Array, draws: jax.Array) -> jax.Array:
  """Makes a square of HOLE of the side grey, its middle anywhere in the picture."""
  rows, columns = _hole(x.shape[1], draws[:, 3]), _hole(x.shape[2], draws[:, 4])
  return x * (1 - rows[:, :, None, None] * columns[:, None, :, None])


def _hole(side: int, draw: jax.Array) -> jax.Array:
  """1 where the hole is, [B, side]."""
  size = round(side * HOLE)
  middle = jnp.floor(draw * (side + 1 - size % 2))[:, None]
  first = middle - size // 2
  place = jnp.arange(side)[None]
  return ((place >= first) & (place < first + size)).astype(jnp.float32)


def _colour(x: jax.Array, draws: jax.Array) -> jax.Array:
  """Brightness by up to a half, saturation by 0 to 2, contrast by a half to 3 halves."""
  brightness, saturation, contrast = (draws[:, i, None, None, None] for i in (5, 6, 7))
  x = x + (brightness - 0.5)
  grey = x.mean(axis=3, keepdims=True)
  x = (x - grey) * (2 * saturation) + grey
  mean = x.mean(axis=(1, 2, 3), keepdims=True)
  return (x - mean) * (contrast + 0.5) + mean


_APPLY = {"flip": _flip, "translation": _translation, "cutout": _cutout, "colour": _colour}

"""Fully convolutional networks (Long et al., 2015): a class for every pixel, on AlexNet.

Scores of coarse maps become scores of pixels by bilinear interpolation at exact places, by two
products with fixed matrices: that is a transposed convolution with fixed tents and its cropping,
for any offset, and beyond the outermost scores the nearest one holds.
"""

from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from bigan_jax.models import alexnet
from bigan_jax.models.layers import leaky_relu
from bigan_jax.models.pooling import max_pool
from bigan_jax.models.strided import Window
from bigan_jax.transfer import head

COARSE = "score"


class Grid(NamedTuple):
  """Where the positions of a map lie along a side of the picture.

  Attributes:
    first: the first one, in pixels; that of the first pixel is 0.
    step: pixels from one to the next.
    count: how many.
  """

  first: float
  step: int
  count: int

  def through(self, k: int, window: Window) -> "Grid":
    """What k x k windows make of them: each output lies in the middle of its window."""
    middle = (k - 1) / 2 - window.padding
    return Grid(
        self.first + self.step * middle, self.step * window.stride, window.positions(self.count, k)
    )

  @property
  def places(self) -> jax.Array:
    """All positions, in pixels [count]."""
    return self.first + self.step * jnp.arange(self.count, dtype=jnp.float32)


def grids(side: int, kernel: int, padded: bool) -> dict[str, Grid]:
  """Those of pool1, pool2, pool5 and of the scores after fc6, for pictures of `side` pixels.

  Windows are those of `head.AlexNet`, of which fc6 is padded by half its kernel: so it is defined
  wherever pool5 is, and its outputs reach to the border. (Long et al. pad pictures by 100 pixels.)

  Raises:
    ValueError: nothing is left of such a picture somewhere on the way.
  """
  grid, found = Grid(0.0, 1, side), {}
  for name, k, window, pool in head.windows(padded):
    grid = grid.through(k, window)
    if pool or name == "conv5":
      grid = found[f"pool{name[-1]}"] = grid.through(3, head.pool_window(padded))
    if grid.count < 1:
      raise ValueError(
          f"config.crop is {side}, of which nothing is left after {name}: raise it, or set "
          "config.model.padded."
      )
  found[COARSE] = grid.through(kernel, fc6_window(kernel))
  return found


def fc6_window(kernel: int) -> Window:
  """How fc6, a convolution of `kernel` x `kernel`, slides over pool5."""
  return Window(padding=kernel // 2)


def skips(stride: int) -> tuple[str, ...]:
  """The pools whose scores are added on the way to `stride` pixels, the coarsest first."""
  steps = {name: grid.step for name, grid in grids(1, 1, padded=True).items()}
  finer = [name for name, step in steps.items() if stride <= step < steps[COARSE]]
  return tuple(sorted(finer, key=steps.get, reverse=True))


def tents(grid: Grid, places: chex.Array) -> jax.Array:
  """Weights [..., P, count] of a map's positions in linear interpolation at places [..., P]."""
  at = jnp.clip((places - grid.first) / grid.step, 0, grid.count - 1)
  return jnp.maximum(0, 1 - jnp.abs(at[..., None] - jnp.arange(grid.count)))


def interpolate(scores: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
  """[B, h, w, K] -> float32 [B, P, Q, K], by tents [P, h] and [Q, w], or of each map [B, P, h]."""
  axes = "bph" if rows.ndim == 3 else "ph", "bqw" if columns.ndim == 3 else "qw"
  # In float32 whatever the network's precision is: this is geometry.
  return jnp.einsum(
      f"bhwk,{axes[0]},{axes[1]}->bpqk", scores.astype(jnp.float32), rows, columns,
      precision="highest", optimize="optimal",
  )


def start(network: "Fcn", layers: dict[str, dict[str, jax.Array]], side: int
          ) -> dict[str, dict[str, jax.Array]]:
  """All layers before training: conv1 to fc7 of an AlexNet as convolutions, and scores of 0.

  Zeros learn all the same, as what they are multiplied with is not.

  Args:
    layers: of an AlexNet whose fc6 sees `network.kernel` x `network.kernel` places.
    side: of the pictures.
  """
  x = jnp.zeros((1, side, side, 3))
  shapes = jax.eval_shape(lambda: network.init(jax.random.PRNGKey(0), x))["params"]
  def make(name: str, leaf: str, shape: tuple[int, ...]) -> jax.Array:
    return layers[name][leaf].reshape(shape) if name in layers else jnp.zeros(shape)
  return {
      name: {leaf: make(name, leaf, a.shape) for leaf, a in layer.items()}
      for name, layer in shapes.items()
  }


class Fcn(nn.Module):
  """x [B, H, W, 3] -> logits of every pixel, float32 [B, H, W, classes].

  Attributes:
    classes: background included.
    widths: channels of conv1 to conv5.
    hidden: channels of fc6 and fc7.
    kernel: side of fc6's.
    dropout: share of fc6 and fc7 that is dropped in training.
    padded: as head.AlexNet's.
    stride: of the finest scores, 32, or 16 with a skip from pool2, or 8 with one from pool1 too.
  """

  classes: int
  widths: tuple[int, ...] = alexnet.WIDTHS
  hidden: tuple[int, int] = (4096, 4096)
  kernel: int = 6
  dropout: float = 0.5
  padded: bool = True
  stride: int = 32

  @property
  def layers(self) -> tuple[str, ...]:
    """Names of the layers in a row, in order; those of skips, which start at 0, are no part of it.
    """
    return *alexnet.LAYERS, "fc6", "fc7", COARSE

  def finest(self, side: int) -> Grid:
    """Where the finest scores lie, along a side of so many pixels."""
    names = (COARSE, *skips(self.stride))
    return grids(side, self.kernel, self.padded)[names[-1]]

  def __call__(
      self, x: jax.Array, keys: jax.Array | None = None
  ) -> tuple[jax.Array, head.Activations]:
    """Returns logits and activations; with keys, one for each image, fc6 and fc7 drop out."""
    scores, activations = self.scores(x, keys)
    rows, columns = (tents(self.finest(n), jnp.arange(n)) for n in x.shape[1:3])
    return interpolate(scores, rows, columns), activations

  @nn.compact
  def scores(
      self, x: jax.Array, keys: jax.Array | None = None
  ) -> tuple[jax.Array, head.Activations]:
    """The finest scores that there are before the last interpolation, float32 [B, h, w, classes].
    """
    activations = head.convolutions(x, self.widths, self.padded)
    h = self._pooled(activations["conv5"])
    sizes = zip(self.hidden, (self.kernel, 1), (fc6_window(self.kernel), Window()), strict=True)
    for number, (units, k, window) in enumerate(sizes, 6):
      h = leaky_relu(head.biased(units, k, window, name=f"fc{number}")(h))
      activations[f"fc{number}"] = h
      h = head.dropout(h, keys, self.dropout, number)
    found = head.biased(self.classes, 1, Window(), name=COARSE)(h).astype(jnp.float32)
    heights, widths = (grids(n, self.kernel, self.padded) for n in x.shape[1:3])
    at = COARSE
    for pool in skips(self.stride):
      rows, columns = (tents(side[at], side[pool].places) for side in (heights, widths))
      skip = head.biased(self.classes, 1, Window(), name=f"score_{pool}")
      fine = skip(self._pooled(activations[f"conv{pool[-1]}"])).astype(jnp.float32)
      found, at = fine + interpolate(found, rows, columns), pool
    return found, activations

  def _pooled(self, x: jax.Array) -> jax.Array:
    return max_pool(x, 3, head.pool_window(self.padded))

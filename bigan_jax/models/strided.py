"""Convolutions, their transposes and max pooling with explicit padding, fast on CPU too.

XLA's CPU backend is slow at the gradients of strided and grouped convolutions, and far slower still
within loops. There, and only there (`_choose`), all three products of a layer are computed as
patches times a matrix, a few images at a time so that the patches stay in cache; other platforms
get XLA's own convolutions. Both are exact: sums of the same products, in another order.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

CHUNK_BYTES = 8 << 20  # of patches at a time: measured best on CPUs of 2 to 32 MiB of cache a core
LAYOUT = ("NHWC", "HWIO", "NHWC")
Size = tuple[int, int]


class Window(NamedTuple):
  """How a square kernel slides; `padding` zeros on all four sides.

  With groups, the first part of the output channels sees the first part of the input's, and so on.
  """

  stride: int = 1
  padding: int = 0
  groups: int = 1

  def positions(self, size: int, kernel: int) -> int:
    """Output size along one side, rounded down."""
    return (size - kernel + 2 * self.padding) // self.stride + 1


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """Correlates x [B, H, W, C] with kernel [k, k, C / groups, O] -> [B, H', W', O]."""
  return _choose(_patches_convolve, _native_convolve, window, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def transposed(y: jax.Array, kernel: jax.Array, window: Window, size: Size) -> jax.Array:
  """The transpose of `convolve` in x: y [B, H', W', O] -> [B, *size, C]."""
  forms = (partial(f, size=size) for f in (_patches_transposed, _native_transposed))
  return _choose(*forms, window, y, kernel)


def kernel_gradient(x: jax.Array, y: jax.Array, window: Window, k: int) -> jax.Array:
  """The transpose of `convolve` in its kernel: x [B, H, W, C], y [B, H', W', O] -> [k, k, C / groups, O]."""
  forms = (partial(f, k=k) for f in (_patches_kernel_gradient, _native_kernel_gradient))
  return _choose(*forms, window, x, y)


convolve.defvjp(
    lambda x, kernel, window: (convolve(x, kernel, window), (x, kernel)),
    lambda window, saved, y: (
        transposed(y, saved[1], window, saved[0].shape[1:3]),
        kernel_gradient(saved[0], y, window, saved[1].shape[0]),
    ),
)
transposed.defvjp(
    lambda y, kernel, window, size: (transposed(y, kernel, window, size), (y, kernel)),
    lambda window, size, saved, x: (
        convolve(x, saved[1], window),
        kernel_gradient(x, saved[0], window, saved[1].shape[0]),
    ),
)


class Convolution(nn.Module):
  """A convolution without bias, weights N(0, 0.02) [k, k, C / groups, features] (reference 0)."""

  features: int
  k: int
  window: Window

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """x [B, H, W, C] -> [B, H', W', features]."""
    shape = (self.k, self.k, x.shape[-1] // self.window.groups, self.features)
    return convolve(x, self.param("kernel", nn.initializers.normal(0.02), shape), self.window)


class Deconvolution(nn.Module):
  """The transpose of a convolution, for images `stride` times as large; no bias.

  The kernel, weights N(0, 0.02), is [k, k, features, C]: that of the convolution which it
  transposes. With k = 5, stride 2 and padding 2 this is a correlation, with the kernel flipped, over the
  zero-dilated input padded by 2 before and 3 after (reference section 0).
  """

  features: int
  k: int
  window: Window

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """x [B, H, W, C] -> [B, stride * H, stride * W, features]."""
    shape = (self.k, self.k, self.features, x.shape[-1])
    kernel = self.param("kernel", nn.initializers.normal(0.02), shape)
    size = tuple(self.window.stride * n for n in x.shape[1:3])
    return transposed(x, kernel, self.window, size)


def max_pool(x: jax.Array, k: int, window: Window) -> jax.Array:
  """Maxima over k x k windows of x [B, H, W, C]; padding never wins (reference section 2)."""
  return lax.reduce_window(
      x, -jnp.inf, lax.max, (1, k, k, 1), (1, window.stride, window.stride, 1),
      [(0, 0), 2 * (window.padding,), 2 * (window.padding,), (0, 0)],
  )

def _choose(
    patches: Callable[..., jax.Array], native: Callable[..., jax.Array], window: Window,
    *args: jax.Array,
) -> jax.Array:
  """The one place where the form is decided, per platform that the program is lowered for."""
  return lax.platform_dependent(
      *args, cpu=partial(_by_group, patches, window), default=partial(native, window)
  )


def _by_group(
    form: Callable[..., jax.Array], window: Window, a: jax.Array, b: jax.Array
) -> jax.Array:
  """Applies a form for one group to each: all three products split and join last axes."""
  pairs = zip(*(jnp.split(array, window.groups, axis=-1) for array in (a, b)), strict=True)
  return jnp.concatenate([form(window._replace(groups=1), *pair) for pair in pairs], axis=-1)


def _native_convolve(window: Window, x: jax.Array, kernel: jax.Array) -> jax.Array:
  return lax.conv_general_dilated(
      x, kernel, 2 * (window.stride,), 2 * (2 * (window.padding,),), dimension_numbers=LAYOUT,
      feature_group_count=window.groups,
  )


def _native_transposed(window: Window, y: jax.Array, kernel: jax.Array, size: Size) -> jax.Array:
  shape = (y.shape[0], *size, kernel.shape[2] * window.groups)
  x = jax.ShapeDtypeStruct(shape, y.dtype)
  return jax.linear_transpose(lambda x: _native_convolve(window, x, kernel), x)(y)[0]


def _native_kernel_gradient(window: Window, x: jax.Array, y: jax.Array, k: int) -> jax.Array:
  kernel = jax.ShapeDtypeStruct((k, k, x.shape[-1] // window.groups, y.shape[-1]), x.dtype)
  return jax.linear_transpose(lambda kernel: _native_convolve(window, x, kernel), kernel)(y)[0]


def _patches_convolve(window: Window, x: jax.Array, kernel: jax.Array) -> jax.Array:
  matrix = kernel.reshape(-1, kernel.shape[-1])
  k = kernel.shape[0]
  def some(x: jax.Array) -> jax.Array:
    return _patches(x, k, window) @ matrix
  return _joined(lax.map(some, _chunks(x, _images(x.shape[1:], k, window))), x.shape[0])


def _patches_transposed(window: Window, y: jax.Array, kernel: jax.Array, size: Size) -> jax.Array:
  matrix = kernel.reshape(-1, kernel.shape[-1])
  k, _, channels, _ = kernel.shape
  def some(y: jax.Array) -> jax.Array:
    return _sum_patches(y @ matrix.T, (*size, channels), k, window)
  return _joined(lax.map(some, _chunks(y, _images((*size, channels), k, window))), y.shape[0])


def _patches_kernel_gradient(window: Window, x: jax.Array, y: jax.Array, k: int) -> jax.Array:
  def some(total: jax.Array, xy: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
    patches, y = _patches(xy[0], k, window), xy[1]
    return total + lax.dot_general(y, patches, (((0, 1, 2), (0, 1, 2)), ((), ()))), None
  images = _images(x.shape[1:], k, window)
  zeros = jnp.zeros((y.shape[-1], k * k * x.shape[-1]), x.dtype)
  total, _ = lax.scan(some, zeros, (_chunks(x, images), _chunks(y, images)))
  return total.T.reshape(k, k, x.shape[-1], y.shape[-1])


def _images(shape: tuple[int, int, int], k: int, window: Window) -> int:
  """How many images' patches fit into a chunk."""
  rows, columns = (window.positions(n, k) for n in shape[:2])
  return max(1, CHUNK_BYTES // (4 * rows * columns * k * k * shape[-1]))


def _chunks(x: jax.Array, images: int) -> jax.Array:
  """[B, ...] -> [chunks, at most `images`, ...], in equal parts; zeros fill up the last."""
  count = -(-x.shape[0] // images)
  size = -(-x.shape[0] // count)
  filled = jnp.pad(x, [(0, count * size - x.shape[0])] + [(0, 0)] * (x.ndim - 1))
  return filled.reshape(count, size, *x.shape[1:])


def _joined(chunks: jax.Array, batch: int) -> jax.Array:
  """Undoes `_chunks`."""
  return chunks.reshape(-1, *chunks.shape[2:])[:batch]


def _patches(x: jax.Array, k: int, window: Window) -> jax.Array:
  """x [B, H, W, C] -> [B, H', W', k * k * C], each patch in the order of a kernel's entries.

  Tiles of stride x stride pixels make every slice a contiguous run of up to stride pixels.
  """
  s, p, (b, h, w, c) = window.stride, window.padding, x.shape
  rows, columns = (window.positions(n, k) for n in (h, w))
  down, across = (n - 1 + -(-k // s) for n in (rows, columns))
  high = (0, s * down - h - p, s * across - w - p, 0)
  padded = lax.pad(x, jnp.zeros((), x.dtype), [(low, h, 0) for low, h in zip((0, p, p, 0), high)])
  tiles = padded.reshape(b, down, s, across, s * c)
  return jnp.concatenate([
      tiles[:, i // s:i // s + rows, i % s, j // s:j // s + columns, :min(s, k - j) * c]
      for i in range(k) for j in range(0, k, s)
  ], axis=-1)


def _sum_patches(
    patches: jax.Array, shape: tuple[int, int, int], k: int, window: Window
) -> jax.Array:
  """The transpose of `_patches`: adds patches up where they overlap -> [B, *shape]."""
  x = jax.ShapeDtypeStruct((patches.shape[0], *shape), patches.dtype)
  return jax.linear_transpose(lambda x: _patches(x, k, window), x)(patches)[0]

"""Convolutions and their transposes with explicit padding, fast on CPU too.

XLA's CPU backend is slow at the gradients of strided and grouped convolutions, above all within
loops. There, and only there (`choose`), the three products of a layer are computed as patches times
a matrix, a few images at a time so that patches stay in cache; other platforms get XLA's own
convolutions, GPUs with small maps enlarged (`_at_least`). All are exact: the same products, summed
in another order.

jax.jit keeps what it has traced of each product, by shapes, and is no part of the program: with all
platforms' forms in it, a step of the image networks is traced in 1.4 instead of 2.2 seconds.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

# Of patches at a time, or as many as the kernel has, so that it is not read for a few rows. All at
# once take twice as long. 8 MiB take 7 % less a step on two idle cores, but sum kernel gradients in
# another order: one golden test then misses its tolerance (docs/roofline.md).
CHUNK_BYTES = 2 << 20
LAYOUT = ("NHWC", "HWIO", "NHWC")
Size = tuple[int, int]
Shape = tuple[int, int, int]


class Window(NamedTuple):
  """How a square kernel slides over an image with `padding` more pixels on all four sides.

  With groups, the first part of the output channels sees the first part of the input's, and so on.
  """

  stride: int = 1
  padding: int = 0
  groups: int = 1

  def positions(self, size: int, k: int) -> int:
    """Output size along a side, rounded down."""
    return (size - k + 2 * self.padding) // self.stride + 1


@partial(jax.custom_vjp, nondiff_argnums=(2,))
@partial(jax.jit, static_argnums=2, inline=True)
def convolve(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """Correlates x [B, H, W, C] with a kernel [k, k, C / groups, O] -> [B, H', W', O]."""
  patches = partial(_by_group, _patches_convolve, window)
  return choose(patches, partial(_native_convolve, window), x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
@partial(jax.jit, static_argnums=(2, 3), inline=True)
def transposed(y: jax.Array, kernel: jax.Array, window: Window, size: Size) -> jax.Array:
  """The transpose of `convolve` in x: y [B, H', W', O] -> [B, *size, C]."""
  patches = partial(_by_group, partial(_patches_transposed, size=size), window)
  native = partial(_native_transposed, window, size=size)
  least = kernel.shape[:2]  # else XLA takes y for the kernel
  return choose(patches, native, y, kernel, on_cuda=partial(native, least=least))


@partial(jax.jit, static_argnums=(2, 3), inline=True)
def kernel_gradient(x: jax.Array, y: jax.Array, window: Window, k: int) -> jax.Array:
  """The transpose of `convolve` in its kernel, from x [B, H, W, C] and y [B, H', W', O]."""
  patches = partial(_by_group, partial(_patches_kernel_gradient, k=k), window)
  native = partial(_native_kernel_gradient, window, k=k)
  least = (k + 1, 0)  # of y, in one axis larger than the result, else XLA sees no gradient in it
  return choose(patches, native, x, y, on_cuda=partial(native, least=least))


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
  """A convolution; kernel [k, k, C / groups, features], at first N(0, 0.02) (reference section 0).

  bias: add one to each feature, of 0 at first: where no batch norm follows.
  """

  features: int
  k: int
  window: Window
  bias: bool = False
  init: nn.initializers.Initializer = nn.initializers.normal(0.02)

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """x [B, H, W, C] -> [B, H', W', features]."""
    shape = (self.k, self.k, x.shape[-1] // self.window.groups, self.features)
    y = convolve(x, self.param("kernel", self.init, shape, jnp.float32), self.window)
    if not self.bias:
      return y
    bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
    return y + bias.reshape(1, 1, 1, -1)


class Deconvolution(nn.Module):
  """The transpose of a convolution of images `stride` times as large; no bias.

  The kernel, N(0, 0.02), is [k, k, features, C]: that of the convolution. With k 5, stride 2 and
  padding 2, this equals a correlation, with the kernel flipped, over the zero-dilated input padded
  by 2 before and 3 after (reference section 0).
  """

  features: int
  k: int
  window: Window

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """x [B, H, W, C] -> [B, stride * H, stride * W, features]."""
    shape = (self.k, self.k, self.features, x.shape[-1])
    size = tuple(self.window.stride * n for n in x.shape[1:3])
    kernel = self.param("kernel", nn.initializers.normal(0.02), shape, jnp.float32)
    return transposed(x, kernel, self.window, size)


def choose(
    on_cpu: Callable[..., jax.Array], elsewhere: Callable[..., jax.Array], *args: jax.Array,
    on_cuda: Callable[..., jax.Array] | None = None,
) -> jax.Array:
  """Decides, in this place alone, by the platform that the program is compiled for."""
  return lax.platform_dependent(
      *args, cpu=on_cpu, cuda=on_cuda or elsewhere, default=elsewhere
  )


def _native_convolve(
    window: Window, x: jax.Array, kernel: jax.Array, more: Size = (0, 0)
) -> jax.Array:
  """`convolve`; with `more` rows and columns of outputs, of windows beyond the padding."""
  padding = [(window.padding, window.padding + window.stride * n) for n in more]
  return lax.conv_general_dilated(
      x, kernel, 2 * (window.stride,), padding, dimension_numbers=LAYOUT,
      feature_group_count=window.groups,
  )


def _native_transposed(
    window: Window, y: jax.Array, kernel: jax.Array, size: Size, least: Size = (0, 0)
) -> jax.Array:
  shape = (y.shape[0], *size, kernel.shape[2] * window.groups)
  x = jax.ShapeDtypeStruct(shape, y.dtype)
  y, more = _at_least(least, y, window)
  return jax.linear_transpose(lambda x: _native_convolve(window, x, kernel, more), x)(y)[0]


def _native_kernel_gradient(
    window: Window, x: jax.Array, y: jax.Array, k: int, least: Size = (0, 0)
) -> jax.Array:
  shape = (k, k, x.shape[-1] // window.groups, y.shape[-1])
  kernel = jax.ShapeDtypeStruct(shape, x.dtype)
  y, more = _at_least(least, y, window)
  convolve_x = partial(_native_convolve, window, x, more=more)
  return jax.linear_transpose(convolve_x, kernel)(y)[0]


def _at_least(size: Size, y: jax.Array, window: Window) -> tuple[jax.Array, Size]:
  """y with so many rows and columns, zeros being the last of them, and how many those are.

  XLA for GPUs knows the gradients of a strided convolution by their shapes. Of maps smaller than
  the kernel it writes the stride out as zeros, and multiplies with them: 1,040 instead of 556
  GFLOP in a step of the image networks, for the sake of their 4 x 4 maps (docs/roofline.md).
  """
  least = size if window.stride > 1 else (0, 0)
  more = tuple(max(n - had, 0) for n, had in zip(least, y.shape[1:3]))
  return jnp.pad(y, ((0, 0), (0, more[0]), (0, more[1]), (0, 0))), more


def _by_group(
    form: Callable[..., jax.Array], window: Window, a: jax.Array, b: jax.Array
) -> jax.Array:
  """Applies `form` to one group at a time; all three products split and join last axes."""
  pairs = zip(*(jnp.split(array, window.groups, axis=-1) for array in (a, b)), strict=True)
  return jnp.concatenate([form(window._replace(groups=1), *pair) for pair in pairs], axis=-1)


def _patches_convolve(window: Window, x: jax.Array, kernel: jax.Array) -> jax.Array:
  k, matrix = kernel.shape[0], kernel.reshape(-1, kernel.shape[-1])
  chunks = _chunks(x, _images(x.shape[1:], k, window, kernel.shape[-1]))
  return _joined(lax.map(lambda x: _patches(x, k, window) @ matrix, chunks), x.shape[0])


def _patches_transposed(window: Window, y: jax.Array, kernel: jax.Array, size: Size) -> jax.Array:
  k, matrix = kernel.shape[0], kernel.reshape(-1, kernel.shape[-1]).T
  shape = (*size, kernel.shape[2])
  chunks = _chunks(y, _images(shape, k, window, kernel.shape[-1]))
  return _joined(lax.map(lambda y: _sum_patches(y @ matrix, shape, k, window), chunks), y.shape[0])


def _patches_kernel_gradient(window: Window, x: jax.Array, y: jax.Array, k: int) -> jax.Array:
  channels, features = x.shape[-1], y.shape[-1]
  rows = (((0,), (0,)), ((), ()))
  def add(total: jax.Array, chunk: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
    # As matrices, else XLA transposes y first: 4 instead of 3 ms for three input channels.
    patches = _patches(chunk[0], k, window).reshape(-1, total.shape[-1])
    y = chunk[1].reshape(-1, features)
    return total + lax.dot_general(y, patches, rows, preferred_element_type=total.dtype), None

  images = _images(x.shape[1:], k, window, features)
  zeros = jnp.zeros((features, k * k * channels), jnp.promote_types(x.dtype, jnp.float32))
  total, _ = lax.scan(add, zeros, (_chunks(x, images), _chunks(y, images)))
  return total.T.reshape(k, k, channels, features).astype(x.dtype)


def _images(shape: Shape, k: int, window: Window, features: int) -> int:
  """How many images' patches fit into a chunk: a power of two, as batches mostly are."""
  rows, columns = (window.positions(n, k) for n in shape[:2])
  patch = 4 * k * k * shape[2]
  fitting = max(CHUNK_BYTES, patch * features) // (patch * rows * columns)
  return 1 << max(fitting, 1).bit_length() - 1


def _chunks(x: jax.Array, images: int) -> jax.Array:
  """[B, ...] -> [chunks, at most `images`, ...], equal parts; images of zeros fill the last."""
  count = -(-x.shape[0] // images)
  size = -(-x.shape[0] // count)
  filled = jnp.pad(x, ((0, count * size - x.shape[0]), *(x.ndim - 1) * ((0, 0),)))
  return filled.reshape(count, size, *x.shape[1:])


def _joined(chunks: jax.Array, batch: int) -> jax.Array:
  """Undoes `_chunks`."""
  return chunks.reshape(-1, *chunks.shape[2:])[:batch]


def _patches(x: jax.Array, k: int, window: Window) -> jax.Array:
  """x [B, H, W, C] -> [B, H', W', k * k * C], each patch in the order of a kernel's entries.

  Made of few long slices: one row of pixels, as many as the stride, is contiguous in `tiles`. They
  are joined along an axis that is not the last: there XLA writes each slice to its place at once,
  else it copies every slice first (three times as long on CPU).
  """
  s, p, (b, h, w, c) = window.stride, window.padding, x.shape
  rows, columns = (window.positions(n, k) for n in (h, w))
  down, across = (n - 1 + -(-k // s) for n in (rows, columns))
  sides = ((0, 0, 0), (p, s * down - h - p, 0), (p, s * across - w - p, 0), (0, 0, 0))
  tiles = lax.pad(x, jnp.zeros((), x.dtype), sides).reshape(b, down, s, across, s, c)
  return jnp.concatenate([
      tiles[:, i // s:i // s + rows, i % s, j // s:j // s + columns, :min(s, k - j)]
      for i in range(k) for j in range(0, k, s)
  ], axis=-2).reshape(b, rows, columns, k * k * c)


def _sum_patches(patches: jax.Array, shape: Shape, k: int, window: Window) -> jax.Array:
  """The transpose of `_patches`: adds patches up where they overlap -> [B, *shape]."""
  x = jax.ShapeDtypeStruct((patches.shape[0], *shape), patches.dtype)
  return jax.linear_transpose(lambda x: _patches(x, k, window), x)(patches)[0]

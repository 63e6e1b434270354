"""G and D of the image setting, after Radford et al.: 5x5 layers of stride 2 (appendix A.2)."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from bigan_jax.models.layers import BatchNorm, leaky_relu, linear
from bigan_jax.models.strided import Convolution, Deconvolution, Window

Activations = dict[str, jax.Array]
KERNEL = 5
WINDOW = Window(stride=2, padding=2)
SIDE = 4  # of G's first and D's last feature maps
Z_STDDEV = 0.02 * KERNEL**2  # of projections of z into these layers (reference section 0)


def project(z: jax.Array, features: int, name: str, stddev: float = Z_STDDEV) -> jax.Array:
  """A linear projection of z [B, d] for every position of feature maps: [B, 1, 1, features]."""
  return linear(features, name, stddev)(z)[:, None, None]


class Generator(nn.Module):
  """G: z [B, d] -> x [B, *image_shape] within `value_range`.

  The units of the first layer are rows, columns and channels of 4 x 4 maps, in this order (the
  authors': channels first); each is normalised by itself.

  Attributes:
    image_shape: (side, side, channels); the side is 8, 16, 32, 64 (the paper's) or 128.
    value_range: the native range of x.
    width: channels of the last hidden layer, and each layer before it has twice as many.
    z_skip: project z into every later hidden layer as well (authors' code only, reference 2).
    kernel: side of the deconvolutions' kernels.
    axis_name: device axis of the batch statistics.
  """

  image_shape: tuple[int, int, int]
  value_range: tuple[float, float] = (-1.0, 1.0)
  width: int = 64
  z_skip: bool = False
  kernel: int = KERNEL
  axis_name: str | None = None

  @nn.compact
  def __call__(self, z: jax.Array, train: bool = False) -> tuple[jax.Array, Activations]:
    deconvs, window = self._deconvs(), Window(stride=2, padding=(self.kernel - 1) // 2)
    widths = [self.width * 2 ** (deconvs - 1 - i) for i in range(deconvs)]
    h = linear(SIDE * SIDE * widths[0], "fc1")(z)
    h = nn.relu(self._norm("fc1_bn")(h, train))
    activations = {"fc1": h}
    h = h.reshape(-1, SIDE, SIDE, widths[0])
    for i, width in enumerate(widths[1:], start=2):
      name = f"deconv{i}"
      h = Deconvolution(width, self.kernel, window, name=name)(h)
      if self.z_skip:
        h = h + project(z, width, f"{name}_z", 0.02 * self.kernel**2)
      h = nn.relu(self._norm(f"{name}_bn")(h, train))
      activations[name] = h
    channels = self.image_shape[2]
    logits = Deconvolution(channels, self.kernel, window, name=f"deconv{deconvs + 1}")(h)
    low, high = self.value_range
    return low + (high - low) * nn.sigmoid(logits), activations

  def _norm(self, name: str) -> BatchNorm:
    return BatchNorm(affine=True, axis_name=self.axis_name, name=name)

  def _deconvs(self) -> int:
    """How often the side doubles from 4 to that of the image."""
    height, width, _ = self.image_shape
    deconvs = (height // SIDE).bit_length() - 1
    if height != width or deconvs < 1 or height != SIDE << deconvs:
      raise ValueError(
          f"The convolutional G cannot make images of {height} x {width} pixels: choose a square "
          "of 8, 16, 32, 64 or 128."
      )
    return deconvs


class Discriminator(nn.Module):
  """D: x [B, H, W, C] and, jointly, z [B, d] -> logits [B] of "x is real".

  Attributes:
    width: channels of the first layer, and each layer after it has twice as many.
    z_output: let z enter the output layer too, as the paper's text says (section 4); the
      authors' code stops at the last hidden layer.
    z_stddev: initial weights of the projections of z into hidden layers. The authors' are 25 times
      those of kernels, which drowns x in narrow networks (docs/results.md, "Clip art").
    axis_name: device axis of the batch statistics.
  """

  width: int = 64
  z_output: bool = True
  z_stddev: float = Z_STDDEV
  axis_name: str | None = None
  feature_layer: ClassVar[str] = "conv4"

  @nn.compact
  def __call__(
      self, x: jax.Array, z: jax.Array | None = None, train: bool = False, batches: int = 1
  ) -> tuple[jax.Array, Activations]:
    """Judges `batches` stacked batches at once, x: [batches * B, H, W, C]."""
    h = leaky_relu(Convolution(self.width, KERNEL, WINDOW, name="conv1")(x))
    activations = {"conv1": h}
    for i in (2, 3, 4):
      name, width = f"conv{i}", self.width * 2 ** (i - 1)
      h = Convolution(width, KERNEL, WINDOW, name=name)(h)
      if z is not None:
        h = h + project(z, width, f"{name}_z", self.z_stddev)
      norm = BatchNorm(affine=True, axis_name=self.axis_name, name=f"{name}_bn")
      h = leaky_relu(norm(h, train, batches))
      activations[name] = h
    logits = linear(1, "out", stddev=0)(h.reshape(h.shape[0], -1))
    if z is not None and self.z_output:
      logits = logits + linear(1, "out_z", stddev=0)(z)
    return jnp.squeeze(logits, -1), activations

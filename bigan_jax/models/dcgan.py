"""G and D of the image setting, after Radford et al.: 5x5 layers of stride 2 (appendix A.2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from bigan_jax.models.layers import STDDEV, BatchNorm, leaky_relu, linear, project
from bigan_jax.models.strided import Convolution, Deconvolution, Window

Activations = dict[str, jax.Array]
KERNEL = 5
SIDE = 4  # of G's first feature maps, and of the paper's D's last
Z_STDDEV = STDDEV * KERNEL**2  # of projections of z into these layers (reference section 0)


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
        h = h + project(z, h, f"{name}_z", 0.02 * self.kernel**2)
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

  Convolutions of stride 2, a trunk F(x), and, if it is to have one, a layer fc. z is projected into
  every hidden layer but the first (paper, section 4).

  In parts (`unary`; BigBiGAN, section 2) z has layers H(z) of its own, and meets F(x) in fc, in J.
  Then there are scores [B, 3]: s_xz of J(F(x), H(z)), s_x of F(x), and s_z of H(z).

  Attributes:
    width: channels of the first layer, and each layer after it has twice as many.
    kernel: side of the convolutions' kernels.
    convolutions: how many.
    hidden: units of fc, and in parts of the layers of z; 0: no such layer.
    z_output: let z enter the output layer too, as the paper's text says (section 4); the
      authors' code stops at the last hidden layer.
    z_stddev: initial weights of the projections of z into hidden layers; in parts they are as any.
      The authors' are 25 times those of kernels, which drowns x in narrow networks
      (docs/results.md, "Clip art").
    norm: "batch", of all hidden layers but the first; or "spectral": kernels are divided by their
      singular values in training (models/spectral.py), and hidden layers have a bias.
    unary: judge x and z by themselves too.
    axis_name: device axis of the batch statistics.
  """

  width: int = 64
  kernel: int = KERNEL
  convolutions: int = 4
  hidden: int = 0
  z_output: bool = True
  z_stddev: float = Z_STDDEV
  norm: str = "batch"
  unary: bool = False
  axis_name: str | None = None

  @property
  def feature_layer(self) -> str:
    """The last layer that sees x alone, or would without z."""
    return "fc" if self.hidden and not self.unary else f"conv{self.convolutions}"

  @nn.compact
  def __call__(
      self, x: jax.Array, z: jax.Array | None = None, train: bool = False, batches: int = 1
  ) -> tuple[jax.Array, Activations]:
    """Judges `batches` stacked batches at once, x: [batches * B, H, W, C]."""
    activations, bias = {}, self.norm == "spectral"
    def hidden(layer: nn.Module, h: jax.Array, z: jax.Array | None = None) -> jax.Array:
      h, name = layer(h), layer.name
      if z is not None:
        h = h + project(z, h, f"{name}_z", STDDEV if parts else self.z_stddev)
      if not bias and name != "conv1":
        norm = BatchNorm(affine=True, axis_name=self.axis_name, name=f"{name}_bn")
        h = norm(h, train, batches)
      activations[name] = leaky_relu(h)
      return activations[name]

    dense = lambda name: linear(self.hidden, name, bias=bias)
    score = lambda name, h: linear(1, name, stddev=STDDEV if bias else 0)(h)
    parts, window = self.unary and z is not None, Window(2, (self.kernel - 1) // 2)
    for i in range(1, self.convolutions + 1):
      conv = Convolution(self.width << i - 1, self.kernel, window, bias, name=f"conv{i}")
      x = hidden(conv, x, None if parts or i == 1 else z)
    J = F = x.reshape(x.shape[0], -1)
    H = hidden(dense("z2"), hidden(dense("z1"), z)) if parts else z
    if self.hidden:
      J = hidden(dense("fc"), F, H)
    if parts:
      s_xz = score("out", hidden(dense("fc2"), J))
      return jnp.concatenate([s_xz, score("out_x", F), score("out_z", H)], axis=-1), activations
    s = score("out", J)
    if z is not None and self.z_output:
      s = s + score("out_z", z)
    return jnp.squeeze(s, -1), activations

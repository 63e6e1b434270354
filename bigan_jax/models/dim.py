"""E of Deep InfoMax's tables on CIFAR-10, and a D to match: three 4 x 4 layers of stride 2, and fc.

Hjelm et al., "Learning deep representations by mutual information estimation and maximization":
their encoder of 32 x 32 pictures, and that of the BiGAN beside it.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from bigan_jax.models.dcgan import project
from bigan_jax.models.layers import BatchNorm, leaky_relu, linear
from bigan_jax.models.strided import Convolution, Window

Activations = dict[str, jax.Array]
CONVOLUTIONS = 3  # 32 pixels end in 4 x 4 maps
KERNEL = 4
WINDOW = Window(stride=2, padding=1)


class Encoder(nn.Module):
  """E: x [B, H, W, C] -> logits of the code [B, d] (squashed by `latents.code`).

  Attributes:
    latent_dim: d.
    width: channels of conv1; each layer after it has twice as many.
    hidden: units of fc.
    first_bn: normalise conv1 too, as Deep InfoMax does; recipe official does not.
    out_stddev: initial weights of the output layer; 0 for the latent regressors (reference 0).
    axis_name: device axis of the batch statistics.
  """

  latent_dim: int
  width: int = 64
  hidden: int = 1024
  first_bn: bool = True
  out_stddev: float = 0.02
  axis_name: str | None = None
  feature_layer: ClassVar[str] = "fc"

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, Activations]:
    activations = {}
    for i in range(1, CONVOLUTIONS + 1):
      x = Convolution(self.width << i - 1, KERNEL, WINDOW, name=f"conv{i}")(x)
      if i > 1 or self.first_bn:
        x = self._norm(f"conv{i}_bn")(x, train)
      x = activations[f"conv{i}"] = nn.relu(x)
    h = linear(self.hidden, "fc")(x.reshape(x.shape[0], -1))
    h = activations["fc"] = nn.relu(self._norm("fc_bn")(h, train))
    return linear(self.latent_dim, "out", self.out_stddev)(h), activations

  def _norm(self, name: str) -> BatchNorm:
    return BatchNorm(affine=True, axis_name=self.axis_name, name=name)


class Discriminator(nn.Module):
  """D: x [B, H, W, C] and, jointly, z [B, d] -> logits [B] of "x is real".

  As dcgan's, z is projected into every hidden layer but the first (paper, section 4).

  Attributes:
    width, hidden, axis_name: as E's.
    z_output: let z enter the output layer too (section 4); the authors' code does not.
    z_stddev: initial weights of the projections of z into hidden layers.
  """

  width: int = 64
  hidden: int = 1024
  z_output: bool = True
  z_stddev: float = 0.02
  axis_name: str | None = None
  feature_layer: ClassVar[str] = "fc"

  @nn.compact
  def __call__(
      self, x: jax.Array, z: jax.Array | None = None, train: bool = False, batches: int = 1
  ) -> tuple[jax.Array, Activations]:
    """Judges `batches` stacked batches at once, x: [batches * B, H, W, C]."""
    h = leaky_relu(Convolution(self.width, KERNEL, WINDOW, name="conv1")(x))
    activations = {"conv1": h}
    for i in range(2, CONVOLUTIONS + 1):
      name, width = f"conv{i}", self.width << i - 1
      h = Convolution(width, KERNEL, WINDOW, name=name)(h)
      if z is not None:
        h = h + project(z, width, f"{name}_z", self.z_stddev)
      h = activations[name] = leaky_relu(self._norm(f"{name}_bn")(h, train, batches))
    h = linear(self.hidden, "fc")(h.reshape(h.shape[0], -1))
    if z is not None:
      h = h + linear(self.hidden, "fc_z", self.z_stddev)(z)
    h = activations["fc"] = leaky_relu(self._norm("fc_bn")(h, train, batches))
    logits = linear(1, "out", stddev=0)(h)
    if z is not None and self.z_output:
      logits = logits + linear(1, "out_z", stddev=0)(z)
    return jnp.squeeze(logits, -1), activations

  def _norm(self, name: str) -> BatchNorm:
    return BatchNorm(affine=True, axis_name=self.axis_name, name=name)

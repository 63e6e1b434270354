"""D of pairs in three parts: a trunk that sees x alone, one that sees z alone, and their meeting.

After BigBiGAN (Donahue and Simonyan, 2019), section 2: scores s_x of F(x), s_z of H(z), and s_xz of
J(F(x), H(z)); y = +1 for (x, E(x)), -1 for (G(z), z).
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from bigan_jax.models import spectral
from bigan_jax.models.layers import BatchNorm, leaky_relu, linear
from bigan_jax.models.strided import Window, convolve

Activations = dict[str, jax.Array]
KERNEL = 4
WINDOW = Window(stride=2, padding=1)
SIDE = 4  # of the trunk's last maps
NORMS = ("spectral", "batch")


class Layer(nn.Module):
  """A convolution or linear layer, normalised, and its nonlinearity.

  Attributes:
    features: channels or units of the output.
    norm: "spectral": the kernel is divided by its largest singular value, and there is a bias;
      "batch": the output is normalised over the batch.
    convolves: KERNEL x KERNEL of stride 2 instead of linear.
    axis_name: device axis of the batch statistics.
  """

  features: int
  norm: str = "spectral"
  convolves: bool = False
  axis_name: str | None = None

  @nn.compact
  def __call__(self, h: jax.Array, train: bool, batches: int) -> jax.Array:
    window = (KERNEL, KERNEL) if self.convolves else ()
    init = nn.initializers.normal(0.02)
    kernel = self.param("kernel", init, (*window, h.shape[-1], self.features))
    if self.norm == "spectral":
      kernel = spectral.normalise(self, kernel, train)
    h = convolve(h, kernel, WINDOW) if self.convolves else h @ kernel
    if self.norm == "spectral":
      return leaky_relu(h + self.param("bias", nn.initializers.zeros, (self.features,)))
    norm = BatchNorm(affine=True, axis_name=self.axis_name, name="bn")
    return leaky_relu(norm(h, train, batches))


class Discriminator(nn.Module):
  """D: x [B, H, W, C] and, jointly, z [B, d] -> scores [B], or [B, 3] with unary ones.

  Attributes:
    width: channels of conv1; each layer after it has twice as many.
    hidden: units of the layers of z and of the meeting.
    norm: of all layers, one of NORMS.
    unary: score x alone and z alone besides the pair: columns s_xz, s_x, s_z.
    axis_name: device axis of the batch statistics.
  """

  width: int = 64
  hidden: int = 512
  norm: str = "spectral"
  unary: bool = True
  axis_name: str | None = None
  feature_layer: ClassVar[str] = "trunk"

  @nn.compact
  def __call__(
      self, x: jax.Array, z: jax.Array | None = None, train: bool = False, batches: int = 1
  ) -> tuple[jax.Array, Activations]:
    """Judges `batches` stacked batches at once, x: [batches * B, H, W, C]."""
    activations: Activations = {}
    def layer(name: str, h: jax.Array, features: int, convolves: bool = False) -> jax.Array:
      module = Layer(features, self.norm, convolves, self.axis_name, name=name)
      activations[name] = module(h, train, batches)
      return activations[name]

    i = 0
    while x.shape[1] > SIDE:
      i += 1
      x = layer(f"conv{i}", x, self.width << i - 1, convolves=True)
    F = activations["trunk"] = x.reshape(x.shape[0], -1)
    s_x = linear(1, "out_x", stddev=0)(F)
    if z is None:
      return jnp.squeeze(s_x, -1), activations
    H = layer("z2", layer("z1", z, self.hidden), self.hidden)
    J = layer("joint2", layer("joint1", jnp.concatenate([F, H], axis=-1), self.hidden), self.hidden)
    s_xz = linear(1, "out", stddev=0)(J)
    if not self.unary:
      return jnp.squeeze(s_xz, -1), activations
    return jnp.concatenate([s_xz, s_x, linear(1, "out_z", stddev=0)(H)], axis=-1), activations

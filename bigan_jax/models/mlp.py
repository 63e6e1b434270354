"""G, D and E of the permutation-invariant setting: two hidden layers of 1024 units (A.1)."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from bigan_jax.models.layers import BatchNorm, leaky_relu, linear

Activations = dict[str, jax.Array]


class Generator(nn.Module):
  """G: z [B, d] -> x [B, *image_shape] within `value_range`.

  Attributes:
    image_shape: (H, W, C) of the images.
    value_range: the native range of x; (0, 1) for digits.
    width: units of each hidden layer.
    first_bn: normalise the first hidden layer too, as the authors' code does (reference
      section 1); the paper's text has no batch norm there.
    z_skip: project z into the second hidden layer as well (authors' code only).
    axis_name: device axis of the batch statistics.
  """

  image_shape: tuple[int, int, int]
  value_range: tuple[float, float] = (0.0, 1.0)
  width: int = 1024
  first_bn: bool = False
  z_skip: bool = False
  axis_name: str | None = None

  @nn.compact
  def __call__(self, z: jax.Array, train: bool = False) -> tuple[jax.Array, Activations]:
    fc1 = linear(self.width, "fc1")(z)
    if self.first_bn:
      fc1 = BatchNorm(axis_name=self.axis_name, name="fc1_bn")(fc1, train)
    fc1 = nn.relu(fc1)
    fc2 = linear(self.width, "fc2")(fc1)
    if self.z_skip:
      fc2 = fc2 + linear(self.width, "fc2_z")(z)
    fc2 = nn.relu(BatchNorm(axis_name=self.axis_name, name="fc2_bn")(fc2, train))
    height, width, channels = self.image_shape
    logits = linear(height * width * channels, "out")(fc2)
    low, high = self.value_range
    x = low + (high - low) * nn.sigmoid(logits)
    return x.reshape(-1, *self.image_shape), {"fc1": fc1, "fc2": fc2}


class Encoder(nn.Module):
  """E: x [B, H, W, C] -> logits of the code [B, d] (squashed by `latents.code`).

  Attributes:
    latent_dim: d.
    width: units of each hidden layer.
    out_stddev: initial weights of the output layer; 0 for the latent regressors (reference 0).
    axis_name: device axis of the batch statistics.
  """

  latent_dim: int
  width: int = 1024
  out_stddev: float = 0.02
  axis_name: str | None = None
  feature_layer: ClassVar[str] = "fc2"

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, Activations]:
    fc1 = leaky_relu(linear(self.width, "fc1")(x.reshape(x.shape[0], -1)))
    fc2 = linear(self.width, "fc2")(fc1)
    fc2 = leaky_relu(BatchNorm(axis_name=self.axis_name, name="fc2_bn")(fc2, train))
    return linear(self.latent_dim, "out", self.out_stddev)(fc2), {"fc1": fc1, "fc2": fc2}


class Discriminator(nn.Module):
  """D: x [B, H, W, C] and, jointly, z [B, d] -> logits [B] of "x is real".

  Attributes:
    width: units of each hidden layer.
    z_output: let z enter the output layer too, as the paper's text says (section 4); the
      authors' code stops at the last hidden layer.
    norm: "batch", of the second hidden layer; or "spectral", as in dcgan.Discriminator.
    axis_name: device axis of the batch statistics.
  """

  width: int = 1024
  z_output: bool = True
  norm: str = "batch"
  axis_name: str | None = None
  feature_layer: ClassVar[str] = "fc2"

  @nn.compact
  def __call__(
      self, x: jax.Array, z: jax.Array | None = None, train: bool = False, batches: int = 1
  ) -> tuple[jax.Array, Activations]:
    """Judges `batches` stacked batches at once, x: [batches * B, H, W, C]."""
    bias = self.norm == "spectral"
    score = lambda name, h: linear(1, name, stddev=0.02 if bias else 0)(h)
    fc1 = leaky_relu(linear(self.width, "fc1", bias=bias)(x.reshape(x.shape[0], -1)))
    fc2 = linear(self.width, "fc2", bias=bias)(fc1)
    if z is not None:
      fc2 = fc2 + linear(self.width, "fc2_z")(z)
    if not bias:
      fc2 = BatchNorm(axis_name=self.axis_name, name="fc2_bn")(fc2, train, batches)
    fc2 = leaky_relu(fc2)
    logits = score("out", fc2)
    if z is not None and self.z_output:
      logits = logits + score("out_z", z)
    return jnp.squeeze(logits, -1), {"fc1": fc1, "fc2": fc2}

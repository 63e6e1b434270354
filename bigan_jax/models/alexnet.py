"""AlexNet through conv5, without response normalisation: E, or D as a baseline (appendix A.2)."""

from typing import ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from bigan_jax.models.layers import BatchNorm, code_logits, leaky_relu, linear
from bigan_jax.models.pooling import max_pool
from bigan_jax.models.strided import Convolution, Window

Activations = dict[str, jax.Array]
WIDTHS = (96, 256, 384, 384, 256)


class Layer(NamedTuple):
  """A convolution of the authors' "alexnet_group_padpool" (reference section 2).

  pool: pool its output before the next layer.
  """

  k: int
  window: Window
  pool: bool = False


LAYERS = {
    "conv1": Layer(11, Window(stride=4, padding=5), pool=True),
    "conv2": Layer(5, Window(padding=2, groups=2), pool=True),
    "conv3": Layer(3, Window(padding=1)),
    "conv4": Layer(3, Window(padding=1, groups=2)),
    "conv5": Layer(3, Window(padding=1, groups=2)),
}
POOL = Window(stride=2, padding=1)



def features(
    x: jax.Array, widths: tuple[int, ...], first_bn: bool, axis_name: str | None, train: bool,
    batches: int = 1, bias: bool = False,
) -> Activations:
  """The five convolutions, in the scope of the module that calls; activations before pooling.

  Args:
    bias: instead of batch norm.
  """
  activations = {}
  for (name, layer), width in zip(LAYERS.items(), widths, strict=True):
    h = Convolution(width, layer.k, layer.window, bias, name=name)(x)
    if not bias and (first_bn or name != "conv1"):
      norm = BatchNorm(affine=True, axis_name=axis_name, name=f"{name}_bn")
      h = norm(h, train, batches)
    activations[name] = leaky_relu(h)
    x = max_pool(activations[name], 3, POOL) if layer.pool else activations[name]
  return activations


class Encoder(nn.Module):
  """E: x [B, H, W, C] -> logits of the code [B, d] (squashed by `latents.code`).

  Any size will do: 64 pixels end in 4 x 4 maps, 112 (generalised BiGAN) in 7 x 7.

  Attributes:
    latent_dim: d.
    widths: channels of conv1 to conv5, all even for the sake of the groups.
    first_bn: normalise conv1 too, as the paper says (appendix A.2); the authors' code does not.
    out_stddev: initial weights of the output layer; 0 for the latent regressors (reference 0).
    stochastic: give a spread of the code too.
    rotation: above 0, tell how a picture is turned too (the weight of that in E's loss).
    axis_name: device axis of the batch statistics.
  """

  latent_dim: int
  widths: tuple[int, ...] = WIDTHS
  first_bn: bool = True
  out_stddev: float = 0.02
  stochastic: bool = False
  rotation: float = 0.0
  axis_name: str | None = None
  feature_layer: ClassVar[str] = "conv5"

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, Activations]:
    activations = features(x, self.widths, self.first_bn, self.axis_name, train)
    conv5 = activations["conv5"].reshape(x.shape[0], -1)
    logits, others = code_logits(
        conv5, self.latent_dim, self.out_stddev, self.stochastic, self.rotation > 0, train
    )
    return logits, activations | others


class Discriminator(nn.Module):
  """D of the standard GAN as a feature learner with E's layers: x [B, H, W, C] -> logits [B].

  Attributes:
    widths, first_bn, axis_name: as E's.
    norm: "batch", or "spectral" as in dcgan.Discriminator.
  """

  widths: tuple[int, ...] = WIDTHS
  first_bn: bool = True
  norm: str = "batch"
  axis_name: str | None = None
  feature_layer: ClassVar[str] = "conv5"

  @nn.compact
  def __call__(
      self, x: jax.Array, z: None = None, train: bool = False, batches: int = 1
  ) -> tuple[jax.Array, Activations]:
    """Judges `batches` stacked batches at once, x: [batches * B, H, W, C]; never pairs (x, z)."""
    if z is not None:
      raise ValueError("AlexNet as D judges images alone, without z: use family 'dcgan'.")
    bias = self.norm == "spectral"
    activations = features(x, self.widths, self.first_bn, self.axis_name, train, batches, bias)
    conv5 = activations["conv5"].reshape(x.shape[0], -1)
    return jnp.squeeze(linear(1, "out", 0.02 if bias else 0)(conv5), -1), activations

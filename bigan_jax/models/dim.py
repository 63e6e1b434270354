"""E of Deep InfoMax's tables on CIFAR-10, and a D to match: three 4 x 4 layers of stride 2, and fc.

Hjelm et al., "Learning deep representations by mutual information estimation and maximization":
their encoder of 32 x 32 pictures, and that of the BiGAN beside it.
"""

import functools
from typing import ClassVar

import flax.linen as nn
import jax

from bigan_jax.models import dcgan
from bigan_jax.models.layers import BatchNorm, code_logits, linear
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
    stochastic: give a spread of the code too.
    rotation: above 0, tell how a picture is turned too (the weight of that in E's loss).
    axis_name: device axis of the batch statistics.
  """

  latent_dim: int
  width: int = 64
  hidden: int = 1024
  first_bn: bool = True
  out_stddev: float = 0.02
  stochastic: bool = False
  rotation: float = 0.0
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
    logits, others = code_logits(
        h, self.latent_dim, self.out_stddev, self.stochastic, self.rotation > 0, train
    )
    return logits, activations | others

  def _norm(self, name: str) -> BatchNorm:
    return BatchNorm(affine=True, axis_name=self.axis_name, name=name)


Discriminator = functools.partial(
    dcgan.Discriminator, kernel=KERNEL, convolutions=CONVOLUTIONS, hidden=1024,
    z_stddev=0.02,
)

"""Networks that layers are transferred to: AlexNet with biases, or a perceptron."""

from collections.abc import Iterator

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from bigan_jax.models import alexnet
from bigan_jax.models.layers import leaky_relu
from bigan_jax.models.pooling import max_pool
from bigan_jax.models.strided import Convolution, Window

HE = nn.initializers.he_normal()
Activations = dict[str, jax.Array]


def biased(features: int, k: int, window: Window, name: str) -> Convolution:
  """A convolution with biases, in the scope of the module that calls."""
  return Convolution(features, k, window, bias=True, init=HE, name=name)


def windows(padded: bool) -> Iterator[tuple[str, int, Window, bool]]:
  """(name, kernel size, window, whether a pool follows) of conv1 to conv5, see `AlexNet`."""
  for name, layer in alexnet.LAYERS.items():
    window = layer.window if padded or name != "conv1" else layer.window._replace(padding=0)
    yield name, layer.k, window, layer.pool


def pool_window(padded: bool) -> Window:
  """Of every pool, 3 x 3."""
  return alexnet.POOL if padded else alexnet.POOL._replace(padding=0)


def convolutions(x: jax.Array, widths: tuple[int, ...], padded: bool) -> Activations:
  """conv1 to conv5, in the scope of the module that calls; activations before pooling."""
  activations = {}
  for (name, k, window, pool), width in zip(windows(padded), widths, strict=True):
    activations[name] = leaky_relu(biased(width, k, window, name=name)(x))
    x = max_pool(activations[name], 3, pool_window(padded)) if pool else activations[name]
  return activations


def dropout(x: jax.Array, keys: jax.Array | None, rate: float, number: int) -> jax.Array:
  """Drops entries of x [B, f] at `rate` and scales the others up; without keys, nothing.

  Args:
    keys: one for each row, so that the number of devices does not matter.
    number: of the layer, so that layers differ.
  """
  if keys is None or not rate:
    return x
  keep = jax.vmap(lambda key: jax.random.bernoulli(
      jax.random.fold_in(key, number), 1 - rate, x.shape[1:]
  ))(keys)
  return jnp.where(keep, x / (1 - rate), 0)


class AlexNet(nn.Module):
  """x [B, H, W, C] -> logits [B, classes], in the native range of the layers' first home.

  The transfer network of reference section 9: no response normalisation, leaky ReLU everywhere.

  Attributes:
    classes: how many.
    widths: channels of conv1 to conv5.
    hidden: units of fc6 and fc7.
    dropout: share of fc6 and fc7 that is dropped in training.
    padded: pad conv1 and the pools as the encoder in training does; otherwise as Caffe's AlexNet,
      which conv1 to conv5 of 227 pixels turn into 13 x 13.
    pool5: pool conv5 before fc6.
  """

  classes: int
  widths: tuple[int, ...] = alexnet.WIDTHS
  hidden: tuple[int, int] = (4096, 4096)
  dropout: float = 0.5
  padded: bool = True
  pool5: bool = True

  @property
  def layers(self) -> tuple[str, ...]:
    """Names of all layers, in order."""
    return *alexnet.LAYERS, "fc6", "fc7", "fc8"

  @nn.compact
  def __call__(
      self, x: jax.Array, keys: jax.Array | None = None
  ) -> tuple[jax.Array, Activations]:
    """Returns logits and activations; with keys, one for each image, fc6 and fc7 drop out."""
    activations = convolutions(x, self.widths, self.padded)
    h = activations["conv5"]
    h = max_pool(h, 3, pool_window(self.padded)) if self.pool5 else h
    h = h.reshape(h.shape[0], -1)
    for number, units in enumerate(self.hidden, 6):
      activations[f"fc{number}"] = leaky_relu(nn.Dense(units, name=f"fc{number}")(h))
      h = dropout(activations[f"fc{number}"], keys, self.dropout, number)
    return nn.Dense(self.classes, name="fc8")(h), activations


class Perceptron(nn.Module):
  """x [B, H, W, C] -> logits [B, classes]: the encoder of section 4.2 with biases, no dropout.

  Attributes:
    classes: how many.
    widths: units of the hidden layers.
  """

  classes: int
  widths: tuple[int, ...]

  @property
  def layers(self) -> tuple[str, ...]:
    """Names of all layers, in order."""
    return *(f"fc{i + 1}" for i in range(len(self.widths))), "out"

  @nn.compact
  def __call__(
      self, x: jax.Array, keys: jax.Array | None = None
  ) -> tuple[jax.Array, Activations]:
    """Returns logits and activations; keys are of no use here."""
    h, activations = x.reshape(x.shape[0], -1), {}
    for name, units in zip(self.layers, self.widths):
      h = activations[name] = leaky_relu(nn.Dense(units, name=name)(h))
    return nn.Dense(self.classes, name="out")(h), activations


def build(model: ml_collections.ConfigDict, classes: int) -> AlexNet | Perceptron:
  """The network of a config's `model` section.

  Raises:
    ValueError: the images are too small for it.
  """
  if model.family == "mlp":
    return Perceptron(classes, tuple(model.widths))
  _check_size(model.image_shape[0], model.padded, model.pool5)
  return AlexNet(
      classes, tuple(model.widths), tuple(model.hidden), model.dropout, model.padded, model.pool5
  )


def _check_size(side: int, padded: bool, pool5: bool) -> None:
  """Raises ValueError if nothing is left of images of `side` pixels somewhere on the way."""
  left = side
  for name, k, window, pool in windows(padded):
    left = window.positions(left, k)
    if left > 0 and (pool or (pool5 and name == "conv5")):
      left = pool_window(padded).positions(left, 3)
    if left < 1:
      raise ValueError(
          f"Images of {side} pixels are too small for AlexNet without padding, nothing is left "
          f"after {name}: raise config.crop, to 227 as in Caffe, or set config.model.padded."
      )

"""Fast R-CNN (Girshick, 2015) on the convolutions of an encoder: the network and its two losses."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from bigan_jax.models import alexnet
from bigan_jax.models.layers import leaky_relu
from bigan_jax.transfer import head
from bigan_jax.transfer.supervised_step import Measures
from bigan_jax.transfer.voc import dataset
from bigan_jax.transfer.voc.regions import BACKGROUND
from bigan_jax.transfer.voc.roi_pooling import roi_pool

BINS = 6  # along either side of a region, as many as of conv5 of 227 pixels after its pool
MEASURES = ("loss", "class_loss", "box_loss", "accuracy")


class Targets(NamedTuple):
  """What the network should say of a batch's regions.

  labels: int32 [B, R], BACKGROUND or 1 .. K. deltas: float32 [B, R, 4], normalised; 0 for the
  background. weights: float32 [B, R], 0 for rows that only fill up.
  """

  labels: jax.Array
  deltas: jax.Array
  weights: jax.Array


class FastRCNN(nn.Module):
  """(images [B, H, W, C], boxes [B, R, 4]) -> what fc8 says of each region [B, R, 5 (K + 1)].

  Boxes are in pixels of the images, as in transfer/regions.py. Fast R-CNN's two last layers, class
  scores and box deltas, are one here, so that all layers form a chain; `split` takes them apart.

  Attributes:
    classes: K, without the background.
    widths: channels of conv1 to conv5.
    hidden: units of fc6 and fc7.
    dropout: share of fc6 and fc7 that is dropped in training.
  """

  classes: int
  widths: tuple[int, ...] = alexnet.WIDTHS
  hidden: tuple[int, int] = (4096, 4096)
  dropout: float = 0.5

  @property
  def layers(self) -> tuple[str, ...]:
    """Names of all layers, in order."""
    return *alexnet.LAYERS, "fc6", "fc7", "fc8"

  @nn.compact
  def __call__(
      self, x: tuple[jax.Array, jax.Array], keys: jax.Array | None = None
  ) -> tuple[jax.Array, head.Activations]:
    """Returns output and activations; with keys, one for each image, fc6 and fc7 drop out."""
    images, boxes = x
    activations = head.convolutions(images, self.widths, padded=True)
    h = roi_pool(activations["conv5"], boxes, 1 / stride(), BINS)
    h, each = h.reshape(boxes.shape[0] * boxes.shape[1], -1), boxes.shape[:2]
    for number, units in enumerate(self.hidden, 6):
      h = activations[f"fc{number}"] = leaky_relu(nn.Dense(units, name=f"fc{number}")(h))
      h = head.dropout(h.reshape(*each, units), keys, self.dropout, number).reshape(-1, units)
    output = nn.Dense(5 * (self.classes + 1), name="fc8")(h)
    return output.reshape(*each, -1), activations


def stride() -> int:
  """Pixels of the image from one place of conv5 to the next: 16.

  Padded as the encoder in training is, and as Fast R-CNN's AlexNet, place i looks at pixel 16 i.
  """
  steps = 1
  for _, _, window, pool in head.windows(padded=True):
    steps *= window.stride * (head.pool_window(padded=True).stride if pool else 1)
  return steps


def build(model: ml_collections.ConfigDict, classes: int) -> FastRCNN:
  """The network of a config's `model` section."""
  return FastRCNN(classes, tuple(model.widths), tuple(model.hidden), model.dropout)


def split(output: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The network's output -> class scores [B, R, K + 1] and deltas [B, R, K + 1, 4]."""
  every = output.shape[-1] // 5
  return output[..., :every], output[..., every:].reshape(*output.shape[:-1], every, 4)


def last_layer(network: FastRCNN, seed: int) -> dict[str, jax.Array]:
  """fc8 as Fast R-CNN starts it: N(0, 0.01) for scores, N(0, 0.001) for deltas, no biases."""
  rows, scores = network.hidden[-1], network.classes + 1
  deviations = np.repeat([0.01, 0.001], [scores, 4 * scores])
  random = np.random.default_rng((seed, dataset.LAST_LAYER))
  kernel = random.normal(0, deviations, (rows, 5 * scores))
  return {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.zeros(5 * scores)}


def losses(output: jax.Array, targets: Targets, axis_name: str | None = None) -> Measures:
  """Cross-entropy of the classes plus smooth l1 of the deltas of each object's own class.

  Both are summed and divided by the number of regions B R, as by Fast R-CNN's layers: a box loss
  over few objects weighs little. Rows that only fill up count in B R, though, so that the batch may
  be cut into any parts.

  Args:
    output: [B, R, 5 (K + 1)].
    axis_name: of the devices over which the results will be averaged, None of one.

  Returns:
    "loss", its two parts, and the share of drawn regions whose class is right, in percent.
  """
  scores, deltas = split(output)
  labels = targets.labels
  entropies = optax.softmax_cross_entropy_with_integer_labels(scores, labels)
  own = jnp.take_along_axis(deltas, labels[..., None, None], axis=2)[:, :, 0]
  distances = optax.huber_loss(own, targets.deltas).sum(axis=-1)  # smooth l1: a Huber loss of 1
  objects = targets.weights * (labels != BACKGROUND)
  class_loss, box_loss = jnp.mean(targets.weights * entropies), jnp.mean(objects * distances)
  right = targets.weights * (jnp.argmax(scores, axis=-1) == labels)
  drawn = jnp.mean(targets.weights)  # The share of rows that do not only fill up.
  drawn = drawn if axis_name is None else jax.lax.pmean(drawn, axis_name)
  return {
      "loss": class_loss + box_loss, "class_loss": class_loss, "box_loss": box_loss,
      "accuracy": 100 * jnp.mean(right) / jnp.where(drawn > 0, drawn, 1),
  }

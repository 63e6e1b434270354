"""Tests of classifiers by ten crops: four corners and the centre, and their mirror images.

As Krizhevsky et al. (2012) and, after them, the paper's Table 2.
"""

import functools
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from bigan_jax.data import batches
from bigan_jax.data.splits import Split, Stored
from bigan_jax.data.strips import Strips
from bigan_jax.training import console

BLOCK = 64  # pictures judged at a time, of up to ten crops each

Params = dict[str, chex.ArrayTree]

def corners_and_centre(picture: np.ndarray, size: int) -> np.ndarray:
  """Crops [5, size, size, C] of a picture [H, W, C]: the centre comes first."""
  bottom, right = picture.shape[0] - size, picture.shape[1] - size
  centre = (bottom + 1) // 2, (right + 1) // 2  # the authors' rounding (reference section 8)
  places = (centre, (0, 0), (0, right), (bottom, 0), (bottom, right))
  return np.stack([picture[y:y + size, x:x + size] for y, x in places])


def crops(images: np.ndarray | Strips, size: int) -> np.ndarray:
  """Crops of every picture: uint8 [N, 5, size, size, C], the centre first.

  Images that come in their one size [N, H, W, C], such as digits, are taken whole: [N, 1, ...].
  """
  if not isinstance(images, Strips):
    return images[:, None]
  return np.stack([
      corners_and_centre(images.picture(i), size) for i in range(len(images.lengths))
  ])


def with_mirror_images(x: jax.Array) -> jax.Array:
  """[n, places, H, W, C] -> [n, 2 * places, H, W, C]."""
  return jnp.concatenate([x, x[:, :, :, ::-1]], axis=1)


class Examination(NamedTuple):
  """How a network is tested.

  Attributes:
    network: the classifier.
    view: uint8 images -> Batch.
    images: to test on.
    size: side of the crops.
    mirror: whether mirror images are judged too.
  """

  network: nn.Module
  view: batches.Views
  images: Split | Stored
  size: int
  mirror: bool

  def test(self, params: Params, whole: bool) -> dict[str, float]:
    """Accuracies in percent: of the centre crop and, if `whole`, of the mean over all crops.

    Probabilities are averaged over four corners, the centre and mirror images. Digits and other
    images of one size are judged whole.
    """
    right, total = [0, 0], self.images.size
    for i in console.blocks(total, BLOCK, "evaluation"):
      block = self.images.take(np.arange(i, min(i + BLOCK, total)))
      block = block.read() if isinstance(block, Stored) else block
      pixels = crops(block.images, self.size)
      for k, places in enumerate([pixels[:, :1], pixels] if whole else [pixels[:, :1]]):
        mean = mean_probabilities(
            self.network, params, self.view, places, self.mirror and bool(k)
        )
        right[k] += int(np.sum(np.argmax(mean, axis=-1) == block.labels))
    centre, every = (100 * n / total for n in right)
    if not whole:
      return {"centre_crop": centre}
    count = (2 if self.mirror else 1) * pixels.shape[1]
    return {"centre_crop": centre, "all_crops": every, "crops": count}


def mirrors(config: ml_collections.ConfigDict) -> bool:
  """Whether mirror images are shown: of pictures that are cropped, not of digits and their like."""
  return bool(config.data.edge and config.data.flip)


def examination(
    config: ml_collections.ConfigDict, network: nn.Module, images: Split | Stored
) -> Examination:
  """Mirror images count if training showed them too."""
  size = config.model.encoder_shape[0]
  return Examination(network, batches.views(config), images, size, mirrors(config))


@functools.partial(jax.jit, static_argnames=("network", "view", "mirror"))
def mean_probabilities(
    network: nn.Module, params: Params, view: batches.Views, pixels: jax.Array, mirror: bool
) -> jax.Array:
  """Softmax, averaged over the crops: uint8 [n, crops, H, W, C] -> [n, classes]."""
  pixels = with_mirror_images(pixels) if mirror else pixels
  count, places = pixels.shape[:2]
  with jax.default_matmul_precision("float32"):
    logits, _ = network.apply({"params": params}, view(pixels.reshape(-1, *pixels.shape[2:])).x)
  return jnp.mean(jax.nn.softmax(logits).reshape(count, places, -1), axis=1)

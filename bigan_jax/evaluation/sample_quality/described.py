"""Features that pictures and samples are compared over: of pixels, or of a frozen network."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bigan_jax.data import files, preprocess
from bigan_jax.evaluation import encoders, frozen, layer_features
from bigan_jax.exchange import pictures

PIXELS = "pixels"  # the name of the first kind
COMPONENTS = 64  # of pixels
WIDEST = 4_096  # features: roots of larger covariances take minutes each


class Describer(NamedTuple):
  """What makes features of pictures.

  of: uint8 [n, H, W, C], of one size and any -> float32 [n, f]. title: what they are.
  """

  of: Callable[[np.ndarray], np.ndarray]
  title: str


def by_pixels(train: np.ndarray, components: int = COMPONENTS) -> Describer:
  """Leading principal components of pixels from 0 to 1, found on uint8 [n, H, W, C], unscaled.

  There are no more than pictures or numbers in one.
  """
  from sklearn import decomposition  # Takes a second to import.

  flat = lambda images: images.reshape(len(images), -1).astype(np.float32) / 255
  count = min(components, len(train), train[0].size)
  axes = decomposition.PCA(count, random_state=0).fit(flat(train))
  share = 100 * float(axes.explained_variance_ratio_.sum())
  def of(images: np.ndarray) -> np.ndarray:
    starts = range(0, len(images), frozen.BLOCK)
    return np.concatenate([axes.transform(flat(images[i:i + frozen.BLOCK])) for i in starts])
  return Describer(of, f"{count} principal components of pixels ({share:.1f} % of their variance)")


def by_network(path: str, layer: str) -> Describer:
  """A layer of the E, or of a plain GAN's D, of a run folder or an export; maps are averaged.

  Pictures are resized to what the network sees.

  Raises:
    FileNotFoundError, ValueError: as encoders.read; it has no such layer, or a wider one.
  """
  trained = encoders.read(path, "latest")
  encoder, how = encoders.trained_encoder(trained), files.view(trained.config)
  known = layer_features.shapes(encoder, np.zeros((1, *how.shape), np.uint8), size=1)
  layer, = layer_features.choose((layer,), known, ())
  width = int(np.prod(known[layer]))
  if width > WIDEST:
    raise ValueError(f"{layer} of {path} has {width:,} features, but at most {WIDEST:,} can be "
                     f"compared: choose another config.layer of {', '.join(known)}.")
  def of(images: np.ndarray) -> np.ndarray:
    seen = np.stack([pictures.seen(image, how) for image in images])
    return layer_features.extract(encoder, seen, layer, size=1)
  return Describer(of, f"{layer} of {path} at step {trained.step:,} ({width:,} features)")


def at_size(images: np.ndarray, size: int) -> np.ndarray:
  """Pictures uint8 [n, H, H, C] as D sees them: [n, size, size, C]."""
  if images.shape[1] == size:
    return images
  starts = range(0, len(images), frozen.BLOCK)
  return np.concatenate([
      np.asarray(preprocess.shrink(images[i:i + frozen.BLOCK], size)) for i in starts
  ])

"""What networks make of a folder of pictures: features, and thumbnails of x and of G(E(x))."""

from collections.abc import Callable, Sequence
import os
from typing import Any, NamedTuple

import jax
import numpy as np

from bigan_jax.data import files, folders, layout
from bigan_jax.data.builders import presize
from bigan_jax.data.preprocess import shrink, to_native, to_uint8
from bigan_jax.evaluation import layer_features
from bigan_jax.exchange import blocks, loaded
from bigan_jax.machine import progress

POOLED = 4  # side that the maps of a layer are averaged to, as for probes; e- stays as it is


class Seen(NamedTuple):
  """Pictures that could be read, and those that could not.

  names: n paths relative to the folder. features: float32 [n, f]. x, back: thumbnails of the
  pictures and of their reconstructions, uint8 [n, side, side, C], each of a side of its own.
  skipped: (name, reason).
  """

  names: list[str]
  features: np.ndarray
  x: np.ndarray
  back: np.ndarray
  skipped: list[tuple[str, str]]


def look(model: loaded.Model, layer: str, folder: str, names: Sequence[str], side: int) -> Seen:
  """Reads the pictures of a folder and applies E and G.

  Args:
    layer: of model.layers.
    names: relative to the folder.
    side: of thumbnails, in pixels, at most; those of smaller networks stay as they are.

  Raises:
    ValueError: fewer than two can be read; the features are not finite.
  """
  skipped: list[tuple[str, str]] = []
  found, kept = [], []
  stream = files.stream(folder, names, model.view, presize.cores())
  bar = progress.bar(len(names), unit="img")
  with blocks.made(_program(model, layer, side), stream, bar, skipped, model.view.shape) as pairs:
    for block, arrays in pairs:
      kept += block.names
      found.append([np.asarray(array)[:len(block.names)] for array in arrays])
  if len(kept) < 2:
    count, reason = {0: "None", 1: "One"}[len(kept)], f" ({skipped[0][1]})" if skipped else ""
    raise ValueError(f"{count} of the {len(names):,} pictures in {folders.escape(folder)} can be "
                     f"read{reason}: name a folder of two or more.")
  features, x, back = (np.concatenate(parts) for parts in zip(*found))
  if not np.isfinite(features).all():
    raise ValueError(f"The features of {layer} are not finite, so the networks hold NaN or "
                     "infinity: choose another --step.")
  return Seen(kept, features, x, back, skipped)


def _program(model: loaded.Model, layer: str, side: int) -> Callable[[np.ndarray], Any]:
  """A jitted function: uint8 [B, H, W, C] -> features [B, f], thumbnails of x and of G(E(x))."""
  size = 0 if layer == model.feature_layer else POOLED
  @jax.jit
  def run(images: jax.Array) -> tuple[jax.Array, ...]:
    code, layers = model.E(to_native(images, model.value_range))
    features = layer_features.pool(layers[layer], size).reshape(len(images), -1)
    back = to_uint8(model.G(code), model.value_range)
    return features, *(shrink(x, min(side, x.shape[1])) for x in (images, back))
  return run


def classes(folder: str, found: folders.Found) -> dict[str, str]:
  """{name: its class folder}, "" of pictures that lie in none.

  Where folders are not as for training (MVTec's are not), the class is the folder that holds it.
  """
  try:
    return {entry.path: entry.category for entry in layout.arrange(folder, found).entries}
  except ValueError:
    return {path: os.path.basename(os.path.dirname(path)) for path in found.pictures}

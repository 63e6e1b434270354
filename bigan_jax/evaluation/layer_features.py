"""Features of a frozen network: any layer of it, pooled to a stated size, block by block."""

import errno
import functools
import math
import os
import pathlib
import tempfile

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.data import batches
from bigan_jax.evaluation import frozen
from bigan_jax.evaluation.encoders import Encoder
from bigan_jax.exchange import loaded
from bigan_jax.settings.arguments import nearest
from bigan_jax.training import console

CODE, LAST = "e", "e-"  # the authors' names (reference section 7)
PAIRS = "D."  # before the names of layers of a D that judges pairs


def shapes(encoder: Encoder, images: np.ndarray, size: int) -> dict[str, tuple[int, ...]]:
  """{layer: shape of one image's features before they are flattened}, in the network's order.

  Besides the network's own names there are "e-", its last hidden layer as it is, and, of an
  encoder, "e", the raw logits of the code: the features of the authors' NNC_e- and NNC_e. Of a D
  that judges pairs there are the layers that see x alone, under names such as "D.conv1".

  Args:
    images: uint8 [N, H, W, C], of which only the shape matters.
    size: of pooled maps, see `pool`.
  """
  one = jax.ShapeDtypeStruct((1, *images.shape[1:]), images.dtype)
  def shape(layer: str) -> tuple[int, ...]:
    describe = functools.partial(
        _describe, encoder.network, encoder.views, encoder.sees, layer, size
    )
    return jax.eval_shape(describe, encoder.variables, one).shape[1:]
  return {layer: shape(layer) for layer in _names(encoder, one)}


def _names(encoder: Encoder, one: jax.ShapeDtypeStruct) -> list[str]:
  _, activations = jax.eval_shape(
      lambda v, images: encoder.network.apply(v, getattr(encoder.views(images), encoder.sees)),
      encoder.variables, one,
  )
  # jax returns dictionaries sorted by name, which is the order of numbered layers.
  if encoder.alone:
    return [PAIRS + name for name in activations if name in encoder.alone]
  return [*activations, LAST, *([CODE] if encoder.sees == "x_encoder" else [])]


def find_layer(model: loaded.Model, name: str) -> str:
  """A layer of E by its own name, or by those of probes and metrics: "e-", and "e" for the code.

  Raises:
    ValueError: there is none of that name.
  """
  names = {**{layer: layer for layer in model.layers}, LAST: model.feature_layer, CODE: "logits"}
  if name not in names:
    raise ValueError(f"Unknown layer {name!r}: {nearest(name, tuple(names))}")
  return names[name]


def choose(
    asked: tuple[str, ...], known: dict[str, tuple[int, ...]], default: tuple[str, ...]
) -> tuple[str, ...]:
  """The layers to judge, each once; raises ValueError, listing the names, for an unknown one."""
  for name in asked:
    if name not in known:
      raise ValueError(f"The network has no layer {name!r}: {nearest(name, tuple(known))}")
  return tuple(dict.fromkeys(asked or default))


def all_layers(encoder: Encoder, known: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
  """Every layer of `shapes`, but the last hidden one under one name alone if it is not pooled."""
  if encoder.alone:
    return tuple(known)
  twin = encoder.network.feature_layer
  return tuple(n for n in known if n != twin or np.prod(known[n]) != np.prod(known[LAST]))


def extract(
    encoder: Encoder, images: np.ndarray, layer: str, size: int, most_bytes: float = math.inf,
    folder: pathlib.Path | None = None,
) -> np.ndarray:
  """Features float32 [N, f] of images uint8 [N, H, W, C], in host memory.

  Args:
    layer: a key of `shapes`.
    size: side of the pooled maps, see `pool`.
    most_bytes: of features in memory; more go to disk, as float16.
    folder: on that disk; a file without a name there vanishes with the array.
  """
  width = int(np.prod(shapes(encoder, images, size)[layer]))
  features = _room((len(images), width), most_bytes, folder)
  title = f"{encoder.name} network, features of {layer}"
  for i in console.blocks(len(images), frozen.BLOCK, title):
    block = images[i:i + frozen.BLOCK]
    described = _describe(
        encoder.network, encoder.views, encoder.sees, layer, size, encoder.variables, block
    )
    features[i:i + len(block)] = np.asarray(described).reshape(len(block), width)
  return features


def _reserve(file: int, size: int) -> None:
  """Raises OSError if the disk has no room: a file mapped into memory would kill the program."""
  try:
    os.posix_fallocate(file, 0, size)
  except AttributeError:  # macOS has none.
    pass
  except OSError as error:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
      raise


def _room(shape: tuple[int, int], most_bytes: float, folder: pathlib.Path | None) -> np.ndarray:
  if 4 * math.prod(shape) <= most_bytes:
    return np.empty(shape, np.float32)
  with tempfile.TemporaryFile(dir=folder) as file:
    _reserve(file.fileno(), math.prod(shape) * np.dtype(np.float16).itemsize)
    return np.memmap(file, np.float16, "w+", shape=shape)


@functools.partial(jax.jit, static_argnames=("network", "views", "sees", "layer", "size"))
def _describe(
    network: nn.Module, views: batches.Views, sees: str, layer: str, size: int,
    variables: chex.ArrayTree, images: jax.Array,
) -> jax.Array:
  with jax.default_matmul_precision("float32"):  # GPUs would round the factors of products.
    output, activations = network.apply(variables, getattr(views(images), sees))
  if layer == CODE:
    return output
  if layer == LAST:
    return activations[network.feature_layer]
  return pool(activations[layer.removeprefix(PAIRS)], size)


def pool(maps: jax.Array, size: int) -> jax.Array:
  """Adaptive average pooling of [B, H, W, C] to [B, size, size, C].

  Cell i of n covers rows floor(i H / n) to ceil((i + 1) H / n), and columns likewise; neighbours
  share a row where n does not divide H. Averages keep what a linear classifier can read off a map
  linear in it, so that the weights of a pooled layer are tied weights of the layer itself.

  Args:
    size: 0 leaves maps as they are, as does a size that is not below theirs; vectors [B, f] are
      never touched.
  """
  if maps.ndim != 4 or not size or size >= max(maps.shape[1:3]):
    return maps
  rows, columns = (averages(side, min(size, side)) for side in maps.shape[1:3])
  return jnp.einsum("ih,nhwc,jw->nijc", rows, maps, columns, precision="highest")


def averages(side: int, cells: int) -> np.ndarray:
  """The matrix [cells, side] whose product with a line of pixels is its adaptive average."""
  matrix = np.zeros((cells, side), np.float32)
  for i in range(cells):
    first, last = i * side // cells, -(-(i + 1) * side // cells)
    matrix[i, first:last] = 1 / (last - first)
  return matrix

"""`bigan_jax.load`: trained E and G as plain functions of arrays."""

from collections.abc import Callable, Sequence
import functools
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from bigan_jax.data import files
from bigan_jax.exchange import pretrained
from bigan_jax.models import latents
from bigan_jax.training.objectives import OBJECTIVES

Activations = dict[str, jax.Array]
Shape = tuple[int, ...]


class Model(NamedTuple):
  """Trained networks, frozen, in test mode with calibrated statistics.

  Attributes:
    E: float32 [B, *encoder_shape] in value_range -> (code [B, latent_dim], {layer: activation});
      "logits" are the code before squashing. None of a plain GAN, which has no encoder.
    G: z float32 [B, latent_dim] in [-1, 1] -> x float32 [B, *image_shape] in value_range.
    preprocess: uint8 pictures of any sizes -> what E takes (see data/files.py).
    view: the numbers behind preprocess.
    value_range: of pixels, (lowest, highest).
    encoder_shape, image_shape: (height, width, channels) of what E sees and of what G makes.
    latent_dim: of z and of the code.
    layers: {layer of E: shape of its activation, without the batch}.
    feature_layer: whose activations are the features that the paper judges.
    config: of the training run. step: after how many updates. metrics: the evaluation there.
  """

  E: Callable[[chex.Array], tuple[jax.Array, Activations]] | None
  G: Callable[[chex.Array], jax.Array]
  preprocess: Callable[[np.ndarray | Sequence[np.ndarray]], np.ndarray]
  view: files.View
  value_range: tuple[float, float]
  encoder_shape: Shape
  image_shape: Shape
  latent_dim: int
  layers: dict[str, Shape]
  feature_layer: str
  config: ml_collections.ConfigDict
  step: int
  metrics: dict[str, Any]


@functools.partial(jax.jit, static_argnames=("network",))
def encode(
    network: nn.Module, variables: chex.ArrayTree, x: jax.Array
) -> tuple[jax.Array, Activations]:
  """x [B, H, W, C] in the native range -> (code [B, d], {layer: activation}), in full float32."""
  with jax.default_matmul_precision("float32"):
    logits, activations = network.apply(variables, x)
  return latents.code(logits), {**activations, "logits": logits}


@functools.partial(jax.jit, static_argnames=("network",))
def generate(network: nn.Module, variables: chex.ArrayTree, z: jax.Array) -> jax.Array:
  """z [B, d] -> x [B, H, W, C] in the native range, in full float32."""
  with jax.default_matmul_precision("float32"):
    return network.apply(variables, z)[0]


def read(path: str, step: str | int = "latest") -> pretrained.Pretrained:
  """G, and E if there is one, of a run folder or an exported one; errors as pretrained.read."""
  found = pretrained.read(path, ("G",), step)
  if "E" not in OBJECTIVES[found.config.objective].players:
    return found
  return pretrained.read(path, ("G", "E"), found.step)


def load(path: str, step: str | int = "latest") -> Model:
  """The networks of a run folder, or of a folder that bigan_jax.export wrote.

  Args:
    path: the folder.
    step: of a run: "latest", "best" or a number.

  Raises:
    FileNotFoundError, ValueError, OSError: as pretrained.read.
  """
  config, networks, variables, step, metrics = read(path, step)
  variables = jax.device_put(variables)
  how, model = files.view(config), config.model
  image_shape, z_shape = tuple(model.image_shape), (model.latent_dim,)
  E, layers = None, {}
  if "E" in variables:
    E = _checked(functools.partial(encode, networks.E, variables["E"]), "E", how.shape)
    layers = layer_shapes(networks.E, variables["E"], how.shape)
  G = _checked(functools.partial(generate, networks.G, variables["G"]), "G", z_shape)
  return Model(
      E, G, functools.partial(files.preprocess, how=how), how, how.value_range, how.shape,
      image_shape, model.latent_dim, layers, networks.E.feature_layer, config, step, metrics,
  )


def layer_shapes(network: nn.Module, variables: chex.ArrayTree, shape: Shape) -> dict[str, Shape]:
  """{layer of E: shape of its activation}, from the first to the logits."""
  x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
  logits, activations = jax.eval_shape(network.apply, variables, x)
  return {name: a.shape[1:] for name, a in [*activations.items(), ("logits", logits)]}


def _checked(apply: Callable[[chex.Array], Any], name: str, shape: Shape) -> Callable:
  """`apply`, with one sentence for input of another shape or for raw pixels."""
  def checked(x: chex.Array) -> Any:
    x = jnp.asarray(x)
    if x.ndim != len(shape) + 1 or x.shape[1:] != shape:
      raise ValueError(f"{name} takes [B, {', '.join(map(str, shape))}], not {list(x.shape)}.")
    if x.dtype == jnp.uint8:
      raise ValueError(f"{name} takes float32, not uint8: call preprocess first.")
    return apply(x)
  checked.__name__ = checked.__qualname__ = name
  return checked

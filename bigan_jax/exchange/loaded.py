"""`bigan_jax.load`: trained E, G and D as plain functions of arrays."""

from collections.abc import Callable, Sequence
import functools
import pathlib
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from bigan_jax.data import files
from bigan_jax.exchange import exported, hub, pictures, pretrained
from bigan_jax.machine import devices
from bigan_jax.models import latents
from bigan_jax.training.objectives import OBJECTIVES, twins

Activations = dict[str, jax.Array]
Shape = tuple[int, ...]
CHIEF = ("NNC_e-", "NNC_d", "EGr", "EGr_b", "NND")  # metrics that a model's repr shows


class Model(NamedTuple):
  """Trained networks, frozen, in test mode with calibrated statistics.

  Attributes:
    E: float32 [B, *encoder_shape] in value_range -> (code [B, latent_dim], {layer: activation});
      "logits" are the code before squashing. None of a plain GAN, which has no encoder.
    G: z float32 [B, latent_dim], in [-1, 1] where config.model.latents does not say "normal" -> x
      float32 [B, *image_shape] in value_range.
    D: x [B, *image_shape] and, of a BiGAN, z [B, latent_dim] -> (logits [B] of "x is real", or its
      scores [B, 3] in parts, {layer: activation}). ValueError where there is none: of autoencoders,
      in older exports.
    preprocess: one picture or many, arrays or PIL's, -> what E takes (see exchange/pictures.py).
    view: the numbers behind preprocess.
    value_range: of pixels, (lowest, highest).
    encoder_shape, image_shape: (height, width, channels) of what E sees and of what G makes.
    latent_dim: of z and of the code.
    layers: {layer of E: shape of its activation, without the batch}.
    sizes: {network that there is: number of its parameters}.
    feature_layer: whose activations are the features that the paper judges.
    hidden_layer: of D, the last before its logit.
    config: of the training run. step: after how many updates. metrics: the evaluation there.
    D_xx: of an ALAD's run folder, x and another picture of that shape -> (logits [B] of "twice x",
      the last hidden layer [B, ...]). None without one: exports have none.
    turns: of an E that was asked for them (config.model.E.rotation), x as E takes it -> logits
      [B, 4] of how many right angles it is turned by. None of any other.
  """

  E: Callable[[chex.Array], tuple[jax.Array, Activations]] | None
  G: Callable[[chex.Array], jax.Array]
  D: Callable[..., tuple[jax.Array, Activations]]
  preprocess: Callable[[pictures.Picture | Sequence[pictures.Picture]], np.ndarray]
  view: files.View
  value_range: tuple[float, float]
  encoder_shape: Shape
  image_shape: Shape
  latent_dim: int
  layers: dict[str, Shape]
  sizes: dict[str, int]
  feature_layer: str
  hidden_layer: str
  config: ml_collections.ConfigDict
  step: int
  metrics: dict[str, Any]
  D_xx: Callable[[chex.Array, chex.Array], tuple[jax.Array, jax.Array]] | None = None
  turns: Callable[[chex.Array], jax.Array] | None = None

  def __repr__(self) -> str:
    """Six lines at most."""
    config, (low, high) = self.config, self.value_range
    networks = ", ".join(f"{name} {size:,}" for name, size in sorted(self.sizes.items()))
    lines = [
        f"bigan_jax model: {config.objective}, recipe {config.recipe}, after {self.step:,} updates",
        f"  parameters: {networks}",
        f"  G: [B, {self.latent_dim}] -> {_text(self.image_shape)}, {low:g} to {high:g}",
    ]
    if self.E:
      features = " x ".join(map(str, self.layers[self.feature_layer]))
      lines.append(f"  E: {_text(self.encoder_shape)}, {low:g} to {high:g}, by preprocess -> "
                   f"[B, {self.latent_dim}]; features: {self.feature_layer}, {features}")
    chief = [f"{name} {self.metrics[name]:.4g}" for name in CHIEF
             if (self.metrics or {}).get(name) is not None]
    return "\n".join([*lines, f"  metrics: {', '.join(chief)}"] if chief else lines)


@functools.partial(jax.jit, static_argnames=("network", "kind"))
def encode(
    network: nn.Module, kind: str, variables: chex.ArrayTree, x: jax.Array
) -> tuple[jax.Array, Activations]:
  """x [B, H, W, C] in the native range -> (code [B, d], {layer: activation}), in full float32.

  Args:
    kind: of latents.
  """
  with jax.default_matmul_precision("float32"):
    logits, activations = network.apply(variables, x)
  return latents.code(logits, kind), {**activations, "logits": logits}


@functools.partial(jax.jit, static_argnames=("network",))
def generate(network: nn.Module, variables: chex.ArrayTree, z: jax.Array) -> jax.Array:
  """z [B, d] -> x [B, H, W, C] in the native range, in full float32."""
  with jax.default_matmul_precision("float32"):
    return network.apply(variables, z)[0]


@functools.partial(jax.jit, static_argnames=("network",))
def judge(
    network: nn.Module, variables: chex.ArrayTree, *pair: jax.Array
) -> tuple[jax.Array, Activations]:
  """x [B, H, W, C] and, jointly, z [B, d] -> (logits [B], {layer: activation}), in full float32."""
  with jax.default_matmul_precision("float32"):
    return network.apply(variables, *pair)


def judge_twins(
    network: nn.Module, variables: chex.ArrayTree, x: jax.Array, other: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Of D_xx: logits [B] of "other is x", both [B, H, W, C], and its last hidden layer."""
  logits, activations = judge(network, variables, twins(x, other))
  return logits, activations[network.feature_layer]


def tell_turns(network: nn.Module, variables: chex.ArrayTree, x: jax.Array) -> jax.Array:
  """x [B, S, S, C] -> E's logits [B, 4] of its turns, which in test mode it does not give."""
  _, activations = judge(network, variables, x)
  hidden = activations[network.feature_layer].reshape(len(x), -1)
  return jnp.matmul(hidden, variables["params"]["out_turns"]["kernel"], precision="highest")


def read(path: str, step: str | int = "latest") -> pretrained.Pretrained:
  """All networks of a run folder or an exported one, here or on the Hub; errors as pretrained.read.

  D may be missing in an export: older ones held it for plain GANs alone. D_xx and D_zz always are.
  """
  devices.check()
  path = hub.folder(path)
  return pretrained.twice(lambda: _read(path, step), step)


def _read(path: str, step: str | int) -> pretrained.Pretrained:
  found, folder = pretrained.read(path, ("G",), step), pathlib.Path(path).expanduser()
  players = OBJECTIVES[found.config.objective].players
  if exported.is_export(folder):
    held = exported.players(folder)
    players = tuple(p for p in players if not p.startswith("D") or p in held)
  return pretrained.read(path, players, found.step)


def judged_shapes(config: ml_collections.ConfigDict) -> dict[str, Shape]:
  """{name: shape of one} of what D judges: x and, jointly, z."""
  x, z = tuple(config.model.image_shape), (config.model.latent_dim,)
  return {"x": x, "z": z} if OBJECTIVES[config.objective].joint else {"x": x}


def load(path: str, step: str | int = "latest") -> Model:
  """The networks of a run folder, or of a folder that bigan_jax.export wrote or pushed.

  Args:
    path: the folder, or hf://USER/NAME or hf://USER/NAME@REVISION on the Hugging Face Hub.
    step: of a run: "latest", "best" or a number.

  Raises:
    FileNotFoundError, ValueError, OSError, ImportError: as pretrained.read.
  """
  return assemble(read(path, step), path)


def assemble(found: pretrained.Pretrained, path: str) -> Model:
  """Networks as functions.

  Args:
    found: the networks that there are.
    path: where they come from, for messages.
  """
  config, networks, variables, step, metrics = found
  variables = jax.device_put(variables)
  how, model = files.view(config), config.model
  image_shape, z_shape = tuple(model.image_shape), (model.latent_dim,)
  E, turns, layers = None, None, {}
  if "E" in variables:
    run = functools.partial(encode, networks.E, latents.kind(model), variables["E"])
    E = _checked(run, "E", {"x": how.shape})
    layers = layer_shapes(networks.E, variables["E"], how.shape)
    if "out_turns" in variables["E"]["params"]:
      run = functools.partial(tell_turns, networks.E, variables["E"])
      turns = _checked(run, "turns", {"x": how.shape})
  G = _checked(functools.partial(generate, networks.G, variables["G"]), "G", {"z": z_shape})
  D = _no_discriminator(path, config.objective)
  if "D" in variables:
    run = functools.partial(judge, networks.D, variables["D"])
    D = _checked(run, "D", judged_shapes(config))
  D_xx = None
  if "D_xx" in variables:
    older = "fc" in variables["D_xx"]["params"]  # It had all of D's layers once.
    run = functools.partial(judge_twins, networks.D if older else networks.D_xx, variables["D_xx"])
    D_xx = _checked(run, "D_xx", {"x": image_shape, "another": image_shape})
  sizes = {name: sum(a.size for a in jax.tree.leaves(v["params"])) for name, v in variables.items()}
  return Model(
      E, G, D, functools.partial(pictures.preprocess, how=how), how, how.value_range, how.shape,
      image_shape, model.latent_dim, layers, sizes, networks.E.feature_layer,
      networks.D.feature_layer, config, step, metrics, D_xx, turns,
  )


def layer_shapes(
    network: nn.Module, variables: chex.ArrayTree, *shapes: Shape
) -> dict[str, Shape]:
  """{layer: shape of its activation}, from the first to the logits, of inputs of these shapes."""
  inputs = [jax.ShapeDtypeStruct((1, *shape), jnp.float32) for shape in shapes]
  logits, activations = jax.eval_shape(network.apply, variables, *inputs)
  return {name: a.shape[1:] for name, a in [*activations.items(), ("logits", logits)]}


def _checked(apply: Callable[..., Any], name: str, shapes: dict[str, Shape]) -> Callable[..., Any]:
  """`apply`, with one sentence for inputs of another number or shape, or for raw pixels."""
  takes = " and ".join(map(_text, shapes.values()))
  def checked(*inputs: chex.Array) -> Any:
    if len(inputs) != len(shapes):
      raise ValueError(f"{name} takes {' and '.join(shapes)}: {takes}, not {len(inputs)} arrays.")
    inputs = [jnp.asarray(array) for array in inputs]
    for array, shape in zip(inputs, shapes.values(), strict=True):
      if array.shape[1:] != shape or not array.ndim:
        raise ValueError(f"{name} takes {takes}, not {list(array.shape)}.")
      if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} takes float32, not {array.dtype}: call preprocess first.")
      if not len(array):
        raise ValueError(f"{name} was given a batch of none: give one or more.")
    if len({len(array) for array in inputs}) > 1:
      raise ValueError(f"{name} takes pairs, not {' and '.join(str(len(a)) for a in inputs)}.")
    return apply(*inputs)
  checked.__name__ = checked.__qualname__ = name
  return checked


def _no_discriminator(path: str, objective: str) -> Callable[..., Any]:
  """A D that says that there is none, and why."""
  trained = "D" in OBJECTIVES[objective].players
  why = (f"the export {path} holds none: export its run again" if trained else
         f"{objective} trains none: take another objective")
  def D(*inputs: chex.Array) -> Any:
    del inputs
    raise ValueError(f"There is no D, since {why}.")
  return D


def _text(shape: Shape) -> str:
  """(8, 8, 1) -> [B, 8, 8, 1]."""
  return f"[B, {', '.join(map(str, shape))}]"

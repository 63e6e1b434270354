"""Exported weights: one safetensors file that holds networks and says how to use them."""

from collections.abc import Iterable, Mapping
import json
import pathlib
import sys
from typing import Any

import chex
import jax
import ml_collections
import numpy as np
import safetensors
import safetensors.numpy

from bigan_jax import models
from bigan_jax.machine import disk
from bigan_jax.training.objectives import OBJECTIVES

FILE = "model.safetensors"
VERSION = 1  # One more where older versions of this module would misread what is written.
# What the hub's readers look for in a safetensors file, as plain text: whose arrays they are, "pt",
# "tf", "flax" or "mlx". These are Flax's, kernels [inputs, outputs].
FORMAT = "flax"
Layers = dict[str, dict[str, np.ndarray]]
Path = pathlib.Path


def is_export(folder: Path) -> bool:
  """Whether `read` will find its file there."""
  return (folder / FILE).is_file()


def write(
    path: Path, variables: Mapping[str, chex.ArrayTree], info: Mapping[str, Any], merged: bool
) -> None:
  """Writes networks, their arrays named PLAYER.LAYER.LEAF.

  Args:
    path: of the file.
    variables: {player: {"params": ..., "batch_stats": ...}}, with calibrated statistics.
    info: plain JSON values; "config", "step" and "metrics" are what readers need.
    merged: the variables come from models.merging; of its batch norms, a bias remains.

  Raises:
    ValueError: an array is not finite.
  """
  tensors = {}
  for player, tree in variables.items():
    for layer, leaves in _layers(tree, merged).items():
      for leaf, array in leaves.items():
        name = f"{player}.{layer}.{leaf}"
        if not np.isfinite(array).all():
          raise ValueError(f"{name} is not finite: choose another --step.")
        tensors[name] = np.ascontiguousarray(array, np.float32)
  program = sys.modules["bigan_jax"].__version__
  info = {"version": VERSION, "bigan_jax": program, "merged": merged, **info}
  metadata = {key: json.dumps(value) for key, value in info.items()}
  path.write_bytes(safetensors.numpy.save(tensors, {"format": FORMAT, **metadata}))


def players(folder: Path) -> tuple[str, ...]:
  """The networks that an exported folder holds, of "D", "E", "G"; errors as `read`."""
  return tuple(sorted({name.partition(".")[0] for name in _content(folder / FILE, ())[1]}))


def read(folder: Path, players: Iterable[str]) -> tuple[dict[str, chex.ArrayTree], dict[str, Any]]:
  """Networks of an exported folder as ({player: variables}, info), like those of a run.

  Raises:
    ValueError: it was written by a newer version or another program, lacks a player, or holds other
      arrays than its config says.
    OSError: it cannot be read.
  """
  path, players = folder / FILE, tuple(players)
  info, _, arrays = _content(path, players)
  found = {name.partition(".")[0] for name in arrays}
  for player in players:
    if player not in found:
      raise ValueError(f"{path} has no network {player!r}: name the run folder that it came from.")
  config = config_of(info)
  variables = {p: _variables(path, p, arrays, blank(config, p), info["merged"]) for p in players}
  return variables, info


def _content(
    path: Path, players: tuple[str, ...]
) -> tuple[dict[str, Any], list[str], dict[str, np.ndarray]]:
  """(info, names of all arrays, the arrays of the players)."""
  try:
    with safetensors.safe_open(path, framework="numpy") as file:
      names = list(file.keys())
      wanted = [name for name in names if name.partition(".")[0] in players]
      return _info(path, file.metadata()), names, {name: file.get_tensor(name) for name in wanted}
  except safetensors.SafetensorError as error:
    raise OSError(f"{path} is damaged ({disk.first_line(error)}): export it again.") from error


def config_of(info: Mapping[str, Any]) -> ml_collections.ConfigDict:
  """The config in an info that was JSON, its tuples tuples again: modules are hashed by them."""
  def restored(value: Any) -> Any:
    if isinstance(value, dict):
      return {name: restored(v) for name, v in value.items()}
    return tuple(map(restored, value)) if isinstance(value, list) else value
  return ml_collections.ConfigDict(restored(info["config"]))


def blank(config: ml_collections.ConfigDict, player: str) -> chex.ArrayTree:
  """Shapes and types of a network's variables."""
  joint = OBJECTIVES[config.objective].joint
  networks = models.build(config.model)
  return jax.eval_shape(lambda: models.initialise(
      networks, config.model, (player,), joint, jax.random.PRNGKey(0)
  ))[player]


def _info(path: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
  try:
    info = {key: json.loads(text) for key, text in (metadata or {}).items() if text != FORMAT}
    info.setdefault("version", info.pop("format", None))  # Its name in files of before.
    version = int(info["version"])
  except (TypeError, ValueError):
    raise ValueError(f"{path} is not from bigan_jax.export: name what that wrote.") from None
  if version > VERSION:
    raise ValueError(
        f"{path} has version {version}, of bigan_jax {info.get('bigan_jax')}, newer than the "
        f"{VERSION} that this one reads: upgrade bigan_jax."
    )
  return info


def _layers(variables: chex.ArrayTree, merged: bool) -> Layers:
  """Parameters, and statistics as means instead of sums; of merged batch norms the bias alone."""
  layers = {layer: dict(leaves) for layer, leaves in variables["params"].items()}
  for norm, sums in variables["batch_stats"].items():
    if merged:
      layers.pop(norm, None)
      layers[norm.removesuffix("_bn")]["bias"] = -sums["mean"]
    else:
      means = {name: np.asarray(sums[name]) / np.asarray(sums["count"]) for name in ("mean", "var")}
      layers.setdefault(norm, {}).update(means)
  return layers


def _variables(
    path: Path, player: str, arrays: Mapping[str, np.ndarray], expected: chex.ArrayTree,
    merged: bool,
) -> chex.ArrayTree:
  """Arrays in their places; a merged batch norm becomes one that only adds its bias."""
  def place(keys: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    _, layer, name = (key.key for key in keys)
    norm = merged and layer.endswith("_bn")
    if name == "count" or norm and name in ("var", "scale"):
      return np.ones(leaf.shape, np.float32)
    if norm and name == "bias":
      return np.zeros(leaf.shape, np.float32)
    if norm and name == "mean":
      return -find(f"{player}.{layer.removesuffix('_bn')}.bias", leaf.shape)
    return find(f"{player}.{layer}.{name}", leaf.shape)
  def find(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name not in arrays or arrays[name].shape != shape:
      found = list(arrays[name].shape) if name in arrays else "nothing"
      raise ValueError(
          f"{path} holds {found} as {name}, where its config says {list(shape)}: export it again."
      )
    return arrays[name]
  return jax.tree_util.tree_map_with_path(place, expected)

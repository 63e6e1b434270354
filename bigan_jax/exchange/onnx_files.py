"""Exported networks as ONNX files, for runtimes without JAX, compared with JAX as they are written.

Needs the extra `onnx`, which nothing else does: import this module where it is asked for.
"""

from collections.abc import Callable
import functools
import importlib.util
import json
import pathlib
import sys
from typing import Any

import chex
import flax.linen as nn
import jax
import numpy as np
import onnx

from bigan_jax.exchange import loaded, onnx_graph, pretrained
from bigan_jax.models import latents, merging
from bigan_jax.models.layers import BatchNorm

OUTPUTS = {"E": ("features", "code"), "G": ("images",), "D": ("logits", "features")}
TOLERANCE = 1e-4  # of the largest value that JAX gives, and at least of 1
COMPARED = (1, 3)  # batches
Named = dict[str, Any]


def write(
    path: pathlib.Path, found: pretrained.Pretrained, player: str, info: dict[str, Any]
) -> None:
  """Writes a network, its batch norms merged.

  Where onnxruntime is installed, the file is compared with JAX before it is written.

  Args:
    path: of the file.
    player: of "E", "G", "D".
    info: as export.describe gives it.

  Raises:
    ValueError: the file gives other numbers than JAX, or the network cannot be written.
  """
  variables, inputs = found.variables[player], _inputs(found, player)
  apply = functools.partial(_apply, found, player)
  with nn.intercept_methods(_merged_norm):
    merged = functools.partial(apply, merging.merge(variables))
    model = onnx_graph.build(merged, inputs, OUTPUTS[player])
  _describe(model, found, player, info)
  content = model.SerializeToString()
  if importlib.util.find_spec("onnxruntime"):
    _compare(path.name, content, functools.partial(apply, variables), inputs)
  path.write_bytes(content)


def _inputs(found: pretrained.Pretrained, player: str) -> dict[str, loaded.Shape]:
  """{name: shape of one} of what a network takes."""
  model = found.config.model
  if player == "E":
    return {"images": tuple(model.encoder_shape)}
  if player == "G":
    return {"z": (model.latent_dim,)}
  shapes = loaded.judged_shapes(found.config)
  return {{"x": "images"}.get(name, name): shape for name, shape in shapes.items()}


def _apply(
    found: pretrained.Pretrained, player: str, variables: chex.ArrayTree, *inputs: jax.Array
) -> dict[str, jax.Array]:
  """{name: array}: the outputs, and the other layers."""
  network = getattr(found.networks, player)
  with jax.default_matmul_precision("float32"):
    result, layers = network.apply(variables, *inputs)
  if player == "G":
    return {**layers, "images": result}
  features = layers[network.feature_layer]
  named = {**layers, "logits": result, "features": features.reshape(features.shape[0], -1)}
  if player == "E":
    named["code"] = latents.code(result, latents.kind(found.config.model))
  return named


def _merged_norm(
    apply: Callable[..., Any], args: tuple, kwargs: Named, context: nn.module.InterceptorContext
) -> Any:
  """A merged batch norm adds a bias to its input as it is, instead of [-1, C] as in training."""
  if not isinstance(context.module, BatchNorm) or context.method_name != "__call__":
    return apply(*args, **kwargs)
  bias = -context.module.get_variable("batch_stats", "mean")
  return args[0] + bias.reshape(*(args[0].ndim - 1) * (1,), -1)


def _describe(
    model: onnx.ModelProto, found: pretrained.Pretrained, player: str, info: dict[str, Any]
) -> None:
  """Adds what users have to know, as JSON values by name."""
  low, high = info["preprocessing"]["value_range"]
  about = {
      "layout": "NHWC", "value_range": [low, high], "latents": latents.kind(found.config.model),
      "latent_dim": found.config.model.latent_dim, "layers": info["layers"][player],
      "preprocessing": info["preprocessing"], "step": info["step"],
      "objective": found.config.objective,
  }
  if player != "G":
    about["feature_layer"] = getattr(found.networks, player).feature_layer
  onnx.helper.set_model_props(model, {name: json.dumps(v) for name, v in about.items()})
  model.producer_name = "bigan_jax"
  model.producer_version = sys.modules["bigan_jax"].__version__
  for value in (*model.graph.input, *model.graph.output):
    if value.name == "images":
      value.doc_string = f"float32 [batch, height, width, channels], {low:g} to {high:g}"


def _compare(
    name: str, content: bytes, apply: Callable[..., Named], inputs: dict[str, loaded.Shape]
) -> None:
  """Raises ValueError unless onnxruntime gives what JAX does, on random inputs."""
  import onnxruntime

  session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
  rs, run = np.random.RandomState(0), jax.jit(apply)
  given = {key: np.float32(rs.uniform(-1, 1, (max(COMPARED), *shape)))
           for key, shape in inputs.items()}
  expected = run(*given.values())  # Of each picture by itself, so that fewer are the first of more.
  for batch in COMPARED:
    arrays = session.run(None, {key: array[:batch] for key, array in given.items()})
    for output, array in zip(session.get_outputs(), arrays, strict=True):
      wanted = np.asarray(expected[output.name])[:batch]
      difference = np.abs(array - wanted).max() / max(1, np.abs(wanted).max())
      if not difference <= TOLERANCE:
        raise ValueError(f"{name} gives other {output.name} than JAX, by {difference:.1g} of the "
                         "largest: take --format=stablehlo, and report this.")

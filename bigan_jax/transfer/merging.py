"""Merges batch norm into the layer before it: what is left are weights and biases."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bigan_jax.models import merging

Layers = dict[str, dict[str, np.ndarray]]  # {"conv1": {"kernel": ..., "bias": [C]}, ...} in order


def merge(variables: Mapping[str, Any]) -> Layers:
  """The hidden layers of E, or of a D that judges images alone, with calibrated statistics.

  W' = W scale / sqrt(var + eps) and b' = shift - mean scale / sqrt(var + eps), as the mathematics
  says: without the filler values that the authors' export adds to some biases (reference
  section 9). The output layers are left out. Computed in float64, returned as float32.

  Args:
    variables: {"params": ..., "batch_stats": ...} of the network.

  Raises:
    ValueError: batch norm has no statistics yet.
  """
  for norm, sums in variables.get("batch_stats", {}).items():
    if not np.asarray(sums["count"]) > 0:
      layer = norm.removesuffix("_bn")
      raise ValueError(
          f"The batch norm of {layer} has no statistics: calibrate the network first."
      )
  folded = merging.merge({"batch_stats": {}, **variables})
  layers = {
      name: layer for name, layer in folded["params"].items()
      if "kernel" in layer and not name.startswith("out")
  }
  return {name: _layer(name, layers[name], folded) for name in sorted(layers)}


def _layer(
    name: str, layer: dict[str, np.ndarray], folded: Mapping[str, Any]
) -> dict[str, np.ndarray]:
  kernel, norm = layer["kernel"], folded["batch_stats"].get(f"{name}_bn")
  blank = np.zeros(kernel.shape[-1], np.float32)
  return {"kernel": kernel, "bias": layer.get("bias", blank) if norm is None else -norm["mean"]}

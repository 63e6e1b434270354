"""Merges batch norm into the layer before it: what is left are weights and biases."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bigan_jax.models.layers import EPSILON

Layers = dict[str, dict[str, np.ndarray]]  # {"conv1": {"kernel": ..., "bias": [C]}, ...} in order


def merge(variables: Mapping[str, Any]) -> Layers:
  """The hidden layers of E, or of a D that judges images alone, with calibrated statistics.

  W' = W scale / sqrt(var + eps) and b' = shift - mean scale / sqrt(var + eps), as the mathematics
  says: without the filler values that the authors' export adds to some biases (reference
  section 9). The output layer is left out. Computed in float64, returned as float32.

  Args:
    variables: {"params": ..., "batch_stats": ...} of the network.

  Raises:
    ValueError: batch norm has no statistics yet.
  """
  params, stats = variables["params"], variables.get("batch_stats", {})
  names = sorted(n for n, layer in params.items() if "kernel" in layer and n != "out")
  return {
      name: _merged(name, params[name], params.get(f"{name}_bn", {}), stats.get(f"{name}_bn"))
      for name in names
  }


def _merged(
    name: str, layer: Mapping[str, Any], affine: Mapping[str, Any], stats: Mapping[str, Any] | None
) -> dict[str, np.ndarray]:
  kernel = np.asarray(layer["kernel"], np.float64)
  gain, bias = 1.0, np.zeros(kernel.shape[-1])
  if stats is not None:
    count = np.asarray(stats["count"], np.float64)
    if not count > 0:
      raise ValueError(f"The batch norm of {name} has no statistics: calibrate the network first.")
    mean, var = (np.asarray(stats[key], np.float64) / count for key in ("mean", "var"))
    gain = np.asarray(affine.get("scale", 1), np.float64) / np.sqrt(var + EPSILON)
    bias = np.asarray(affine.get("bias", 0), np.float64) - mean * gain
  return {"kernel": np.float32(kernel * gain), "bias": np.float32(bias)}

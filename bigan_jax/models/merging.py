"""Folds calibrated batch norms into the layers that they follow."""

import chex
import jax
import numpy as np

from bigan_jax.models.layers import EPSILON


def merge(variables: chex.ArrayTree) -> chex.ArrayTree:
  """Folds batch norms into the kernels that they follow, those of projected z too.

  Each becomes one that only adds a bias, its negative mean: variance and gain 1, shift 0.
  """
  params = jax.tree.map(np.asarray, dict(variables["params"]))
  batch_stats = {}
  for norm, sums in variables["batch_stats"].items():
    affine, layer = params.get(norm, {}), norm.removesuffix("_bn")
    mean, var = (np.float64(sums[name]) / np.float64(sums["count"]) for name in ("mean", "var"))
    gain = affine.get("scale", 1) / np.sqrt(var + EPSILON)
    for name in {layer, f"{layer}_z"} & params.keys():
      kernel = params[name]["kernel"]
      # Outputs are the last axis, but that of a transposed convolution, [k, k, outputs, inputs].
      transposed = kernel.ndim == 4 and layer.startswith("deconv")
      params[name] = {"kernel": np.float32(kernel * (gain[:, None] if transposed else gain))}
    bias = affine.get("bias", 0) - mean * gain
    one = np.ones_like(bias, np.float32)
    batch_stats[norm] = {"count": np.float32(1), "mean": np.float32(-bias), "var": one}
    if affine:
      params[norm] = {"scale": one, "bias": np.zeros_like(one)}
  return {"params": params, "batch_stats": batch_stats}

"""What networks are computed with in training; parameters, statistics and losses stay float32."""

from collections.abc import Callable
import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp

# float32 as the paper's hardware had it. tf32 rounds the factors of products, on GPUs that can, to
# 10 bits. bfloat16 computes kernels and activations in 8 bits, and sums in float32.
PRODUCTS = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": "bfloat16"}


def traced(step: Callable[..., Any]) -> Callable[..., Any]:
  """`step(setup, ...)`, with products and convolutions traced at setup.precision."""
  @functools.wraps(step)
  def at_precision(setup: Any, *args: Any) -> Any:
    with jax.default_matmul_precision(PRODUCTS[setup.precision]):
      return step(setup, *args)
  return at_precision


def narrow_kernels(params: chex.ArrayTree, precision: str) -> chex.ArrayTree:
  """Layers {name: arrays} as networks multiply by them; gains and shifts stay as they are."""
  def narrow(layer: dict[str, jax.Array]) -> dict[str, jax.Array]:
    if "kernel" not in layer:
      return layer
    return {name: narrow_input(array, precision) for name, array in layer.items()}
  return {name: narrow(layer) for name, layer in params.items()}


def narrow_input(x: jax.Array, precision: str) -> jax.Array:
  """An input of a network."""
  return x.astype(jnp.bfloat16) if precision == "bfloat16" else x

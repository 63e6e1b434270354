"""Spectral normalisation (Miyato et al., 2018): a kernel divided by its largest singular value.

The value is that of a vector u which one step of power iteration a training step keeps close to
the first singular vector. The vectors are state beside the parameters: they lie in the collection
`batch_stats`, where statistics of networks lie, and `advance` makes those of the next step.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

LEAST = 1e-12  # under roots, of kernels of zeros


def normalise(module: nn.Module, kernel: jax.Array) -> jax.Array:
  """The kernel [..., O] of a layer, in the scope of `module`, whose vector u [O] it declares.

  The gradient goes through the singular value, at a fixed u.
  """
  def start() -> jax.Array:
    return _unit(jax.random.normal(module.make_rng("params"), kernel.shape[-1:]))
  u = module.variable("batch_stats", "u", start).value
  return kernel / value(kernel, u)


def value(kernel: jax.Array, u: jax.Array) -> jax.Array:
  """The largest singular value of the kernel as a matrix [-1, O], by its vector u [O]."""
  image = _matrix(kernel) @ jax.lax.stop_gradient(u)
  return jnp.sqrt(jnp.sum(jnp.square(image)) + LEAST)


def advance(params: chex.ArrayTree, vectors: chex.ArrayTree) -> chex.ArrayTree:
  """The vectors after one more step of power iteration: {layer: {"u": [O]}}."""
  def step(u: jax.Array, kernel: jax.Array) -> jax.Array:
    matrix = _matrix(kernel)
    return _unit(matrix.T @ (matrix @ u))
  return {name: {"u": step(layer["u"], params[name]["kernel"])} for name, layer in vectors.items()}


def _matrix(kernel: jax.Array) -> jax.Array:
  return kernel.reshape(-1, kernel.shape[-1])


def _unit(vector: jax.Array) -> jax.Array:
  return vector * jax.lax.rsqrt(jnp.sum(jnp.square(vector)) + LEAST)

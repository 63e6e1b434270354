"""Spectral normalisation (Miyato et al., 2018): a kernel divided by its largest singular value.

The value is that of a vector u, which one step of power iteration a training step keeps close to
the first singular vector. Vectors are state of the training, beside the parameters; networks know
nothing of them, and are applied to parameters that were divided (`fold`), in training and after it.
So the step stays one pure function: flax's SpectralNorm wants its state changed within a pass.
"""

import chex
import jax
import jax.numpy as jnp

STEPS = 10  # of power iteration on initial kernels
LEAST = 1e-12  # under roots

Vectors = dict[str, jax.Array]  # {layer: u [features]}, of every layer


def start(params: chex.ArrayTree) -> Vectors:
  """The vectors of a network's initial parameters."""
  kernels = {name: layer["kernel"] for name, layer in params.items() if "kernel" in layer}
  ones = lambda kernel: jnp.ones(kernel.shape[-1:], kernel.dtype)
  vectors = {name: _unit(ones(kernel)) for name, kernel in kernels.items()}
  for _ in range(STEPS):
    vectors = advance(params, vectors)
  return vectors


def advance(params: chex.ArrayTree, vectors: Vectors) -> Vectors:
  """The vectors after one more step of power iteration."""
  def step(name: str, u: jax.Array) -> jax.Array:
    matrix = _matrix(params[name]["kernel"])
    return _unit(_product(matrix.T, _product(matrix, u)))
  return {name: step(name, u) for name, u in vectors.items()}


def value(kernel: jax.Array, u: jax.Array) -> jax.Array:
  """The largest singular value of the kernel as a matrix [-1, O], by its vector u [O]."""
  image = _product(_matrix(kernel), u)
  return jnp.sqrt(jnp.sum(jnp.square(image)) + LEAST)


def fold(params: chex.ArrayTree, vectors: Vectors) -> chex.ArrayTree:
  """The parameters with every kernel divided by its singular value, through which gradients go."""
  folded = {}
  for name, u in vectors.items():
    kernel = params[name]["kernel"]
    folded[name] = {**params[name], "kernel": kernel / value(kernel, u)}
  return {**params, **folded}


def _matrix(kernel: jax.Array) -> jax.Array:
  return kernel.reshape(-1, kernel.shape[-1])


def _product(matrix: jax.Array, vector: jax.Array) -> jax.Array:
  """Of full float32 precision, whatever the networks are trained with."""
  return jnp.matmul(matrix, vector, precision="float32")


def _unit(vector: jax.Array) -> jax.Array:
  return vector * jax.lax.rsqrt(jnp.sum(jnp.square(vector)) + LEAST)

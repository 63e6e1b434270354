"""Spectral normalisation (Miyato et al., 2018): a kernel divided by its largest singular value.

The value is that of a vector u, which one step of power iteration a training step keeps close to
the first singular vector. The vectors are state of the training, beside the parameters: a network
finds them in the collection `spectral`. Networks that have been trained do without: `fold` divides
their kernels once and for all.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

COLLECTION = "spectral"
STEPS = 10  # of power iteration on initial kernels
LEAST = 1e-12  # under roots, of kernels of zeros

Vectors = dict[str, dict[str, jax.Array]]  # {layer: {"u": [features]}}


def normalise(module: nn.Module, kernel: jax.Array, train: bool) -> jax.Array:
  """The kernel [..., O] of a layer by its vector, in the scope of `module`.

  The gradient goes through the singular value, at a fixed u. In test mode, and where no vectors are
  given, kernels are as they should be (`fold`).
  """
  if not train or not module.has_variable(COLLECTION, "u"):
    return kernel
  return kernel / value(kernel, module.get_variable(COLLECTION, "u"))


def value(kernel: jax.Array, u: jax.Array) -> jax.Array:
  """The largest singular value of the kernel as a matrix [-1, O], by its vector u [O]."""
  image = _matrix(kernel) @ jax.lax.stop_gradient(u)
  return jnp.sqrt(jnp.sum(jnp.square(image)) + LEAST)


def start(params: chex.ArrayTree) -> Vectors:
  """The vectors of a network's initial parameters: of every layer that has a kernel and a bias."""
  layers = {name: layer["kernel"] for name, layer in params.items() if "bias" in layer}
  vectors = {name: {"u": _unit(jnp.ones(kernel.shape[-1:]))} for name, kernel in layers.items()}
  for _ in range(STEPS):
    vectors = advance(params, vectors)
  return vectors


def advance(params: chex.ArrayTree, vectors: Vectors) -> Vectors:
  """The vectors after one more step of power iteration."""
  def step(u: jax.Array, kernel: jax.Array) -> jax.Array:
    matrix = _matrix(kernel)
    return _unit(matrix.T @ (matrix @ u))
  return {name: {"u": step(layer["u"], params[name]["kernel"])} for name, layer in vectors.items()}


def fold(params: chex.ArrayTree, vectors: Vectors) -> chex.ArrayTree:
  """The parameters with every kernel that has a vector divided by its singular value."""
  def folded(name: str) -> chex.ArrayTree:
    kernel = params[name]["kernel"]
    return {**params[name], "kernel": kernel / value(kernel, vectors[name]["u"])}
  return {**params, **{name: folded(name) for name in vectors}}


def _matrix(kernel: jax.Array) -> jax.Array:
  return kernel.reshape(-1, kernel.shape[-1])


def _unit(vector: jax.Array) -> jax.Array:
  return vector * jax.lax.rsqrt(jnp.sum(jnp.square(vector)) + LEAST)

"""Data-dependent initialisation (Kraehenbuehl et al., 2016) of any part of a network.

Every layer's units get mean 0 and variance 1 on a batch of real images, plus a bias of 0.1; then
all layers are scaled so that they learn at the same relative rate (reference section 9). Products
are of full float32 precision, whatever the network is trained with.
"""

import functools
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.models.strided import Window

BIAS = 0.1  # of every unit after its mean is taken off (reference section 9)
ROUNDS, TOLERANCE = 10, 0.01  # of equal rates (reference section 9)
PATCHES = 100  # at most, for every centre of k-means
LEAST = 1e-5  # relative: units and directions that vary less do not vary

Params = dict[str, dict[str, chex.Array]]


def initialise(
    network: nn.Module, params: Params, x: jax.Array, names: tuple[str, ...], method: str, seed: int
) -> Params:
  """New weights and biases for the layers `names`, in the order in which data passes them.

  Args:
    network: apply -> (output, ...); its layers are submodules with "kernel" and "bias".
    params: of all layers; those of other layers stay as they are.
    x: real images [B, H, W, C], a hundred or so; units that do not vary on them are scaled by
      their size.
    method: "gaussian", or "k-means" of patches of the layer's input, or "plain", which ignores x:
      zero biases and He's variance.
  """
  random = np.random.RandomState(seed)
  for name in names:
    if method == "plain":
      kernel = params[name]["kernel"]
      fan_in = kernel.size // kernel.shape[-1]
      weights = random.normal(0, np.sqrt(2 / fan_in), kernel.shape)
      params = {**params, name: _layer(weights)}
    else:
      weights = random.normal(size=params[name]["kernel"].shape)
      if method == "k-means":
        weights = _clustered(network, params, x, name, weights, random)
      params = unit_variance(network, {**params, name: _layer(weights)}, x, name)
  return params


def unit_variance(network: nn.Module, params: Params, x: jax.Array, name: str) -> Params:
  """Scales and shifts every unit of a layer to variance 1 and mean 0.1 before its nonlinearity."""
  kernel = params[name]["kernel"]
  mean, std = _moments(network, {**params, name: _layer(kernel)}, x, name)
  size = jnp.hypot(mean, std)
  scale = jnp.where(std > LEAST * size, std, jnp.where(size > 0, size, 1))
  return {**params, name: {"kernel": kernel / scale, "bias": BIAS - mean / scale}}


def near_unit_scale(network: nn.Module, params: Params, x: jax.Array, name: str) -> Params:
  """Multiplies a layer by one power of two that brings its outputs nearest to size 1.

  For the last layer of those that are frozen: behind features that are small, new layers learn
  slowly. The authors scale transferred layers too (reference section 9). The nonlinearity is
  homogeneous, so that features only change by this factor, and of a power of two not in one digit.
  """
  mean, std = _moments(network, params, x, name)
  size = float(jnp.sqrt(jnp.mean(jnp.square(mean) + jnp.square(std))))
  if not (np.isfinite(size) and size > 0):
    return params  # All images are black, say.
  factor = np.float32(2.0 ** -round(np.log2(size)))
  return {**params, name: {leaf: array * factor for leaf, array in params[name].items()}}


def equalise(
    network: nn.Module, params: Params, x: jax.Array, names: tuple[str, ...], seed: int
) -> Params:
  """Scales the layers `names` until their gradients are in the same proportion to their weights.

  The output is unchanged but for its scale, which goes to 1. The gradients are those of a random
  direction at the output. Layers that others lie between must not be left out; `names` may start
  anywhere.
  """
  for _ in range(ROUNDS):
    ratios, std = _ratios(network, params, x, names, jax.random.PRNGKey(seed))
    ratios, std = np.asarray(ratios, np.float64), float(std)
    if not (np.isfinite(ratios).all() and ratios.min() > 0 and std > 0):
      return params  # The images are all alike: there is nothing to go by.
    off = np.log(ratios) - np.log(ratios).mean() - np.log(std) / len(names)
    if np.abs(off).max() < TOLERANCE:
      break
    params = dict(params)
    # The network is homogeneous: a bias follows the scales of all layers up to its own.
    for name, scale, up_to in zip(names, np.exp(off / 2), np.exp(np.cumsum(off) / 2)):
      layer = params[name]
      params[name] = {"kernel": layer["kernel"] * scale, "bias": layer["bias"] * up_to}
  return params


def _layer(kernel: np.ndarray) -> dict[str, jax.Array]:
  return {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.zeros(kernel.shape[-1])}


def _seen(network: nn.Module, params: Params, x: jax.Array, name: str) -> dict[str, Any]:
  """The input of a layer, its output before the nonlinearity, and the layer itself."""
  seen = {}
  def look(method: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
    output = method(*args, **kwargs)
    if context.module.name == name and context.method_name == "__call__":
      seen.update(input=args[0], output=output, layer=context.module)
    return output
  with jax.default_matmul_precision("float32"), nn.intercept_methods(look):
    network.apply({"params": params}, x)
  return seen


@functools.partial(jax.jit, static_argnames=("network", "name"))
def _moments(
    network: nn.Module, params: Params, x: jax.Array, name: str
) -> tuple[jax.Array, jax.Array]:
  """Mean and standard deviation [units] over images and places, before the nonlinearity."""
  output = _seen(network, params, x, name)["output"]
  axes = tuple(range(output.ndim - 1))
  return jnp.mean(output, axes), jnp.std(output, axes)


@functools.partial(jax.jit, static_argnames=("network", "name"))
def _input(network: nn.Module, params: Params, x: jax.Array, name: str) -> jax.Array:
  return _seen(network, params, x, name)["input"]


@functools.partial(jax.jit, static_argnames=("network", "names"))
def _ratios(
    network: nn.Module, params: Params, x: jax.Array, names: tuple[str, ...], key: chex.PRNGKey
) -> tuple[jax.Array, jax.Array]:
  """Root mean square of each layer's gradients over that of its weights, and std of the output."""
  def output(some: Params) -> jax.Array:
    return network.apply({"params": {**params, **some}}, x)[0]
  with jax.default_matmul_precision("float32"):
    y, pull_back = jax.vjp(output, {name: params[name] for name in names})
    gradients, = pull_back(jax.random.normal(key, y.shape))
  size = lambda layers, name: jnp.sqrt(jnp.mean(jnp.square(layers[name]["kernel"])))
  std = jnp.std(y)
  std = jnp.where(std > LEAST * jnp.sqrt(jnp.mean(jnp.square(y))), std, 0)
  return jnp.stack([size(gradients, name) / size(params, name) for name in names]), std


def _clustered(
    network: nn.Module, params: Params, x: jax.Array, name: str, otherwise: np.ndarray,
    random: np.random.RandomState,
) -> np.ndarray:
  """Weights of a layer by k-means of what it sees, or `otherwise` if that is too little.

  So it is with fc6 to fc8 in the authors' settings (reference section 9).
  """
  *_, out = shape = otherwise.shape
  rows, groups = np.asarray(_input(network, params, x, name), np.float64), 1
  if len(shape) == 4:
    window = _window(network, params, x, name)
    groups, rows = window.groups, _patches(rows, shape[0], window, PATCHES * out, random)
  if len(rows) < out // groups:
    return otherwise
  parts = [part.reshape(len(part), -1) for part in np.split(rows, groups, axis=-1)]
  centres = [_centres(part, out // groups, random) for part in parts]
  return np.concatenate(centres).T.reshape(shape)


def _window(network: nn.Module, params: Params, x: jax.Array, name: str) -> Window:
  """How a convolution slides."""
  found = []
  def look(x: jax.Array) -> None:
    found.append(_seen(network, params, x, name)["layer"].window)
  jax.eval_shape(look, x)
  return found[0]


def _patches(
    y: np.ndarray, k: int, window: Window, most: int, random: np.random.RandomState
) -> np.ndarray:
  """At most `most` of the patches that a convolution sees of y [B, H, W, C]: [n, k, k, C]."""
  p, s = window.padding, window.stride
  padded = np.pad(y, ((0, 0), (p, p), (p, p), (0, 0)))
  views = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(1, 2))[:, ::s, ::s]
  total = int(np.prod(views.shape[:3]))
  chosen = np.unravel_index(random.permutation(total)[:most], views.shape[:3])
  return np.moveaxis(views[chosen], 1, -1)


def _centres(rows: np.ndarray, count: int, random: np.random.RandomState) -> np.ndarray:
  """Weights [count, d] whose products with rows [n, d] point to the centres of spherical k-means.

  Rows are centred, whitened along the `count` directions in which they vary most, and brought to
  length 1; the centres are taken back to where the rows came from.
  """
  from sklearn import cluster  # Takes a second, which only this method is worth.

  rows = rows - rows.mean(axis=0)
  values, directions = np.linalg.eigh(rows.T @ rows / len(rows))
  kept = np.argsort(values)[::-1][:count]
  kept = kept[values[kept] > LEAST * max(values.max(), LEAST)]
  if not len(kept):  # All patches are alike.
    return random.normal(size=(count, rows.shape[1]))
  whitening = directions[:, kept] / np.sqrt(values[kept])
  white = rows @ whitening
  white /= np.maximum(np.linalg.norm(white, axis=1, keepdims=True), LEAST)
  seed = random.randint(2**31 - 1)
  means = cluster.MiniBatchKMeans(count, batch_size=10 * count, n_init=1, random_state=seed)
  return means.fit(white).cluster_centers_ @ whitening.T

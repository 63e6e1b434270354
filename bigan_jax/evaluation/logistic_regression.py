"""Multinomial logistic regression with an l2 penalty, to convergence, by L-BFGS on the device."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

MEMORY = 10  # pairs of steps and gradients that L-BFGS keeps
STEPS = 1_000  # at most
TOLERANCE = 6e-3  # see `solve`; leaves the loss within 1e-4 of the optimum, relatively
HALVINGS = 12  # of a step, at most
ARMIJO = 1e-4  # share of the promised decrease that a step must bring
LEAST_GAIN = 1e-6  # of the loss, relatively, that is worth another choice of coordinates
FLATTEST = 1e-6  # curvature along a bias, for the start at a perfect fit
IMAGES = 256  # a block: few enough to be in a CPU's cache still when gradients are taken
SAMPLE = 1_024  # images by which curvatures along axes are told, at most


class Weights(NamedTuple):
  """kernel: [K, f] of K classes. bias: [K]."""

  kernel: jax.Array
  bias: jax.Array


class Solution(NamedTuple):
  """An optimum.

  weights: at the optimum. loss: the objective there. gradient: its norm, see `solve`.
  steps: of L-BFGS. converged: whether the gradient is small enough.
  """

  weights: Weights
  loss: jax.Array
  gradient: jax.Array
  steps: jax.Array
  converged: jax.Array


def logits(weights: Weights, features: jax.Array) -> jax.Array:
  """Features [f, N] -> [K, N]."""
  return jnp.matmul(weights.kernel, features, precision="highest") + weights.bias[:, None]


def in_blocks(features: jax.Array) -> jax.Array:
  """Features [f, N] -> [blocks, f, n] of n = IMAGES, or of fewer if there are no more.

  The last block is filled up with zeros.
  """
  width, count = features.shape
  n = min(count, IMAGES)
  blocks = -(-count // n)
  filled = jnp.pad(features, ((0, 0), (0, blocks * n - count)))
  return jnp.moveaxis(filled.reshape(width, blocks, n), 0, 1)


def along(axes: jax.Array | None, weights: Weights) -> Weights:
  """Weights of features, from weights [K, r] along axes [f, r] (None: the features themselves)."""
  if axes is None:
    return weights
  return Weights(jnp.matmul(weights.kernel, axes.T, precision="highest"), weights.bias)


def cross_entropies(scores: jax.Array, targets: jax.Array) -> jax.Array:
  """[K, N] and [N] -> [N], to float32's relative precision even where they are nearly zero.

  Separable images end there, and the usual difference of two large logits would be mere rounding.
  """
  margins = scores - jnp.take_along_axis(scores, targets[None], axis=0)
  true = jnp.arange(len(scores))[:, None] == targets
  return jax.nn.softplus(jax.nn.logsumexp(margins, axis=0, where=~true))


def solve(
    features: jax.Array, targets: jax.Array, chosen: chex.Array, l2: float, start: Weights,
    axes: jax.Array | None = None, tolerance: float = TOLERANCE,
) -> Solution:
  """The optimum for the images where `chosen` is 1, by L-BFGS on the device.

  Minimises mean cross entropy + l2 / 2 * sum of squared weights; biases are not penalised.

  Converged is where the gradient, in coordinates of about unit curvature, is below
  tolerance * sqrt(loss): half its square is about the loss still to gain. As the curvature changes
  on the way, coordinates are chosen anew where L-BFGS arrives, until it need not move.

  Args:
    features: `in_blocks`: by blocks of this layout loss and gradient are twice as fast on CPUs as
      by one [f, N], and twenty times as fast as by [N, f].
    targets: [N] int32, classes from 0 on.
    chosen: [N], 1 or 0.
    l2: above 0.
    start: where to begin.
    axes: [f, r], orthonormal and spanning all features, along which curvatures are told: weights,
      at the start and at the optimum, are then [K, r] along them. None: features have their own.
    tolerance: see above.
  """
  fill = features.shape[0] * features.shape[2] - len(targets)
  targets, chosen = (
      jnp.pad(jnp.asarray(a), (0, fill)).reshape(len(features), -1) for a in (targets, chosen)
  )
  steps, before, sample = 0, np.inf, _sample(features, chosen, axes)
  while True:
    found = _solve(features, targets, chosen, l2, start, axes, sample, tolerance)
    steps, loss = steps + int(found.steps), float(found.loss)
    if not found.steps or steps >= STEPS or not loss < before * (1 - LEAST_GAIN):
      return found._replace(steps=steps)
    start, before = found.weights, loss


class _Iterate(NamedTuple):
  """Where L-BFGS is: weights in scaled coordinates, and how long the last step was (0: none)."""

  weights: Weights
  loss: jax.Array
  grads: Weights
  memory: chex.ArrayTree
  steps: jax.Array
  length: jax.Array


@jax.jit
def _solve(
    features: jax.Array, targets: jax.Array, chosen: jax.Array, l2: jax.Array, start: Weights,
    axes: jax.Array | None, sample: tuple[jax.Array, jax.Array], tolerance: jax.Array,
) -> Solution:
  """L-BFGS from `start`, in coordinates of about unit curvature there, told by the sample."""
  scales = _scales(*sample, l2, start)
  count = jnp.sum(chosen)
  scaled = lambda weights: along(axes, jax.tree.map(jnp.multiply, weights, scales))
  def penalty(weights: Weights) -> jax.Array:
    return l2 / 2 * jnp.sum(jnp.square(weights.kernel * scales.kernel))
  def evaluate(weights: Weights) -> tuple[jax.Array, Weights]:
    given, back = jax.vjp(scaled, weights)
    errors, pull = _errors(given, features, targets, chosen)
    more, shrink = jax.value_and_grad(penalty)(weights)
    grads, = back(jax.tree.map(lambda g: g / count, pull))
    return errors / count + more, jax.tree.map(jnp.add, grads, shrink)
  lbfgs = optax.scale_by_lbfgs(MEMORY)

  def step(now: _Iterate) -> _Iterate:
    towards, memory = lbfgs.update(now.grads, now.memory, now.weights)
    weights, loss, grads, length = _line_search(evaluate, now, towards)
    return _Iterate(weights, loss, grads, memory, now.steps + 1, length)
  def goes_on(now: _Iterate) -> jax.Array:
    large = optax.tree.norm(now.grads) > tolerance * jnp.sqrt(now.loss)
    return large & (now.length > 0) & (now.steps < STEPS)

  first = jax.tree.map(jnp.divide, start, scales)
  now = _Iterate(first, *evaluate(first), lbfgs.init(first), 0, 1.0)
  last = jax.lax.while_loop(goes_on, step, now)
  gradient = optax.tree.norm(last.grads)
  converged = gradient <= tolerance * jnp.sqrt(last.loss)
  found = jax.tree.map(jnp.multiply, last.weights, scales)
  return Solution(found, last.loss, gradient, last.steps, converged)


def _errors(
    weights: Weights, features: jax.Array, targets: jax.Array, chosen: jax.Array
) -> tuple[jax.Array, Weights]:
  """The sum of cross entropies of the chosen images, and its gradient, block by block."""
  def add(sums: chex.ArrayTree, block: tuple[jax.Array, ...]) -> tuple[chex.ArrayTree, None]:
    x, truth, counts = block
    loss = lambda w: jnp.sum(cross_entropies(logits(w, x), truth) * counts)
    return jax.tree.map(jnp.add, sums, jax.value_and_grad(loss)(weights)), None
  blank = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, weights))
  return jax.lax.scan(add, blank, (features, targets, chosen))[0]


@jax.jit
def _sample(
    features: jax.Array, chosen: jax.Array, axes: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
  """Some of the images, along the axes [r, S], and which of them are chosen [S]."""
  step = -(-chosen.size // SAMPLE)
  some = jnp.moveaxis(features[:, :, ::step], 1, 0).reshape(features.shape[1], -1)
  turned = some if axes is None else jnp.matmul(axes.T, some, precision="highest")
  return turned, chosen[:, ::step].reshape(-1)


def _scales(
    features: jax.Array, chosen: jax.Array, l2: jax.Array, start: Weights
) -> Weights:
  """Factors that give the objective about unit curvature along every axis, [1, r] and [1].

  The curvature of cross entropy is p (1 - p) x^2 along an axis, here averaged over classes.
  """
  p = jax.nn.softmax(logits(start, features), axis=0)
  spread = jnp.mean(p * (1 - p), axis=0) * chosen / jnp.sum(chosen)
  curvature = jnp.sum(jnp.square(features) * spread, axis=1)
  kernel = jax.lax.rsqrt(curvature + l2)[None]
  return Weights(kernel, jax.lax.rsqrt(jnp.sum(spread) + FLATTEST)[None])


def _line_search(
    evaluate: Callable[[Weights], tuple[jax.Array, Weights]], now: _Iterate, towards: Weights
) -> tuple[Weights, jax.Array, Weights, jax.Array]:
  """Halves the step against `towards` until the loss falls; (weights, loss, grads, length).

  Length 0, and the old place, if no step brings the loss down: it is flat to float32.
  """
  slope = optax.tree.vdot(now.grads, towards)
  noise = 32 * jnp.finfo(jnp.float32).eps * now.loss
  def attempt(length: jax.Array) -> tuple[Weights, jax.Array, Weights, jax.Array]:
    weights = jax.tree.map(lambda w, t: w - length * t, now.weights, towards)
    return weights, *evaluate(weights), length
  def too_long(tried: tuple) -> jax.Array:
    _, loss, _, length = tried
    falls = loss <= now.loss - ARMIJO * length * slope + noise
    return ~falls & (length > 0)
  def shorten(tried: tuple) -> tuple[Weights, jax.Array, Weights, jax.Array]:
    length = tried[3] / 2
    return attempt(jnp.where(length < 0.5**HALVINGS, 0.0, length))
  blank = (now.weights, jnp.inf, now.grads, jnp.asarray(2.0))
  return jax.lax.while_loop(too_long, shorten, blank)

"""The linear probe: logistic regression on fixed features, its l2 chosen on held-out images.

It minimises mean cross entropy + l2 / 2 * sum of squared weights; biases are not penalised. This
is scikit-learn's LogisticRegression(C=1 / (l2 * images)) on features of mean 0 and variance 1 over
the training images.
"""

import functools
from typing import NamedTuple

from absl import logging
import chex
import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.evaluation import logistic_regression
from bigan_jax.evaluation.logistic_regression import Solution, Weights, in_blocks
from bigan_jax.training import console

BLOCK = 4_096  # images at a time, on their way to the device
LOOKED_AT = (2, 10_000)  # images whose axes are found: so many a feature at most, or so many
ROUGH = 2e-2  # tolerance while strengths are compared: the loss within 1e-3 of the optimum
CLEARLY = 2  # standard errors below the best accuracy, from which on weaker l2 is not tried
CONSTANT = 1e-6  # a feature that varies by less, relative to its size, does not vary

matmul = functools.partial(jnp.matmul, precision="highest")


class Problem(NamedTuple):
  """Features on the device, standardised, and their principal axes.

  The l2 penalty does not change under rotation, and along principal axes the objective's curvature
  is nearly diagonal, so that scaling the axes lets L-BFGS converge in tens of steps. Axes without
  any training image, where there are fewer images than features, are left out: the optimal weights
  have no share in them.

  Attributes:
    mean, scale: [f] of the training features.
    axes: [f, r], the leading ones last.
    features: [blocks, f, n], see `logistic_regression.in_blocks`; None before they are placed.
    targets: [N] int32, positions in `classes`.
    classes: [K] labels that occur.
  """

  mean: np.ndarray
  scale: np.ndarray
  axes: jax.Array | None
  features: jax.Array | None
  targets: jax.Array
  classes: np.ndarray


class Probe(NamedTuple):
  """A fitted classifier and how it came about.

  Attributes:
    problem: that it was fitted to.
    solution: its optimum, in weights along the problem's axes.
    l2: its strength.
    validation: {l2: accuracy in percent of the held-out training images}; {} for one strength.
  """

  problem: Problem
  solution: Solution
  l2: float
  validation: dict[float, float]

  def predict(self, features: np.ndarray) -> np.ndarray:
    """Labels [M] of features [M, f]."""
    problem = self.problem
    weights = logistic_regression.along(problem.axes, self.solution.weights)
    guesses = [
        np.asarray(_guess(weights, standardised(problem, features[i:i + BLOCK])))
        for i in range(0, len(features), BLOCK)
    ]
    return problem.classes[np.concatenate(guesses)]


def fit(
    features: np.ndarray, labels: np.ndarray, strengths: tuple[float, ...], share: float = 0.1,
    seed: int = 0,
) -> Probe:
  """`choose` of features [N, f] with labels [N]."""
  return choose(prepare(features, labels), strengths, share, seed)


def choose(
    problem: Problem, strengths: tuple[float, ...], share: float = 0.1, seed: int = 0
) -> Probe:
  """The logistic regression of the strength that does best on held-out training images.

  A share of each class is held out, drawn by `seed`; strengths are fitted to the rest, from the
  strongest on, each from where the one before ended, until one is clearly less accurate than the
  best: the weakest take longest. The most accurate, of equals the strongest, is then fitted to
  all images.

  Args:
    strengths: values of l2 to choose from; a single one is taken as it is.
    share: of the images to hold out.

  Raises:
    ValueError: there is only one class, or too few images to hold any out.
  """
  if len(problem.classes) < 2:
    raise ValueError(f"All images have label {problem.classes[0]}: a probe needs two classes.")
  everything = np.ones(len(problem.targets), np.float32)
  start, l2, validation = None, strengths[0], {}
  if len(strengths) > 1:
    held_out = hold_out(np.asarray(problem.targets), share, seed)
    found = {}
    falling = sorted(strengths, reverse=True)
    for strength in console.over(falling, len(falling), "probe, strengths of l2"):
      start = solve(problem, everything - held_out, strength, start, ROUGH).weights
      found[strength] = start
      validation[strength] = 100 * float(_accuracy(problem, held_out, start))
      if past_best(validation, int(held_out.sum())):
        break
    l2 = max(validation, key=validation.get)
    start = found[l2]
  solution = solve(problem, everything, l2, start)
  if not solution.converged:
    logging.warning("The probe with l2 = %g has not converged after %d steps: give larger values "
                    "of config.probe.l2.", l2, solution.steps)
  return Probe(problem, solution, l2, validation)


def past_best(validation: dict[float, float], count: int) -> bool:
  """Whether the last accuracy, in percent of `count` images, is clearly below the best."""
  *_, last = validation.values()
  best = max(validation.values())
  return best - last > CLEARLY * (best * (100 - best) / count) ** 0.5


def hold_out(targets: np.ndarray, share: float, seed: int) -> np.ndarray:
  """1 for images to hold out, 0 for others, float32 [N]: a share of every class, rounded down.

  Raises:
    ValueError: there are too few images of every class.
  """
  held_out, random = np.zeros(len(targets), np.float32), np.random.RandomState(seed)
  for target in np.unique(targets):
    members = random.permutation(np.flatnonzero(targets == target))
    held_out[members[:int(share * len(members))]] = 1
  if not held_out.any():
    raise ValueError(
        f"No class has enough images to hold out a share of {share:g} and choose l2 by: raise the "
        "share, or give a single l2."
    )
  return held_out


def prepare(features: np.ndarray, labels: np.ndarray) -> Problem:
  """Standardises features [N, f], and finds their principal axes."""
  return place(frame(features, labels), features)


def frame(features: np.ndarray, labels: np.ndarray, turns: bool = True) -> Problem:
  """The problem of features [N, f] with labels [N], before they are placed on the device.

  Args:
    turns: find the axes, which `choose` and `leading` need; else None takes their place.
  """
  mean, scale = moments(features)
  classes, targets = np.unique(labels, return_inverse=True)
  axes = principal_axes(mean, scale, features) if turns else None
  return Problem(mean, scale, axes, None, jnp.asarray(targets, jnp.int32), classes)


def place(problem: Problem, features: np.ndarray) -> Problem:
  """The same with its features [N, f] on the device."""
  shape = jax.eval_shape(in_blocks, jax.ShapeDtypeStruct(features.shape[::-1], jnp.float32)).shape
  placed = jnp.empty(shape, jnp.float32)
  for i in range(0, len(features), BLOCK):
    blocks = in_blocks(standardised(problem, features[i:i + BLOCK]))
    placed = _put(placed, blocks, i // shape[2])
  return problem._replace(features=placed)


def leading(problem: Problem, features: np.ndarray, count: int) -> np.ndarray:
  """Features [N, f], standardised, along the `count` leading axes: principal components [N, count].

  Their spread is kept: the first varies most.
  """
  axes = problem.axes[:, ::-1][:, :count]
  blocks = range(0, len(features), BLOCK)
  return np.concatenate([
      np.asarray(_turn(features[i:i + BLOCK], problem.mean, problem.scale, axes)) for i in blocks
  ])


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Means and standard deviations [f] of features [N, f]; 1 for features that do not vary.

  Raises:
    ValueError: there is NaN or infinity among them.
  """
  total = squares = np.zeros(features.shape[1])
  for i in range(0, len(features), BLOCK):
    block = features[i:i + BLOCK].astype(np.float64)
    total, squares = total + block.sum(0), squares + np.square(block).sum(0)
  mean, size = total / len(features), squares / len(features)
  if not np.isfinite(size).all():
    raise ValueError("The features hold NaN or infinity: judge another step of the encoder's run.")
  variance = size - np.square(mean)
  varies = variance > CONSTANT**2 * size
  std = np.sqrt(np.where(varies, variance, 1))
  return mean.astype(np.float32), std.astype(np.float32)


def principal_axes(mean: np.ndarray, scale: np.ndarray, features: np.ndarray) -> jax.Array:
  """The principal axes [f, r] of features [N, f] once standardised; r is the lesser of N and f.

  The leading ones come last. Of more images than LOOKED_AT, some are looked at, spread evenly.
  """
  width, (each, least) = features.shape[1], LOOKED_AT
  most = min(len(features), max(each * width, least))
  some = np.arange(most) * len(features) // most
  count, span = len(some), None
  if count < width:
    span, _ = jnp.linalg.qr(_standardise(features[some], mean, scale).T)
  r = min(count, width)
  gram = jnp.zeros((r, r))
  for i in range(0, count, BLOCK):
    gram = _add_gram(gram, features[some[i:i + BLOCK]], mean, scale, span)
  _, axes = jnp.linalg.eigh(gram / count)
  return axes if span is None else matmul(span, axes)


def standardised(problem: Problem, features: np.ndarray) -> jax.Array:
  """Features [N, f] -> [f, N], of mean 0 and variance 1 over the training images."""
  return _standardise(features, problem.mean, problem.scale).T


@jax.jit
def _standardise(features: jax.Array, mean: jax.Array, scale: jax.Array) -> jax.Array:
  return (features - mean) / scale


@functools.partial(jax.jit, donate_argnums=0)
def _add_gram(
    gram: jax.Array, features: jax.Array, mean: jax.Array, scale: jax.Array,
    span: jax.Array | None,
) -> jax.Array:
  x = _standardise(features, mean, scale)
  x = x if span is None else matmul(x, span)
  return gram + matmul(x.T, x)


@jax.jit
def _turn(
    features: jax.Array, mean: jax.Array, scale: jax.Array, axes: jax.Array
) -> jax.Array:
  return matmul(_standardise(features, mean, scale), axes)


@functools.partial(jax.jit, donate_argnums=0)
def _put(whole: jax.Array, part: jax.Array, first: chex.Numeric) -> jax.Array:
  return jax.lax.dynamic_update_slice(whole, part, (first, 0, 0))


@jax.jit
def _guess(weights: Weights, features: jax.Array) -> jax.Array:
  return jnp.argmax(logistic_regression.logits(weights, features), axis=0)


@jax.jit
def _accuracy(problem: Problem, chosen: jax.Array, weights: Weights) -> jax.Array:
  """Share of right guesses among the images where `chosen` is 1."""
  weights = logistic_regression.along(problem.axes, weights)
  guesses = jax.lax.map(functools.partial(_guess, weights), problem.features)
  guesses = guesses.reshape(-1)[:len(problem.targets)]
  return jnp.sum((guesses == problem.targets) * chosen) / jnp.sum(chosen)


def solve(
    problem: Problem, chosen: chex.Array, l2: float, start: Weights | None = None,
    tolerance: float = logistic_regression.TOLERANCE,
) -> Solution:
  """The optimum for the images where `chosen` [N] is 1 (the others have 0)."""
  if start is None:
    k, r = len(problem.classes), problem.axes.shape[1]
    start = Weights(jnp.zeros((k, r)), jnp.zeros(k))
  return logistic_regression.solve(
      problem.features, problem.targets, chosen, l2, start, problem.axes, tolerance
  )

"""A classifier with one hidden layer on fixed features, after Deep InfoMax, chosen honestly.

Hidden units, batch norm, ReLU, dropout, then the classes, trained by Adam (arXiv 1808.06670).
There, rate and dropout were chosen on the test set and the mean over the last 100 epochs on it is
reported. Here rate, dropout and the number of epochs are chosen on a share of the training images,
and the accuracy after the last epoch counts.
"""

from collections.abc import Iterator
import functools
import itertools
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from bigan_jax.evaluation import linear_probe
from bigan_jax.evaluation.linear_probe import Problem
from bigan_jax.training import console

MOMENTUM = 0.9  # of the running statistics of batch norm
ADAM = optax.scale_by_adam()


class Network(nn.Module):
  """Features [B, f], standardised -> scores [B, classes]."""

  hidden: int
  classes: int
  dropout: float

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    h = nn.Dense(self.hidden, use_bias=False)(x)
    h = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM)(h))
    return nn.Dense(self.classes)(nn.Dropout(self.dropout, deterministic=not train)(h))


class State(NamedTuple):
  """What training changes. key: of dropout."""

  params: chex.ArrayTree
  batch_stats: chex.ArrayTree
  adam: optax.OptState
  key: chex.PRNGKey


class Data(NamedTuple):
  """Features [N, f] on the device, their moments [f], and targets [N] int32."""

  features: jax.Array
  mean: jax.Array
  scale: jax.Array
  targets: jax.Array

  def at(self, indices: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Standardised features and targets of some images."""
    x = self.features[indices].astype(jnp.float32)
    return (x - self.mean) / self.scale, self.targets[indices]


class Probe(NamedTuple):
  """A trained classifier and how it was chosen.

  Attributes:
    problem: moments and classes of the training features.
    network, state: as after the last epoch.
    rate, dropout, epochs: that did best on held-out training images.
    validation: {"rate, dropout": accuracy in percent of those, at its best epoch}.
  """

  problem: Problem
  network: Network
  state: State
  rate: float
  dropout: float
  epochs: int
  validation: dict[str, float]

  def predict(self, features: np.ndarray) -> np.ndarray:
    """Labels [M] of features [M, f]."""
    data = _data(self.problem, features, jnp.zeros(len(features), jnp.int32))
    guesses = [
        np.asarray(_guess(self.network, self.state, data, block))
        for block in np.array_split(np.arange(len(features)), -(-len(features) // 1_000))
    ]
    return self.problem.classes[np.concatenate(guesses)]


def choose(
    problem: Problem, features: np.ndarray, settings: ml_collections.ConfigDict, share: float,
    seed: int,
) -> Probe:
  """The classifier with the rate, dropout and epochs that do best on held-out training images.

  Each pair is trained on the rest; the earliest of equally good ones is then trained on all.

  Args:
    problem: of the features [N, f]; it need not hold them.
    settings: config.mlp.
    share: of each class that is held out, drawn by `seed`, as are weights and batches.

  Raises:
    ValueError: there is only one class, or too few images to hold any out.
  """
  if len(problem.classes) < 2:
    raise ValueError(f"All images have label {problem.classes[0]}: a probe needs two classes.")
  held_out = linear_probe.hold_out(np.asarray(problem.targets), share, seed)
  rest, held = np.flatnonzero(held_out == 0), np.flatnonzero(held_out)
  data = _data(problem, features, problem.targets)
  pairs, curves = list(itertools.product(settings.rates, settings.dropouts)), {}
  for rate, dropout in console.over(pairs, len(pairs), "probe, rates and dropouts"):
    network = Network(settings.hidden, len(problem.classes), dropout)
    curve = curves[rate, dropout] = []
    for state in train(network, data, rest, settings, rate, settings.epochs, seed):
      curve.append(_accuracy(network, state, data, held))
      if len(curve) - np.argmax(curve) > settings.patience:
        break
  rate, dropout = max(curves, key=lambda pair: max(curves[pair]))
  epochs = int(np.argmax(curves[rate, dropout])) + 1
  network = Network(settings.hidden, len(problem.classes), dropout)
  everything = np.arange(len(features))
  *_, state = train(network, data, everything, settings, rate, epochs, seed)
  found = {f"{r:g}, {d:g}": max(curve) for (r, d), curve in curves.items()}
  return Probe(problem._replace(features=None), network, state, rate, dropout, epochs, found)


def train(
    network: Network, data: Data, images: np.ndarray, settings: ml_collections.ConfigDict,
    rate: float, epochs: int, seed: int,
) -> Iterator[State]:
  """The state after each epoch of training on some images; what does not fill a batch is left out.
  """
  key, dropout = jax.random.split(jax.random.PRNGKey(seed))
  variables = network.init(key, data.at(jnp.zeros(1, jnp.int32))[0], train=False)
  params = variables["params"]
  state = State(params, variables["batch_stats"], ADAM.init(params), dropout)
  random, size = np.random.RandomState(seed), min(settings.batch_size, len(images))
  for epoch in console.over(range(epochs), epochs, "probe, epochs"):
    order = random.permutation(images)[:len(images) // size * size].reshape(-1, size)
    falls = sum(epoch >= drop for drop in settings.drops)
    state = _epoch(network, state, data, order, rate * settings.drop**falls)
    yield state


def _data(problem: Problem, features: np.ndarray, targets: jax.Array) -> Data:
  return Data(jnp.asarray(features), problem.mean, problem.scale, targets)


@functools.partial(jax.jit, static_argnames="network")
def _epoch(network: Network, state: State, data: Data, order: jax.Array, rate: float) -> State:
  """One update for each row of order [steps, B]."""
  def step(state: State, indices: jax.Array) -> tuple[State, None]:
    x, targets = data.at(indices)
    key, dropout = jax.random.split(state.key)
    def loss(params: chex.ArrayTree) -> tuple[jax.Array, chex.ArrayTree]:
      variables = {"params": params, "batch_stats": state.batch_stats}
      scores, changed = network.apply(
          variables, x, train=True, rngs={"dropout": dropout}, mutable=["batch_stats"]
      )
      losses = optax.softmax_cross_entropy_with_integer_labels(scores, targets)
      return jnp.mean(losses), changed["batch_stats"]
    grads, batch_stats = jax.grad(loss, has_aux=True)(state.params)
    updates, adam = ADAM.update(grads, state.adam)
    params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
    return State(params, batch_stats, adam, key), None
  with jax.default_matmul_precision("float32"):
    return jax.lax.scan(step, state, order)[0]


@functools.partial(jax.jit, static_argnames="network")
def _guess(network: Network, state: State, data: Data, indices: jax.Array) -> jax.Array:
  variables = {"params": state.params, "batch_stats": state.batch_stats}
  with jax.default_matmul_precision("float32"):
    return jnp.argmax(network.apply(variables, data.at(indices)[0], train=False), axis=1)


def _accuracy(network: Network, state: State, data: Data, images: np.ndarray) -> float:
  """In percent of some images."""
  blocks = np.array_split(images, -(-len(images) // 1_000))
  right = sum(
      int(np.sum(np.asarray(_guess(network, state, data, b)) == np.asarray(data.targets)[b]))
      for b in blocks
  )
  return 100 * right / len(images)

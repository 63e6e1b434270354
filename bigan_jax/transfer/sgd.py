"""Stochastic gradient descent with momentum, as Caffe's AlexNet is trained."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import ml_collections
import optax


class Steps(NamedTuple):
  """A learning rate that falls by the factor `drop` every so many epochs.

  Attributes:
    rate: at first.
    drop: factor.
    drop_every: epochs; 0: never.
    steps_per_epoch: how many.
  """

  rate: float
  drop: float
  drop_every: int
  steps_per_epoch: int

  def __call__(self, step: chex.Numeric) -> jax.Array:
    """The learning rate at `step` (from 0)."""
    drops = step // (self.drop_every * self.steps_per_epoch) if self.drop_every else 0
    return self.rate * jnp.power(self.drop, jnp.asarray(drops, jnp.float32))


class Sgd(NamedTuple):
  """v' = momentum v + rate (gradient + decay w), w' = w - v'.

  Attributes:
    momentum: share of the last step in this one.
    weight_decay: of weights.
    bias_rate: factor of the learning rate of biases, 2 in Caffe's AlexNet.
    clip: gradients longer than this, all together, are shortened to it; 0: none are.
    decay_biases: whether weight_decay is of biases, too.
    rates: (layer, factor of its learning rate) of layers whose factor is not 1.
  """

  momentum: float = 0.9
  weight_decay: float = 5e-4
  bias_rate: float = 2.0
  clip: float = 0.0
  decay_biases: bool = False
  rates: tuple[tuple[str, float], ...] = ()

  def init(self, params: chex.ArrayTree) -> chex.ArrayTree:
    """Momentum of zero."""
    return jax.tree.map(jnp.zeros_like, params)

  def update(
      self, grads: chex.ArrayTree, momentum: chex.ArrayTree, params: chex.ArrayTree,
      rate: chex.Numeric,
  ) -> tuple[chex.ArrayTree, chex.ArrayTree]:
    """New (params, momentum) after one step; params {layer: {"kernel", "bias"}}."""
    shorten, factors = 1.0, dict(self.rates)
    if self.clip:
      shorten = jnp.minimum(1, self.clip / jnp.maximum(optax.tree.norm(grads), self.clip))
    def velocity(path: tuple, g: jax.Array, v: jax.Array, w: jax.Array) -> jax.Array:
      bias = path[-1].key == "bias"
      decay = self.weight_decay if self.decay_biases or not bias else 0.0
      factor = factors.get(path[0].key, 1) * (self.bias_rate if bias else 1)
      return self.momentum * v + rate * factor * (shorten * g + decay * w)
    momentum = jax.tree_util.tree_map_with_path(velocity, grads, momentum, params)
    return jax.tree.map(jnp.subtract, params, momentum), momentum


def schedule(optim: ml_collections.ConfigDict, steps_per_epoch: int) -> Steps:
  """The schedule of a config's `optim` section."""
  return Steps(optim.rate, optim.drop, optim.drop_every, steps_per_epoch)


def optimiser(optim: ml_collections.ConfigDict) -> Sgd:
  """The optimiser of a config's `optim` section."""
  rates = tuple((name, rate) for name, rate in optim.get("rates", {}).items() if rate != 1)
  return Sgd(
      optim.momentum, optim.weight_decay, optim.bias_rate, optim.clip,
      optim.get("decay_biases", False), rates,
  )

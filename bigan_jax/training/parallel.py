"""Maps the training and calibration steps over devices: the only call of jax.pmap."""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import chex
import flax.jax_utils
import jax
import jax.numpy as jnp

from bigan_jax.data import preprocess
from bigan_jax.data.batch import Batch
from bigan_jax.models.layers import AXIS
from bigan_jax.training import feeds
from bigan_jax.training.calibration import Calibration, calibration_step
from bigan_jax.training.state import TrainState
from bigan_jax.training.train_step import Metrics, Setup, train_step

unreplicate = flax.jax_utils.unreplicate


# (state with a field `step`, batch, its labels, key) -> (state one step on, metrics), on a device.
Step = Callable[[Any, Batch, jax.Array, chex.PRNGKey], tuple[Any, Metrics]]
# (replicated state, step, n) -> (replicated state, metrics of each of the n steps from `step` on).
Train = Callable[[Any, int, int], tuple[Any, Metrics]]


class Programs(NamedTuple):
  """The compiled programs of a run; `step` and `first` say where in the order of images to begin.

  train: (replicated state, step, n) -> (replicated state, metrics of each of n steps). The state
    that goes in stays as it was: after NaN the same steps are watched from there.
  watch: the same, with the norm of every gradient among the metrics.
  calibrate: (replicated params, replicated carry, rate, first, n) -> (carry, mean metrics).
  close: ends what reads pictures in the background; the programs may be called again.
  """

  train: Train
  watch: Train
  calibrate: Callable[[Any, Calibration, chex.Numeric, int, int], tuple[Calibration, Metrics]]
  close: Callable[[], None]


def replicate(tree: Any) -> Any:
  """A copy of every array for each device of this process, [devices, ...].

  Through the host: on a device, a program would be compiled for each shape. And under the axis name
  of pmap's own outputs: under another one, every program that trains would be compiled twice.
  """
  return flax.jax_utils.replicate(jax.device_get(tree), axis_name=AXIS)


def programs(setup: Setup, feed: feeds.Feed, key: chex.PRNGKey) -> Programs:
  """Builds the programs of a run; `setup` must name the device axis."""
  train_key, calibration_key = jax.random.split(key)
  def program(setup: Setup) -> Train:
    def step(
        state: TrainState, batch: Batch, labels: jax.Array, key: chex.PRNGKey
    ) -> tuple[TrainState, Metrics]:
      del labels
      return train_step(setup, state, batch, key)
    return supervised(step, feed, train_key, donate=False)
  train, watch = program(setup), program(setup._replace(norms=True))
  keys = feeds.Keys(*jax.random.split(calibration_key, 3))
  chunk = jax.pmap(
      functools.partial(_calibration_chunk, setup, feed, keys), AXIS,
      in_axes=(0, 0, 0, None, None, None), static_broadcasted_argnums=6, donate_argnums=1,
  )
  def calibrate(
      params: Any, carry: Calibration, rate: chex.Numeric, first: int, n: int
  ) -> tuple[Calibration, Metrics]:
    held, numbers = feed.send(keys, first, n)
    carry, metrics = chunk(params, carry, held, numbers, rate, first, n)
    return carry, unreplicate(jax.device_get(metrics))
  return Programs(train, watch, calibrate, feed.close)


def supervised(step: Step, feed: feeds.Feed, key: chex.PRNGKey, donate: bool = True) -> Train:
  """The program that trains by any step; `step` must average over the device axis itself.

  Args:
    donate: the state that goes in is used up, and its memory used again.
  """
  keys = feeds.Keys(*jax.random.split(key, 3))
  chunk = jax.pmap(
      functools.partial(_train_chunk, step, feed, keys), AXIS,
      in_axes=(0, 0, None), donate_argnums=0 if donate else (),
  )
  def train(state: Any, first: int, n: int) -> tuple[Any, Metrics]:
    state, metrics = chunk(state, *feed.send(keys, first, n))
    feed.ahead(keys, first + n, n)
    return state, unreplicate(jax.device_get(metrics))
  return train


def _train_chunk(
    step: Step, feed: feeds.Feed, keys: feeds.Keys, state: Any, held: Any, numbers: Any
) -> tuple[Any, Metrics]:
  """Training steps on one device, as many as were sent."""
  def body(state: Any, chosen: Any) -> tuple[Any, Metrics]:
    return step(state, *_take(feed, keys, held, chosen, state.step), keys.steps)
  return jax.lax.scan(body, state, feed.choose(held, numbers))


def _calibration_chunk(
    setup: Setup, feed: feeds.Feed, keys: feeds.Keys, params: Any, carry: Calibration, held: Any,
    numbers: Any, rate: chex.Numeric, first: chex.Numeric, n: int,
) -> tuple[Calibration, Metrics]:
  """n calibration steps on one device, number `first` and on."""
  def body(carry: Calibration, inputs: tuple[Any, jax.Array]) -> tuple[Calibration, Metrics]:
    chosen, i = inputs
    batch, labels = _take(feed, keys, held, chosen, i)
    i_key = jax.random.fold_in(keys.steps, i)
    return calibration_step(setup, params, rate, carry, batch, labels, i_key)
  steps = (feed.choose(held, numbers), first + jnp.arange(n))
  carry, metrics = jax.lax.scan(body, carry, steps)
  return carry, jax.tree.map(lambda m: jnp.mean(m, axis=0), metrics)


def _take(
    feed: feeds.Feed, keys: feeds.Keys, held: Any, chosen: Any, step: chex.Numeric
) -> tuple[Batch, jax.Array]:
  """A device's batch of a step and its labels; the crops do not depend on how many devices are."""
  draws = preprocess.draw(keys.crops, step, feed.batch_size)
  images, labels = feed.pick(held, chosen, draws)
  return feed.view(images, feeds.share(draws)), labels

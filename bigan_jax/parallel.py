"""Maps the training and calibration steps over devices: the only call of jax.pmap."""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import chex
import flax.jax_utils
import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.data import order
from bigan_jax.models.layers import AXIS
from bigan_jax.objectives import Batch
from bigan_jax.state import TrainState
from bigan_jax.train_step import (
    Calibration, Metrics, Setup, calibration_step, train_step,
)

replicate = flax.jax_utils.replicate
unreplicate = flax.jax_utils.unreplicate


class Feed(NamedTuple):
  """The training set in device memory, and how batches are made of it.

  Attributes:
    arrays: {"images": uint8 [N, H, W, C], "labels": int32 [N]}, replicated on every device.
    size: N.
    batch_size: of all devices together.
    assemble: (images uint8 [b, H, W, C], key) -> Batch in the native range.
  """

  arrays: dict[str, jax.Array]
  size: int
  batch_size: int
  assemble: Callable[[jax.Array, chex.PRNGKey], Batch]


def place(images: np.ndarray, labels: np.ndarray, batch_size: int,
          assemble: Callable[[jax.Array, chex.PRNGKey], Batch]) -> Feed:
  """Puts a training set on the devices."""
  arrays = {"images": jnp.asarray(images), "labels": jnp.asarray(labels)}
  return Feed(replicate(arrays), len(labels), batch_size, assemble)


class Programs(NamedTuple):
  """The compiled programs of a run; `step` and `first` say where in the order of images to begin.

  train: (replicated state, step, n) -> (replicated state, metrics of each of n steps).
  calibrate: (replicated params, replicated carry, rate, first, n) -> (carry, mean metrics).
  """

  train: Callable[[TrainState, int, int], tuple[TrainState, Metrics]]
  calibrate: Callable[[Any, Calibration, chex.Numeric, int, int], tuple[Calibration, Metrics]]


def programs(setup: Setup, feed: Feed, key: chex.PRNGKey) -> Programs:
  """Builds the programs of a run; `setup` must name the device axis."""
  train_key, calibration_key = jax.random.split(key)
  train_chunk = jax.pmap(
      functools.partial(_train_chunk, setup, feed, train_key), AXIS,
      in_axes=(0, 0, None, None), static_broadcasted_argnums=4, donate_argnums=0,
  )
  calibration_chunk = jax.pmap(
      functools.partial(_calibration_chunk, setup, feed, calibration_key), AXIS,
      in_axes=(0, 0, 0, None, None, None, None), static_broadcasted_argnums=7, donate_argnums=1,
  )
  def train(state: TrainState, step: int, n: int) -> tuple[TrainState, Metrics]:
    position = order.start_of(step, feed.batch_size, feed.size)
    state, metrics = train_chunk(state, feed.arrays, *position, n)
    return state, jax.device_get(unreplicate(metrics))
  def calibrate(
      params: Any, carry: Calibration, rate: chex.Numeric, first: int, n: int
  ) -> tuple[Calibration, Metrics]:
    position = order.start_of(first, feed.batch_size, feed.size)
    carry, metrics = calibration_chunk(params, carry, feed.arrays, rate, first, *position, n)
    return carry, jax.device_get(unreplicate(metrics))
  return Programs(train, calibrate)


def _train_chunk(
    setup: Setup, feed: Feed, key: chex.PRNGKey, state: TrainState, arrays: dict[str, jax.Array],
    first_pass: chex.Numeric, offset: chex.Numeric, n: int,
) -> tuple[TrainState, Metrics]:
  """n training steps on one device."""
  order_key, crop_key, step_key = jax.random.split(key, 3)
  def body(state: TrainState, indices: jax.Array) -> tuple[TrainState, Metrics]:
    batch, _ = _take(feed, arrays, indices, jax.random.fold_in(crop_key, state.step))
    return train_step(setup, state, batch, step_key)
  return jax.lax.scan(body, state, _indices(feed, order_key, first_pass, offset, n))


def _calibration_chunk(
    setup: Setup, feed: Feed, key: chex.PRNGKey, params: Any, carry: Calibration,
    arrays: dict[str, jax.Array], rate: chex.Numeric, first: chex.Numeric,
    first_pass: chex.Numeric, offset: chex.Numeric, n: int,
) -> tuple[Calibration, Metrics]:
  """n calibration steps on one device, number `first` and on."""
  order_key, crop_key, step_key = jax.random.split(key, 3)
  def body(
      carry: Calibration, inputs: tuple[jax.Array, jax.Array]
  ) -> tuple[Calibration, Metrics]:
    indices, i = inputs
    batch, labels = _take(feed, arrays, indices, jax.random.fold_in(crop_key, i))
    i_key = jax.random.fold_in(step_key, i)
    return calibration_step(setup, params, rate, carry, batch, labels, i_key)
  indices = _indices(feed, order_key, first_pass, offset, n)
  carry, metrics = jax.lax.scan(body, carry, (indices, first + jnp.arange(n)))
  return carry, jax.tree.map(lambda m: jnp.mean(m, axis=0), metrics)


def _indices(
    feed: Feed, key: chex.PRNGKey, first_pass: chex.Numeric, offset: chex.Numeric, n: int
) -> jax.Array:
  """This device's image numbers [n, b] for n steps."""
  indices = order.window(key, first_pass, offset, n * feed.batch_size, feed.size)
  share = feed.batch_size // jax.lax.axis_size(AXIS)
  first = jax.lax.axis_index(AXIS) * share
  return jax.lax.dynamic_slice_in_dim(indices.reshape(n, feed.batch_size), first, share, axis=1)


def _take(
    feed: Feed, arrays: dict[str, jax.Array], indices: jax.Array, key: chex.PRNGKey
) -> tuple[Batch, jax.Array]:
  """The batch and the labels of `indices` [b]."""
  return feed.assemble(arrays["images"][indices], key), arrays["labels"][indices]

"""Maps the training and calibration steps over devices: the only call of jax.pmap."""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import chex
import flax.jax_utils
import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.data import order, preprocess
from bigan_jax.models.layers import AXIS
from bigan_jax.objectives import Batch
from bigan_jax.state import TrainState
from bigan_jax.train_step import (
    Calibration, Metrics, Setup, calibration_step, train_step,
)

# Under the axis name of pmap's own outputs: under another one, every program is compiled twice.
replicate = functools.partial(flax.jax_utils.replicate, axis_name=AXIS)
unreplicate = flax.jax_utils.unreplicate


Assemble = Callable[[Any, jax.Array, jax.Array], Batch]


class Feed(NamedTuple):
  """The training set in device memory, and how batches are made of it.

  Attributes:
    arrays: the images in whatever form `assemble` reads, replicated on every device.
    labels: [devices, N] int32.
    size: N.
    batch_size: of all devices together.
    assemble: (arrays of a device, indices [b], draws [b, DRAWS] from U[0, 1)) -> Batch.
  """

  arrays: Any
  labels: jax.Array
  size: int
  batch_size: int
  assemble: Assemble


def place(images: Any, labels: np.ndarray, batch_size: int, assemble: Assemble) -> Feed:
  """Puts a training set on the devices."""
  placed = replicate(jax.tree.map(jnp.asarray, (images, labels)))
  return Feed(*placed, len(labels), batch_size, assemble)


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
      in_axes=(0, 0, 0, 0, None, None, None, None), static_broadcasted_argnums=8, donate_argnums=1,
  )
  def train(state: TrainState, step: int, n: int) -> tuple[TrainState, Metrics]:
    position = order.start_of(step, feed.batch_size, feed.size)
    state, metrics = train_chunk(state, feed.arrays, *position, n)
    return state, jax.device_get(unreplicate(metrics))
  def calibrate(
      params: Any, carry: Calibration, rate: chex.Numeric, first: int, n: int
  ) -> tuple[Calibration, Metrics]:
    position = order.start_of(first, feed.batch_size, feed.size)
    carry, metrics = calibration_chunk(
        params, carry, feed.arrays, feed.labels, rate, first, *position, n
    )
    return carry, jax.device_get(unreplicate(metrics))
  return Programs(train, calibrate)


def _train_chunk(
    setup: Setup, feed: Feed, key: chex.PRNGKey, state: TrainState, arrays: Any,
    first_pass: chex.Numeric, offset: chex.Numeric, n: int,
) -> tuple[TrainState, Metrics]:
  """n training steps on one device."""
  order_key, crop_key, step_key = jax.random.split(key, 3)
  def body(state: TrainState, indices: jax.Array) -> tuple[TrainState, Metrics]:
    batch = _take(feed, arrays, indices, jax.random.fold_in(crop_key, state.step))
    return train_step(setup, state, batch, step_key)
  return jax.lax.scan(body, state, _indices(feed, order_key, first_pass, offset, n))


def _calibration_chunk(
    setup: Setup, feed: Feed, key: chex.PRNGKey, params: Any, carry: Calibration,
    arrays: Any, labels: jax.Array, rate: chex.Numeric, first: chex.Numeric,
    first_pass: chex.Numeric, offset: chex.Numeric, n: int,
) -> tuple[Calibration, Metrics]:
  """n calibration steps on one device, number `first` and on."""
  order_key, crop_key, step_key = jax.random.split(key, 3)
  def body(
      carry: Calibration, inputs: tuple[jax.Array, jax.Array]
  ) -> tuple[Calibration, Metrics]:
    indices, i = inputs
    batch = _take(feed, arrays, indices, jax.random.fold_in(crop_key, i))
    i_key = jax.random.fold_in(step_key, i)
    return calibration_step(setup, params, rate, carry, batch, labels[indices], i_key)
  indices = _indices(feed, order_key, first_pass, offset, n)
  carry, metrics = jax.lax.scan(body, carry, (indices, first + jnp.arange(n)))
  return carry, jax.tree.map(lambda m: jnp.mean(m, axis=0), metrics)


def _indices(
    feed: Feed, key: chex.PRNGKey, first_pass: chex.Numeric, offset: chex.Numeric, n: int
) -> jax.Array:
  """This device's image numbers [n, b] for n steps."""
  indices = order.window(key, first_pass, offset, n * feed.batch_size, feed.size)
  return _share(indices.reshape(n, feed.batch_size), axis=1)


def _take(feed: Feed, arrays: Any, indices: jax.Array, key: chex.PRNGKey) -> Batch:
  """The batch of `indices` [b]; its random crops do not depend on the number of devices."""
  draws = jax.random.uniform(key, (feed.batch_size, preprocess.DRAWS))
  return feed.assemble(arrays, indices, _share(draws, axis=0))


def _share(rows: jax.Array, axis: int) -> jax.Array:
  """This device's part of what belongs to a whole batch."""
  count = rows.shape[axis] // jax.lax.axis_size(AXIS)
  return jax.lax.dynamic_slice_in_dim(rows, jax.lax.axis_index(AXIS) * count, count, axis)

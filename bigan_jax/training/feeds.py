"""How the pictures of each step reach its devices: out of their memory, or streamed from disk."""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.data import batches, order
from bigan_jax.data.batch import Batch
from bigan_jax.data.splits import Split, Stored
from bigan_jax.data.stream import Make, Stream, batch, on_host
from bigan_jax.machine import processes
from bigan_jax.models.layers import AXIS

View = Callable[[Any, jax.Array], Batch]


class Keys(NamedTuple):
  """The randomness of a sequence of steps: order of pictures, their crops, and the rest."""

  order: jax.Array
  crops: jax.Array
  steps: jax.Array


class Resident(NamedTuple):
  """A training set in device memory; each device holds as many pictures as any other.

  Attributes:
    held: pictures in a form of batches.shares and the index of the first one, of each device of
      this process, and the labels [devices, N] of all.
    size: N.
    batch_size: of all devices together.
    assembler: makes batches.
  """

  held: tuple[Any, jax.Array, jax.Array]
  size: int
  batch_size: int
  assembler: batches.Assembler

  def send(self, keys: Keys, step: int, n: int) -> tuple[Any, np.ndarray]:
    """What the program of n steps is given: arrays [devices, ...], and indices [n, B]."""
    return self.held, self._indices(keys, step, n)

  def ahead(self, keys: Keys, step: int, n: int) -> None:
    """Makes what the next `send` would, while the devices compute."""
    self._indices(keys, step, n)

  def _indices(self, keys: Keys, step: int, n: int) -> np.ndarray:
    with on_host():
      key = order.key_to_host(keys.order)
      return order.window(key, step, self.batch_size, self.size, n).reshape(n, self.batch_size)

  def choose(self, held: Any, numbers: jax.Array) -> jax.Array:
    """On a device: what `pick` needs for each of n steps; here the indices of all devices."""
    del held
    return numbers

  def pick(
      self, held: Any, indices: jax.Array, draws: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """On a device: its images uint8 [b, H, W, C] of a step, and their labels [b].

    Args:
      draws: for the crops of all devices, [B, DRAWS].
    """
    pictures, first, labels = held
    devices, cut = jax.lax.axis_size(AXIS), self.assembler.cut
    if devices == 1:
      return cut(pictures, indices, draws), labels[indices]
    # Every device cuts what it owns of the batch and leaves the rest at 0; the sum has it all, and
    # each device keeps its part. So a batch is the same on any number of devices.
    own = indices - first
    owns = (own >= 0) & (own < -(-self.size // devices))
    images = cut(pictures, jnp.where(owns, own, 0), draws)
    images = jnp.where(owns[:, None, None, None], images, 0).astype(jnp.int32)
    images = jax.lax.psum_scatter(images, AXIS, tiled=True)  # of 8 bits, not everywhere
    return images.astype(jnp.uint8), share(labels[indices])

  def view(self, images: jax.Array, draws: jax.Array) -> Batch:
    """On a device: what the networks see of them."""
    return self.assembler.view(images, draws)

  def close(self) -> None:
    """Nothing runs in the background."""


class Streamed(NamedTuple):
  """A training set that is decoded on the way; methods are those of Resident."""

  stream: Stream
  batch_size: int
  view: View

  def send(self, keys: Keys, step: int, n: int) -> tuple[Any, tuple[int, ...]]:
    """The finished crops, [devices, b, H, W, C], and labels of each step, and its number."""
    held = tuple(self.stream.take((keys.order, keys.crops), step, n))
    return held, (step,)  # never (): pmap then takes the in_axes of two arrays for two arguments'

  def ahead(self, keys: Keys, step: int, n: int) -> None:
    """The stream reads ahead by itself."""

  def choose(self, held: Any, numbers: tuple[int, ...]) -> Any:
    """The crops and labels of n steps, stacked."""
    del numbers
    return jax.tree.map(lambda *steps: jnp.stack(steps), *held)

  def pick(
      self, held: Any, chosen: tuple[jax.Array, jax.Array], draws: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """The crops and labels of one step."""
    del held, draws
    return chosen

  def close(self) -> None:
    """Ends what reads ahead."""
    self.stream.close()


Feed = Resident | Streamed


def place(
    split: Split | Stored, batch_size: int, assembler: batches.Assembler, workers: int = 0,
    ahead: int = 1,
) -> Feed:
  """Puts a training set on the devices, or gets ready to stream one that was left on disk.

  Args:
    batch_size: of all devices together.
    workers: processes that decode a streamed set; 0: threads.
    ahead: how many of its batches wait in device memory.
  """
  if isinstance(split, Stored) and not split.resident:
    part = batch_size // processes.count()
    rows = slice(jax.process_index() * part, (jax.process_index() + 1) * part)
    make = functools.partial(batch, split, assembler.side, batch_size, rows)
    return streamed(make, batch_size, assembler.view, workers, ahead)
  share, devices = -(-split.size // jax.device_count()), jax.local_device_count()
  first = jax.process_index() * devices * share  # pmap counts the devices process by process
  own = _own(split, first, devices * share)
  shares = batches.shares(own, devices, share)
  held = [
      (pictures, np.array(first + k * share, np.int32), own.labels)
      for k, pictures in enumerate(shares)
  ]
  return Resident(_spread(held, _sharding()), split.size, batch_size, assembler)


def _own(split: Split | Stored, first: int, count: int) -> Split:
  """The pictures that this process holds, `count` from `first` on, with the labels of all."""
  if processes.count() == 1:
    return split
  own = split.take(np.arange(first, min(first + count, split.size)))
  with processes.together():
    own = own.read() if isinstance(own, Stored) else own
  labels = processes.joined_rows(_filled(own.labels, (count,)))
  return own._replace(labels=labels[:split.size])


def streamed(make: Make, batch_size: int, view: View, workers: int = 0, ahead: int = 1) -> Streamed:
  """Gets ready to have batches made on the host; arguments are those of `place` and of Stream.

  Args:
    view: (images, draws) -> Batch, of trees as `make` returns them.
  """
  return Streamed(Stream(make, workers, ahead, _sharding()), batch_size, view)


def _sharding() -> jax.NamedSharding:
  """Of arrays [devices, ...], as of pmap's own outputs."""
  mesh = jax.sharding.Mesh(np.array(jax.local_devices()), (AXIS,))
  return jax.NamedSharding(mesh, jax.P(AXIS))


def share(rows: jax.Array) -> jax.Array:
  """On a device: its part of what belongs to a whole batch."""
  count = rows.shape[0] // jax.lax.axis_size(AXIS)
  return jax.lax.dynamic_slice_in_dim(rows, jax.lax.axis_index(AXIS) * count, count)


def _spread(parts: list[Any], sharding: jax.NamedSharding) -> Any:
  """A tree of arrays for each device -> one of [devices, ...], filled up with 0 to equal shapes."""
  def gather(*arrays: np.ndarray) -> jax.Array:
    shapes = processes.everyones(max(array.shape for array in arrays))
    most = max(map(tuple, shapes))  # they differ in their first axis at most
    def part(index: tuple[slice, ...]) -> np.ndarray:
      return _filled(arrays[index[0].start or 0], most)[None]
    shape = (len(arrays), *most)
    return jax.make_array_from_callback(shape, sharding, part)
  return jax.tree.map(gather, *parts)


def _filled(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  """The array itself where it has the shape: no copy of a whole set."""
  if array.shape == shape:
    return array
  rest = np.zeros((shape[0] - len(array), *shape[1:]), array.dtype)
  return np.concatenate([array, rest])

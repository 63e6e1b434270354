"""Batches of pictures that do not fit in memory: decoded ahead of time by Grain, in order."""

from collections.abc import Callable, Iterator
import contextlib
import functools
import multiprocessing
import multiprocessing.util
import os
import signal
import threading
from typing import Any

from absl import flags, logging
import chex
import jax
import numpy as np

from bigan_jax.data import order, preprocess
from bigan_jax.data.splits import Stored

# ((key of the order, key of the crops), step) -> (images, labels), trees of arrays [B, ...].
Make = Callable[[tuple[order.HostKey, order.HostKey], int], Any]
STEPS = 2**31  # more than any training has
THREADS = 4  # of each worker process, so that reading hides behind decoding
_one_at_a_time = threading.Lock()


def batch(
    stored: Stored, side: int, batch_size: int, rows: slice,
    keys: tuple[order.HostKey, order.HostKey], step: int,
) -> tuple[np.ndarray, np.ndarray]:
  """What the networks see of a step: images uint8 [B, H, W, C] and labels int32 [B].

  Args:
    side: of the crops, where pictures differ in size.
    batch_size: of all processes. rows: those of the batch that this one makes, B.
    keys: of the order of pictures and of their crops.
  """
  order_key, crop_key = keys
  with on_host():
    indices = order.window(order_key, step, batch_size, stored.size)
    draws = np.asarray(preprocess.draw(order.host_to_key(crop_key), step, batch_size))
  pictures, labels = stored.decode(indices[rows])
  if stored.shape:
    return np.stack(pictures), labels
  return preprocess.random_crop_of(pictures, draws[rows], side), labels


@contextlib.contextmanager
def on_host() -> Iterator[None]:
  """Within: JAX computes on the CPU, for one thread at a time."""
  with _one_at_a_time, jax.default_device(_host()):
    yield


def _host() -> jax.Device:
  """The CPU, which does not make these numbers wait for the training step."""
  try:
    return jax.local_devices(backend="cpu")[0]
  except RuntimeError:  # JAX_PLATFORMS names an accelerator alone.
    return jax.local_devices()[0]


class Stream:
  """Hands out the batches of any sequence of steps, and has those that follow made meanwhile.

  Pictures are decoded by Grain's worker processes, or by threads, in one sequence at a time: the
  training's or a calibration's. Whatever starts a sequence elsewhere than where the last one was
  left ends that one.
  """

  def __init__(
      self, make: Make, workers: int, ahead: int, sharding: jax.sharding.Sharding
  ) -> None:
    """Starts nothing yet.

    Args:
      make: such as `batch` with its first arguments bound; called in several threads at once.
      workers: processes that decode; 0: threads of this one.
      ahead: batches that wait in device memory.
      sharding: of the device axis, with which arrays go out as [devices, B / devices, ...].
    """
    self._make = make
    self._workers, self._ahead, self._sharding = workers, ahead, sharding
    self._iterator, self._position = None, None

  def take(self, keys: tuple[chex.PRNGKey, chex.PRNGKey], first: int, n: int) -> list[Any]:
    """What `make` made of steps `first` and on, on the devices.

    Args:
      keys: of the order of pictures and of their crops.

    Raises:
      ValueError: a picture that cannot be read. OSError: a worker has died.
    """
    plain = tuple(map(order.key_to_host, keys))
    if self._position != (plain, first):
      self.close()
      self._iterator = iter(self._pipeline(plain, first))
    self._position = plain, first + n
    try:
      return [next(self._iterator) for _ in range(n)]
    except BaseException as error:
      self.close()
      sentence = str(error).partition("\n")[0]  # Grain adds lines of its own.
      if isinstance(error, ValueError):
        raise ValueError(sentence) from error
      if isinstance(error, RuntimeError):  # A worker has died.
        raise OSError(f"The stream of pictures broke off: {sentence}") from error
      raise

  def close(self) -> None:
    """Ends threads and processes; `take` starts them again."""
    if self._iterator is not None:
      self._iterator.close()
    self._iterator, self._position = None, None

  def _pipeline(self, keys: tuple[order.HostKey, order.HostKey], first: int) -> Any:
    """A Grain data set of the batches from step `first` on."""
    import grain  # Takes a second, which only streams need pay.

    if not flags.FLAGS.is_parsed():  # Grain asks flags, even where there is no command line.
      flags.FLAGS.mark_as_parsed()
    batches = grain.MapDataset.range(first, STEPS).map(functools.partial(self._make, keys))
    threads = THREADS if self._workers else os.cpu_count() or 1
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    dataset = batches.to_iter_dataset(options)
    if self._workers:
      dataset = dataset.mp_prefetch(
          grain.MultiprocessingOptions(num_workers=self._workers, per_worker_buffer_size=2),
          worker_init_fn=_start_worker,
      )
    placed = dataset.map(self._place)
    return grain.experimental.ThreadPrefetchIterDataset(placed, prefetch_buffer_size=self._ahead)

  def _place(self, rows: Any) -> Any:
    """[B, ...] -> [devices, B / devices, ...], a part on each device."""
    devices = self._sharding.num_devices
    # Copied, because what workers send lies in shared memory, which is to be free soon.
    cut = jax.tree.map(lambda a: np.array(a).reshape(devices, -1, *a.shape[1:]), rows)
    return jax.device_put(cut, self._sharding)


def _start_worker(index: int, count: int) -> None:
  """In a worker: leaves signals and accelerators to the parent, and ends when it ends."""
  del index, count
  logging.set_verbosity(logging.ERROR)  # TFDS warns of any configuration that arrives here.
  jax.config.update("jax_platforms", "cpu")
  for number in (signal.SIGINT, signal.SIGTERM):  # They come to the whole process group.
    signal.signal(number, signal.SIG_IGN)
  # After the last words to the parent, but before the pictures that threads are still decoding.
  multiprocessing.util.Finalize(None, os._exit, args=(0,), exitpriority=-100)
  threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
  multiprocessing.parent_process().join()
  os._exit(1)  # Grain's loop would wait for ever for someone to take its batches.

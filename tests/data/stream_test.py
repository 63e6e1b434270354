"""Tests of the processes behind a stream: what they hand out, and that they end in time."""

import contextlib
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from bigan_jax.data import batches, order, sources
from bigan_jax.data.splits import Stored
from bigan_jax.data.stream import Stream
from bigan_jax.training import feeds, loop
from configs import digits

ROOT = pathlib.Path(__file__).parents[2]
KEYS = tuple(jax.random.split(jax.random.PRNGKey(3)))
BATCH = 10


def open_stream(workers: int, **changes: object) -> Stream:
  """Of all 1,250 digits to train on; `changes` of what is believed of them."""
  stored = sources.load_experiment("digits", "validation", most_bytes=0)[0]
  assert isinstance(stored, Stored)
  assembler = batches.assembler(digits.get_config(""))
  return feeds.place(stored._replace(**changes), BATCH, assembler, workers, ahead=2).stream


def assert_in_order(stream: Stream, first: int, n: int) -> None:
  """That it hands out the pictures of steps `first` and on; step 125 begins the second pass."""
  split = sources.load_experiment("digits", "validation")[0]
  for i, (images, labels) in enumerate(stream.take(KEYS, first, n)):
    indices = order.window(order.key_to_host(KEYS[0]), first + i, BATCH, 1250)
    np.testing.assert_array_equal(images, split.images[indices][None])
    np.testing.assert_array_equal(labels, split.labels[indices][None])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_pictures_in_order(workers: int) -> None:
  """Of one worker below, which starts in a second."""
  with contextlib.closing(open_stream(workers)) as stream:
    for first, n in ((123, 3), (126, 1), (5, 1)):
      assert_in_order(stream, first, n)
  assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_record_is_named_and_ends_the_stream(workers: int) -> None:
  stream = open_stream(workers, shape=(9, 9, 1))
  with pytest.raises(ValueError, match=r"^The prepared digits at .* is damaged \(.*\): .* again.$"):
    stream.take(KEYS, 0, 1)
  assert not multiprocessing.active_children()


def test_a_worker_that_dies_is_reported() -> None:
  stream = open_stream(1)
  assert_in_order(stream, 123, 3)
  [worker] = multiprocessing.active_children()
  worker.kill()
  with pytest.raises(OSError, match="^The stream of pictures broke off: .*exit code -9"):
    stream.take(KEYS, 126, 20)
  assert not multiprocessing.active_children()


def read_until_interrupted(workers: int) -> None:
  """For a process of its own: says "reading", and goes on."""
  ends = contextlib.suppress(KeyboardInterrupt)  # as the program's, after it has closed all
  with ends, loop.interruption() as interrupted, contextlib.closing(open_stream(workers)) as stream:
    step = 0
    while not interrupted():
      stream.take(KEYS, step, 1)
      step += 1
      if step == 5:
        print("reading", flush=True)
      time.sleep(0.01)
  print("closed", flush=True)


def group(leader: int) -> list[int]:
  """The processes of a group that are not dead."""
  found = []
  for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
    with contextlib.suppress(OSError):  # It has ended since.
      state, _, of = path.read_text().rpartition(") ")[2].split()[:3]
      found += [int(path.parent.name)] * (int(of) == leader and state not in "ZX")
  return found


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks for processes in /proc")
@pytest.mark.parametrize("kind, workers", [
    (signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGKILL, 2),
])
def test_workers_end_with_the_program(kind: int, workers: int) -> None:
  """Each ends by itself, so that a second one tells nothing more of the first two kinds."""
  code = f"import {__name__} as test; test.read_until_interrupted({workers})"
  process = subprocess.Popen(
      [sys.executable, "-c", code], cwd=ROOT,
      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
  )
  assert process.stdout.readline() == "reading\n"
  assert len(group(process.pid)) >= 2 + workers  # with what Python tracks shared memory by
  if kind == signal.SIGKILL:  # The program alone; the others have to notice.
    process.kill()
  else:  # A terminal's Ctrl-C and a batch system's SIGTERM come to all.
    os.killpg(process.pid, kind)
  output, errors = process.communicate()
  deadline = time.time() + 20
  while group(process.pid) and time.time() < deadline:
    time.sleep(0.05)
  assert not group(process.pid)
  if kind != signal.SIGKILL:
    assert (process.returncode, output, errors) == (0, "closed\n", "")

"""Several processes that train as one, by jax.distributed; where there is one, all this is nothing.

Every process must call what speaks to the others equally often and in the same order.
"""

from collections.abc import Callable, Iterator
import concurrent.futures
import contextlib
import json
import os
import pathlib
import socket
import sys
import threading
from typing import Any, NamedTuple, NoReturn

import chex
import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
import numpy as np

from bigan_jax.machine import devices

OWN = ("config.data_dir", "config.data.path", "config.data.workers")  # machines may differ in these
LATER = 60  # seconds by which JAX, which aborts with a stack trace, gives up after us


class Meeting(NamedTuple):
  """How the processes of a run find and lose each other.

  Attributes:
    coordinator: HOST:PORT where process 0 listens; None: JAX finds it, `count` and `index`.
    count: of all processes.
    index: of this one, from 0.
    join_seconds: within which all have to come.
    lost_seconds: after which one that does not answer is taken for lost, and the others end.
  """

  coordinator: str | None
  count: int | None
  index: int | None
  join_seconds: int
  lost_seconds: int


def count() -> int:
  """How many processes there are."""
  return jax.process_count()


def first() -> bool:
  """Whether this is process 0, which writes all files and speaks for all."""
  return jax.process_index() == 0


@contextlib.contextmanager
def joined(meeting: Meeting | None, config: dict[str, Any]) -> Iterator[None]:
  """Within, this process is one of many that `meeting` tells of; None: it is alone.

  Only process 0 is heard on standard output. A process whose partner is lost ends with a sentence
  and exit code 1 or, where JAX notices first, aborted by it with a longer message.

  Args:
    config: nested plain values, equal on all processes apart from OWN; versions must be so too.

  Raises:
    ValueError: on every process: they were not started alike.
    OSError: the port is taken, or what JAX was to find is not there.
  """
  if meeting is None:
    yield
    return
  _join(meeting)
  versions = {"bigan_jax": sys.modules["bigan_jax"].__version__, "jax": jax.__version__}
  try:
    _agree({"config": config, "version of": versions})
    with open(os.devnull, "w") as nowhere:
      with contextlib.nullcontext() if first() else contextlib.redirect_stdout(nowhere):
        yield
  except KeyboardInterrupt as stop:
    if count() == 1 or stop.args:  # Agreed upon by all.
      raise
    _end("Interrupted at once.", getattr(stop, "status", 130))
  except jax.errors.JaxRuntimeError as error:
    if count() == 1 or "RESOURCE_EXHAUSTED" in str(error):
      raise
    reason = str(error).partition("\n")[0]
    _end(
        f"Process {jax.process_index()} lost another of the {count()} ({reason}); see what that one"
        " said, and start all again: they continue from the newest checkpoint."
    )


def strongest(own: Callable[[], int]) -> Callable[[], int]:
  """The largest of all processes' numbers; for good, once one is above 0 when all ask."""
  found = 0
  def asked() -> int:
    nonlocal found
    found = found or int(np.max(multihost_utils.process_allgather(np.int32(own()))))
    return found
  return asked


@contextlib.contextmanager
def together() -> Iterator[None]:
  """Within, each process works for itself; what one met there, ValueError or OSError, ends all.

  Nothing within may speak to the others.
  """
  error = None
  try:
    yield
  except (ValueError, OSError) as met:
    error = met
  sentences = everyones(None if error is None else str(error))
  if error is not None:
    raise error
  for index, sentence in enumerate(sentences):
    if sentence is not None:
      raise OSError(f"Process {index} ended: {sentence}")


def everyones(value: Any) -> list[Any]:
  """What every process gave, plain JSON values, in their order; cheapest if all give None."""
  content = b"" if value is None else json.dumps(value).encode()
  sizes = multihost_utils.process_allgather(np.int32(len(content)))
  if not sizes.any():
    return [None] * len(sizes)
  rows = multihost_utils.process_allgather(_words(content, sizes.max()))
  contents = [row.tobytes()[:size] for row, size in zip(rows, sizes)]
  return [json.loads(content) if content else None for content in contents]


def joined_rows(rows: np.ndarray) -> np.ndarray:
  """The rows of every process, as many of each, one below the other."""
  return multihost_utils.process_allgather(rows, tiled=True)


def of_first(number: float) -> float:
  """Process 0's number."""
  return float(arrays_of_first(np.float64(number)))


def arrays_of_first(tree: chex.ArrayTree) -> chex.ArrayTree:
  """Process 0's numpy arrays, bit for bit; the others give some of the same shapes and types."""
  if count() == 1:
    return tree
  leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, tree))
  content = b"".join(leaf.tobytes() for leaf in leaves)
  sent = multihost_utils.broadcast_one_to_all(_words(content, len(content))).tobytes()
  ends = np.cumsum([leaf.nbytes for leaf in leaves])
  arrays = [
      np.frombuffer(sent[end - leaf.nbytes:end], leaf.dtype).reshape(leaf.shape)
      for leaf, end in zip(leaves, ends)
  ]
  return jax.tree.unflatten(structure, arrays)


def _words(content: bytes, size: int) -> np.ndarray:
  """As int32, which every device can send, filled up to `size` bytes."""
  words = np.zeros(-(-size // 4), np.int32)
  words.view(np.uint8)[:len(content)] = np.frombuffer(content, np.uint8)
  return words


def _join(meeting: Meeting) -> None:
  """Starts jax.distributed, or ends the process when its time is over."""
  coordinator, total, index, seconds, lost = meeting
  where = coordinator or "the coordinator that JAX found"
  if meeting[:3] != (None, None, None):
    _check(meeting)
  sentence = (
      f"Process {index} ends: not all {total or ''} processes met at {where} within {seconds} s; "
      "start each of them, see that they reach that address, or raise --coordinator_timeout."
  )
  # JAX itself aborts when its time is over, and takes SIGTERM for itself.
  timer = threading.Timer(seconds, _end, [sentence])
  timer.daemon = True
  timer.start()
  jax.config.update("jax_enable_preemption_service", False)
  try:
    # In a thread of its own, since it waits where Ctrl-C is not heard.
    concurrent.futures.ThreadPoolExecutor(1).submit(
        jax.distributed.initialize, coordinator, total, index,
        initialization_timeout=seconds + LATER, heartbeat_timeout_seconds=lost,
        shutdown_timeout_seconds=lost,
    ).result()
    devices.check()
    counts = [len(jax.local_devices(i)) for i in range(count())]
    _connect()
  except (ValueError, RuntimeError) as error:
    reason = str(error).partition("\n")[0]
    raise OSError(
        f"The processes cannot find each other ({reason}): name --coordinator=HOST:PORT, "
        "--processes=N and --process=I."
    ) from error
  except KeyboardInterrupt as stop:  # SIGTERM's has a status of its own.
    _end("Interrupted.", getattr(stop, "status", 130))
  finally:
    timer.cancel()
  if len(set(counts)) > 1:
    raise ValueError(f"The processes have {counts} devices: give each as many as the others.")


def _connect() -> None:
  """A sum over all devices, so that their connections are made while no process is late.

  On CPUs these wait 30 s, and a process may compile its first program for longer than another.
  """
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ("devices",))
  each, everywhere = (jax.NamedSharding(mesh, jax.P(*axes)) for axes in (("devices",), ()))
  one = np.ones(1, np.int32)
  ones = jax.make_array_from_callback((mesh.size,), each, lambda index: one)
  jax.block_until_ready(jax.jit(jnp.sum, out_shardings=everywhere)(ones))


def _check(meeting: Meeting) -> None:
  """Raises ValueError for what cannot be, and OSError if process 0 cannot listen."""
  if None in meeting:
    raise ValueError("--coordinator=HOST:PORT, --processes=N and --process=I need each other.")
  host, _, port = meeting.coordinator.rpartition(":")
  if not host or not port.isdigit() or not 0 < int(port) < 2**16:
    raise ValueError(f"--coordinator is {meeting.coordinator!r}: name HOST:PORT of process 0.")
  if not 0 <= meeting.index < meeting.count:
    raise ValueError(
        f"--process is {meeting.index}, but with --processes={meeting.count} it must be from 0 to "
        f"{meeting.count - 1}."
    )
  if meeting.index == 0:
    try:  # Where JAX would crash.
      socket.create_server(("", int(port))).close()
    except OSError as error:
      raise OSError(
          f"Process 0 cannot listen at port {port} ({os.strerror(error.errno)}): name another one "
          "in --coordinator."
      ) from error


def _agree(facts: dict[str, Any]) -> None:
  """Raises ValueError, on every process, that names what differs."""
  leaves = jax.tree_util.tree_leaves_with_path(facts)
  flat = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
  firsts, *others = everyones({name: leaf for name, leaf in flat.items() if name not in OWN})
  for index, theirs in enumerate(others, 1):
    differing = [
        f"{name} is {firsts.get(name)!r} on process 0 and {theirs.get(name)!r} on process {index}"
        for name in sorted(firsts | theirs) if firsts.get(name) != theirs.get(name)
    ]
    if differing:
      raise ValueError(
          f"The processes were not started alike: {'; '.join(differing[:5])}. Give all of them the "
          "same command but for --process."
      )


def _end(sentence: str, status: int = 1) -> NoReturn:
  """Ends this process at once: partners that are lost cannot be waited for."""
  sys.stdout.flush()
  print(f"{pathlib.Path(sys.argv[0]).name}: {sentence}", file=sys.stderr, flush=True)
  os._exit(status)

"""The loop of all training: restore, step, watch, evaluate, save."""

from collections.abc import Callable, Iterator
import contextlib
import signal
import time
from typing import Any, NamedTuple

from absl import logging
import jax
import ml_collections

from bigan_jax.machine import processes, progress
from bigan_jax.runs.workdir import RunFolder
from bigan_jax.training import console, finite, parallel
from bigan_jax.training.timetable import Timetable

STRENGTHS = {signal.SIGTERM: 1, signal.SIGINT: 2}  # the stronger one decides the exit status

Flag = Callable[[], bool]


class Job(NamedTuple):
  """What the loop goes over; states are replicated over devices, but for `start`.

  Attributes:
    config: of the run.
    run: its folder.
    timetable: what is due when.
    start: the state before training, with a field `step`.
    greeting: (step) -> what is about to run from there on.
    advance: (state, step, n) -> (state, metrics of each of n steps); raises FloatingPointError
      where they are NaN or infinite.
    evaluate: (state, step, interrupted) -> None; writes a row, or gives up when interrupted.
    close: ends what reads pictures in the background.
  """

  config: ml_collections.ConfigDict
  run: RunFolder
  timetable: Timetable
  start: Any
  greeting: Callable[[int], str]
  advance: Callable[[Any, int, int], tuple[Any, dict]]
  evaluate: Callable[[Any, int, Flag], None]
  close: Callable[[], None]


def fit(job: Job, interrupted: Flag) -> Any:
  """Trains to the end of the run, or until `interrupted`; the same call continues it.

  Continues where the newest checkpoint left off, bit for bit.

  Returns:
    The last state, as numpy arrays.

  Raises:
    FloatingPointError: NaN or infinity; the newest checkpoint is from before.
  """
  run, when, batch_size = job.run, job.timetable, job.config.batch_size
  restored = run.restore_state(job.start)
  run.rewind(restored[0] if restored else -1)
  step, state = restored or (0, job.start)
  print(job.greeting(step))
  state, saved = parallel.replicate(state), time.monotonic()
  with contextlib.closing(job), console.progress_bar(when, step, batch_size) as bar:
    while True:
      if when.evaluates_at(step) and not run.has_row(step) and not interrupted():
        with progress.paused(bar):
          job.evaluate(state, step, interrupted)
      stop = interrupted() or step >= when.last_step
      if stop or when.saves_at(step, processes.of_first(time.monotonic() - saved)):
        save(run, step, parallel.unreplicate(state))
        saved = time.monotonic()
      if stop:
        break
      n = when.steps_to_dispatch(step)
      state, metrics = job.advance(state, step, n)
      step += n
      console.advance(bar, metrics, n * batch_size)
  if interrupted():
    logging.warning("Interrupted: saved at step %d; the same command continues there.", step)
  return jax.device_get(parallel.unreplicate(state))


def save(run: RunFolder, step: int, state: Any) -> None:
  """Saves a state from which training can go on; raises FloatingPointError for any other."""
  finite.check_state(state, step)
  run.save_state(step, state)


@contextlib.contextmanager
def interruption() -> Iterator[Flag]:
  """Within: a flag that says whether SIGTERM or Ctrl-C came; a second Ctrl-C stops at once.

  One signal to one of many processes is enough; all must look at their flags equally often.

  Raises:
    KeyboardInterrupt: at the end, on every process that knows of a Ctrl-C.
  """
  came, known = [], 0
  strongest = processes.strongest(lambda: max(map(STRENGTHS.get, came), default=0))
  def interrupted() -> bool:
    nonlocal known
    known = strongest()
    return known > 0
  def handle(number: int, frame: Any) -> None:
    del frame
    if signal.SIGINT in came and number == signal.SIGINT:
      raise KeyboardInterrupt
    came.append(number)
  old = {n: signal.signal(n, handle) for n in STRENGTHS}
  try:
    yield interrupted
  finally:
    for number, handler in old.items():
      signal.signal(number, handler)
  if known == STRENGTHS[signal.SIGINT]:
    raise KeyboardInterrupt("the run is saved")  # As `fit` said.
  if signal.SIGINT in came:
    raise KeyboardInterrupt

"""The loop of supervised training: restore, step, judge, save."""

from collections.abc import Callable
import contextlib
import time
from typing import NamedTuple

from absl import logging
import jax
import ml_collections
import tqdm

from bigan_jax import console, finite, parallel
from bigan_jax.clock import Clock
from bigan_jax.trainer import Flag, save
from bigan_jax.transfer.supervised_step import HeadState, Measures, Setup
from bigan_jax.workdir import RunFolder

NETWORK = "head"  # the item of run folders that holds all layers
Program = Callable[[HeadState, int, int], tuple[HeadState, Measures]]
Judge = Callable[[HeadState], dict[str, float]]


class Fit(NamedTuple):
  """What stays the same through the loop.

  Attributes:
    config: of the run.
    run: its folder.
    clock: what is due when.
    setup: of the step.
    program: (replicated state, step, n) -> (replicated state, measures of each of n steps).
    close: ends what reads images in the background.
    judge: (state) -> numbers for the table and metrics.jsonl.
    start: the state before training.
  """

  config: ml_collections.ConfigDict
  run: RunFolder
  clock: Clock
  setup: Setup
  program: Program
  close: Callable[[], None]
  judge: Judge
  start: HeadState


def fit(job: Fit, interrupted: Flag) -> HeadState:
  """Trains to the end, or until `interrupted`; the same call continues it, bit for bit.

  Returns:
    The last state, as numpy arrays.

  Raises:
    FloatingPointError: NaN or infinity; the newest checkpoint is from before.
  """
  run, when, batch_size = job.run, job.clock, job.config.batch_size
  restored = run.restore_state(job.start)
  run.rewind(restored[0] if restored else -1)
  step, state = restored or (0, job.start)
  state = parallel.replicate(state)
  with contextlib.closing(job), console.progress_bar(when, step, batch_size) as bar:
    while True:
      if when.evaluates_at(step) and not run.has_row(step) and not interrupted():
        evaluate(job, _on_host(state), step)
      stop = interrupted() or step >= when.last_step
      if when.saves_at(step) or stop:
        save(run, step, _on_host(state))
      if stop:
        break
      n = when.steps_to_dispatch(step)
      state, measures = job.program(state, step, n)
      finite.check_metrics(measures, step)
      step += n
      console.advance(bar, {"loss": {"loss": measures["loss"]}}, n * batch_size)
  if interrupted():
    logging.warning("Interrupted: saved at step %d; the same command continues there.", step)
  return _on_host(state)


def evaluate(job: Fit, state: HeadState, step: int) -> None:
  """Judges, and writes a row and the network."""
  began = time.time()
  finite.check_state(state, step)
  epoch, over = divmod(step, job.clock.steps_per_epoch)
  row = {"step": step, "epoch": epoch, "rate": float(job.setup.rate(step))}
  row |= training_measures(state, over or job.clock.steps_per_epoch)
  row |= job.judge(state)
  row["evaluation_seconds"] = round(time.time() - began, 1)
  job.run.write_row(row)
  layers = {**state.frozen, **state.params}
  job.run.save_networks(step, {NETWORK: {"params": layers}}, row)
  print_row(row)


def training_measures(state: HeadState, steps: int) -> dict[str, float]:
  """{"train_loss": ...}: means over the `steps` steps of the epoch so far; {} before the first."""
  if not int(state.step):
    return {}
  return {f"train_{name}": float(total) / steps for name, total in state.sums.items()}


def print_row(row: dict[str, float]) -> None:
  """The results under their names."""
  shown = {name: value for name, value in row.items() if name not in ("step", "evaluation_seconds")}
  widths = [max(len(name), 8) for name in shown]
  cells = [
      f"{v:{w}d}" if isinstance(v, int) else f"{v:{w}.4g}" for v, w in zip(shown.values(), widths)
  ]
  with tqdm.tqdm.external_write_mode():
    print("  ".join(f"{name:>{w}}" for name, w in zip(shown, widths)))
    print("  ".join(cells), flush=True)


def _on_host(state: HeadState) -> HeadState:
  return jax.device_get(parallel.unreplicate(state))

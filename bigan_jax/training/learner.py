"""A feature learner in the loop: its networks and programs, a step of them, an evaluation."""

from collections.abc import Callable, Iterable
import time
from typing import NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from bigan_jax import models
from bigan_jax.data import batches
from bigan_jax.data.splits import Split, Stored
from bigan_jax.models import latents
from bigan_jax.models.layers import AXIS
from bigan_jax.runs.workdir import RunFolder
from bigan_jax.settings import modern as modern_settings
from bigan_jax.training import augment, console, ending, feeds, finite, loop, modern, parallel
from bigan_jax.training.calibration import Calibration
from bigan_jax.training.loop import Flag
from bigan_jax.training.state import (
  Snapshot,
  TrainState,
  blank_classifier,
  initial_state,
  optimiser,
  schedule,
)
from bigan_jax.training.timetable import Timetable, timetable
from bigan_jax.training.train_step import Metrics, Setup

Evaluator = Callable[[Snapshot], Iterable[tuple[str, float]]]


class Training(NamedTuple):
  """What stays the same through the loop.

  start: the state before training; blank: a calibration before its first step; table: of results.
  """

  config: ml_collections.ConfigDict
  run: RunFolder
  evaluators: tuple[Evaluator, ...]
  timetable: Timetable
  setup: Setup
  programs: parallel.Programs
  start: TrainState
  blank: Calibration
  table: console.Table


def prepare(
    config: ml_collections.ConfigDict, run: RunFolder, images: Split | Stored,
    assembler: batches.Assembler, evaluators: Iterable[Evaluator],
) -> Training:
  """Builds the networks and programs of a config, and a way for the images to the devices.

  Args:
    assembler: makes batches of the images.
    evaluators: called with a calibrated snapshot; their numbers make a row of metrics.jsonl.
  """
  when = timetable(config, images.size)
  setup = setup_of(config, when.steps_per_epoch)
  init_key, run_key = jax.random.split(jax.random.PRNGKey(config.seed))
  networks = models.build(config.model)
  start, batch_stats = initial_state(
      networks, config.model, setup.objective, setup.tx, init_key, averaged=bool(config.average)
  )
  classifier = blank_classifier(
      config.model, networks, setup.objective, start.params, images.num_classes
  )
  blank = Calibration(batch_stats, classifier, setup.tx.init(classifier))
  feed = feeds.place(images, config.batch_size, assembler, config.data.workers, when.dispatch)
  programs = parallel.programs(setup, feed, run_key)
  return Training(config, run, tuple(evaluators), when, setup, programs, start, blank,
                  console.Table())


def setup_of(config: ml_collections.ConfigDict, steps_per_epoch: int) -> Setup:
  """What stays fixed through a run of a config."""
  model, optim = config.model, config.optim
  return Setup(
      models.build(model, AXIS), modern.objective(config), optimiser(optim),
      schedule(optim, config.epochs, steps_per_epoch), model.latent_dim, config.alternating, AXIS,
      config.precision, latents.kind(model), model.E.get("stochastic", False),
      model.E.get("rotation", 0.0), optim.E_rate_factor, config.average, views(config),
  )


def views(config: ml_collections.ConfigDict) -> augment.Views | None:
  """How pictures are shown in training; None: as they are."""
  kinds = modern_settings.kinds(config)
  return augment.Views(kinds, config.views, tuple(config.model.value_range)) if kinds else None


def train(training: Training, interrupted: Flag) -> None:
  """Trains to the end of the run, or until `interrupted`; see `loop.fit`. Says how good it is."""
  config, run, when = training.config, training.run, training.timetable
  def greeting(step: int) -> str:
    if step > when.last_step or step == when.last_step and run.has_row(step):
      return ending.over(config, run.path)
    return f"{console.greeting(config, when, training.start, step)} {ending.kept(run.best)}"
  loop.fit(loop.Job(
      config, run, when, training.start, greeting,
      advance=lambda state, step, n: advance(training.programs, state, step, n),
      evaluate=lambda *args: evaluate(training, *args), close=training.programs.close,
  ), interrupted)
  if not interrupted():
    print(ending.verdict(run.rows(), run.path))


def advance(
    programs: parallel.Programs, state: TrainState, step: int, n: int
) -> tuple[TrainState, Metrics]:
  """n training steps; raises FloatingPointError where a loss is NaN or infinite.

  Then what came before it is looked for: in the state, and in the gradients of the same steps.
  """
  new, metrics = programs.train(state, step, n)
  if not all(np.isfinite(loss).all() for loss in metrics["loss"].values()):
    del new  # makes room
    finite.check_state(parallel.unreplicate(state), step)
    logging.info("NaN or infinity: from step %d on again, to see where it began.", step)
    finite.check_metrics(programs.watch(state, step, n)[1], step)
    finite.check_metrics(metrics, step)
  return new, metrics


def evaluate(training: Training, state: TrainState, step: int, interrupted: Flag) -> None:
  """Calibrates, judges, and writes a row and the networks; gives up when interrupted."""
  began = time.time()
  finite.check_state({"params": parallel.unreplicate(state.params)}, step)
  epoch = step // training.timetable.steps_per_epoch
  row = {"step": step, "epoch": epoch, "rate": float(training.setup.rate(step))}
  calibrated = calibrate(training, state, step, interrupted)
  if calibrated is None:
    return
  snapshot, losses_row = calibrated
  row |= losses_row | gradient_norms(parallel.unreplicate(state), training.setup.tx.b2)
  for evaluator in training.evaluators:
    for name, value in evaluator(snapshot):
      row[name] = value
      if interrupted():
        return
  row["evaluation_seconds"] = round(time.time() - began, 1)
  training.run.save_networks(step, snapshot.variables, row)
  training.run.write_row(row)  # After them: a step that has its row is not evaluated again.
  training.table.print(console.chief(row))


def calibrate(
    training: Training, state: TrainState, step: int, interrupted: Flag
) -> tuple[Snapshot, dict[str, float]] | None:
  """The calibrated networks and the training losses over the calibration, or None."""
  rate, judged = training.setup.rate(jnp.asarray(step)), state.params
  if state.vectors or state.average:
    judged = parallel.replicate(parallel.unreplicate(state).judged())
  carry, parts, total = parallel.replicate(training.blank), [], training.config.calibration_steps
  epoch = step // training.timetable.steps_per_epoch
  title = f"evaluation at epoch {epoch}: calibration"
  for first in console.blocks(total, training.timetable.dispatch, title):
    if interrupted():
      return None
    n = min(training.timetable.dispatch, total - first)
    carry, metrics = training.programs.calibrate(judged, carry, rate, first, n)
    parts.append(jax.tree.map(lambda m, n=n: n / total * float(m), metrics))
  sums = jax.tree.map(lambda *part: sum(part), *parts)
  carry, params = parallel.unreplicate(carry), parallel.unreplicate(judged)
  variables = {
      p: {"params": params[p], "batch_stats": carry.batch_stats[p]} for p in params
  }
  row = dict(sums["loss"])
  if training.setup.objective.joint:
    row["JD"] = row.pop("D")
  row |= {f"D_{kind}": share for kind, share in sums.get("accuracy", {}).items()}
  return Snapshot(step, epoch, variables, carry.classifier), row


def gradient_norms(state: TrainState, b2: float) -> dict[str, float]:
  """{"grad_norm_D": norm, ...}: root mean squares over about the last 1 / (1 - b2) updates.

  From Adam's second moments, l2 term included: part of the state, so a resumed run knows them too.
  """
  norms = {}
  for player, (_, adam) in state.opt_state.items():
    if adam.count:
      squares = sum(np.sum(np.asarray(nu), dtype=np.float64) for nu in jax.tree.leaves(adam.nu))
      norms[f"grad_norm_{player}"] = float(np.sqrt(squares / (1 - b2 ** int(adam.count))))
  return norms

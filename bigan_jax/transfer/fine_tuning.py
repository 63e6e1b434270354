"""What all jobs share that train a network with labels on layers of an encoder, to its results."""

from collections.abc import Callable
import functools
import json
import signal
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from bigan_jax.data import survey
from bigan_jax.evaluation import encoders
from bigan_jax.machine import disk
from bigan_jax.models.layers import AXIS
from bigan_jax.runs.workdir import RunFolder, open_run
from bigan_jax.settings import downstream, rules
from bigan_jax.training import console, feeds, finite, loop, parallel
from bigan_jax.training.timetable import timetable
from bigan_jax.transfer import evaluate, initialise, sgd, source, supervised_step
from bigan_jax.transfer.supervised_step import HeadState, Measures

RESULTS = "results.json"

Params = initialise.Params
Judge = Callable[[Params], dict[str, Any]]


class Task(NamedTuple):
  """What a job trains, on what, and how it judges.

  Attributes:
    network: (x, keys) -> (output, activations); its layers are submodules with "kernel", "bias".
    frozen: layers that nothing changes.
    start: (encoder, if there is one) -> all layers before training.
    size: training pictures in an epoch.
    feed: (when) -> how they reach the devices.
    measure: as supervised_step.Setup's.
    measures: the names of what it returns, "loss" among them.
    judge: (all layers) -> numbers for metrics.jsonl, on the way.
    finish: (all layers) -> what the job adds to results.json; draws its pictures.
    about: what was found to train on and to judge by.
  """

  network: nn.Module
  frozen: tuple[str, ...]
  start: Callable[[source.Source | None], Params]
  size: int
  feed: Callable[[Any], feeds.Feed]
  measure: Callable[[jax.Array, Any], Measures]
  measures: tuple[str, ...]
  judge: Judge
  finish: Judge
  about: survey.Survey | None = None


class Job(NamedTuple):
  """What makes one of these jobs of a config.

  Attributes:
    resolve: fills in all that the config takes from its encoder, as config.json keeps it.
    task: (resolved config, run folder) -> Task.
    summary: results -> the last words.
  """

  resolve: Callable[
      [ml_collections.ConfigDict, source.Source | None], ml_collections.ConfigDict
  ]
  task: Callable[[ml_collections.ConfigDict, RunFolder], Task]
  summary: Callable[[dict], str]


def run(job: Job, config: ml_collections.ConfigDict, workdir: str) -> bool:
  """Trains, judges, and writes results.json; the same call continues what was interrupted.

  Returns:
    Whether SIGTERM stopped it before its end.
  """
  origin = source.read(config.encoder, config.encoder_step) if config.encoder else None
  config = job.resolve(config, origin)
  last_epoch = config.stop_epoch or config.epochs
  with loop.interruption() as interrupted, open_run(
      workdir, config.to_dict(), rules.FREE_TO_CHANGE
  ) as folder:
    results = finished(folder, last_epoch)
    if results is None:
      results = _train(config, folder, origin, job.task(config, folder), interrupted)
    if results is not None:
      print(job.summary(results))
    return results is None


def _train(
    config: ml_collections.ConfigDict, folder: RunFolder, origin: source.Source | None, task: Task,
    interrupted: loop.Flag,
) -> dict | None:
  """The results, or None if interrupted."""
  if task.about:
    folder.agree_on_data(survey.fingerprint(task.about), config.data.accept_change)
  job = prepare(config, folder, origin, task)
  state = loop.fit(job, interrupted)
  if interrupted():
    return None
  if int(state.step) > job.timetable.last_step:
    raise ValueError(f"{folder.path} is at step {int(state.step)} already, beyond the last one of"
                     f" config.stop_epoch={config.stop_epoch}, {job.timetable.last_step}: choose"
                     " another --workdir.")
  signal.signal(signal.SIGINT, signal.default_int_handler)  # All is saved: Ctrl-C need not wait.
  results = {
      "job": config.job, "source": config.source, "learner": config.learner,
      "frozen": len(task.frozen), "init": config.init,
      "generalised": bool(origin and origin.generalised), "encoder": config.encoder,
      "encoder_step": config.encoder_step, "seed": config.seed, "data": config.data.name,
      "side": config.model.image_shape[0], "epoch": config.stop_epoch or config.epochs,
      "step": int(state.step), "train_images": task.size,
      **task.finish({**state.frozen, **state.params}),
  }
  with disk.one_sentence(folder.path):
    text = json.dumps(results, indent=2) + "\n"
    disk.write_atomically(folder.path / RESULTS, text.encode())
  return results


def take_encoder(config: ml_collections.ConfigDict, origin: source.Source) -> None:
  """Fills in, in an unlocked config, the data set and the shapes of an encoder."""
  theirs, model = origin.config, config.model
  if config.source == "pretrained":
    config.learner = origin.learner
    config.encoder_step = str(origin.step)
  model.family = "mlp" if "fc1" in origin.layers else "alexnet"
  model.widths = tuple(layer["kernel"].shape[-1] for layer in origin.layers.values())
  model.value_range = tuple(theirs.model.value_range)
  model.encoder_shape, model.image_shape = tuple(theirs.model.encoder_shape), origin.shape
  own = {name: config.data[name] for name in downstream.OWN_DATA}
  config.data = ml_collections.ConfigDict({**encoders.data_settings(config.data, theirs), **own})
  config.data_dir = config.data_dir or theirs.data_dir


def prepare(
    config: ml_collections.ConfigDict, folder: RunFolder, origin: source.Source | None, task: Task
) -> loop.Job:
  """Makes the network's first layers and puts the images on the devices."""
  when = timetable(config, task.size)
  tx, rate = sgd.optimiser(config.optim), sgd.schedule(config.optim, when.steps_per_epoch)
  setup = supervised_step.Setup(
      task.network, tx, rate, task.measure, AXIS, config.precision
  )
  start = supervised_step.initial_state(
      tx, task.start(origin), task.frozen, task.measures
  )
  feed = task.feed(when)
  step = functools.partial(supervised_step.step, setup)
  program = parallel.supervised(step, feed, jax.random.PRNGKey(config.seed))
  def advance(state: HeadState, first: int, n: int) -> tuple[HeadState, dict]:
    state, measures = program(state, first, n)
    finite.check_metrics(measures, first)
    return state, {"loss": {"loss": measures["loss"]}}
  table = console.Table()
  def judge(state: HeadState, step: int, interrupted: loop.Flag) -> None:
    del interrupted
    evaluate.evaluate(folder, rate, task.judge, table, state, step)
  return loop.Job(
      config, folder, when, start, lambda step: greeting(config, start), advance, judge, feed.close
  )


def transplant(
    network: nn.Module, x: Any, names: tuple[str, ...], origin: source.Source | None
) -> Params:
  """The layers `names` of an encoder in a network that sees x; the others are zeros."""
  one = jax.tree.map(lambda a: a[:1], x)
  shapes = jax.eval_shape(lambda: network.init(jax.random.PRNGKey(0), one))["params"]
  params = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
  return {**params, **{n: jax.tree.map(jnp.asarray, origin.layers[n]) for n in names}}


def finished(folder: RunFolder, epoch: int) -> dict | None:
  """The results of a run that reached `epoch`."""
  path = folder.path / RESULTS
  results = json.loads(path.read_text()) if path.exists() else {}
  return results if results.get("epoch") == epoch else None


def greeting(config: ml_collections.ConfigDict, start: HeadState) -> str:
  """What is about to be trained."""
  size = lambda tree: f"{sum(a.size for a in jax.tree.leaves(tree)):,}"
  whose = config.learner or config.source
  return (
      f"{', '.join(start.frozen) or 'no layer'} of {whose} frozen ({size(start.frozen)} "
      f"parameters), {', '.join(start.params)} trained ({size(start.params)}), on "
      f"{jax.device_count()} x {jax.devices()[0].device_kind}."
  )

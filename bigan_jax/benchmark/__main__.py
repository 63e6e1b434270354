"""Times a config's training step, its parts, and the machine's own rates, all in one run.

  python -m bigan_jax.benchmark --config=configs/mnist.py

On pictures made of noise, or with --data on the config's own, from where training would take them
(--config.data.resident_gb=0.001 streams them). The last line is one JSON object; null is what
cannot be known on this platform.
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()  # The imports below take a while.

from collections.abc import Callable, Sequence
import contextlib
import json
import os
import resource
import statistics
import sys
import time
from typing import Any, NamedTuple

from absl import flags
import chex
import jax
import jax.numpy as jnp
import ml_collections
from ml_collections import config_flags
import numpy as np

from bigan_jax import models
from bigan_jax.benchmark import flops, rates
from bigan_jax.data import batches, fake, stream
from bigan_jax.data.batch import Batch
from bigan_jax.machine import devices
from bigan_jax.settings import arguments, program, rules
from bigan_jax.training import feeds, learner, parallel
from bigan_jax.training.train_step import train_step

CONFIG = config_flags.DEFINE_config_file("config", None, "As of bigan_jax.main.")
STEPS = flags.DEFINE_integer("steps", 20, "Training steps in each dispatch.", lower_bound=1)
REPEATS = flags.DEFINE_integer("repeats", 15, "Timings of each, for medians.", lower_bound=1)
DATA = flags.DEFINE_boolean("data", False, "Time on the config's data set, not on noise.")
COMPILING = "/jax/core/compile/"  # how JAX's events of tracing, lowering and compiling begin

Times = dict[str, list[float]]


class Count(NamedTuple):
  """The state of a program that only fetches pictures."""

  step: jax.Array
  seen: jax.Array


def timer(
    program: parallel.Train, state: chex.ArrayTree, steps: int, dispatches: int = 1
) -> rates.Timer:
  """A timing of `dispatches` times `steps` steps, in seconds a step."""
  state, done = parallel.replicate(state), 0
  def time_once() -> float:
    nonlocal state, done
    began = time.perf_counter()
    for _ in range(dispatches):
      state, _ = program(state, done, steps)
      done += steps
    jax.block_until_ready(state)
    return (time.perf_counter() - began) / (dispatches * steps)
  return time_once


def compile_seconds(run: Callable[[], Any]) -> float:
  """How long the largest program that run() compiles takes to be traced, lowered and compiled."""
  longest: dict[str, float] = {}
  def listen(event: str, seconds: float, **_: Any) -> None:
    if event.startswith(COMPILING):  # Tracing the whole includes tracing its parts.
      longest[event] = max(seconds, longest.get(event, 0.0))
  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    run()
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
  return sum(longest.values())


class Still(feeds.Resident):
  """Gives the same pictures at every step, so that the host has nothing to shuffle."""

  def send(self, keys: feeds.Keys, step: int, n: int) -> tuple[Any, np.ndarray]:
    """The indices of no step in particular."""
    return self.held, np.zeros((n, self.batch_size), np.int32)

  def ahead(self, keys: feeds.Keys, step: int, n: int) -> None:
    """There is nothing to do."""


def step_alone(training: learner.Training) -> parallel.Step:
  """A training step on a batch that is in place already; that of the feed is never looked at."""
  config = training.config
  def step(
      state: Any, batch: Batch, labels: jax.Array, key: chex.PRNGKey
  ) -> tuple[Any, dict[str, Any]]:
    del labels
    def made(like: jax.Array) -> jax.Array:
      # Depends on the step, so that nothing is computed once and for all.
      wave = jnp.sin(jnp.arange(like.size, dtype=jnp.float32)).reshape(like.shape)
      return wave + 1e-6 * state.step.astype(jnp.float32)
    x = made(batch.x)
    same = tuple(config.model.image_shape) == tuple(config.model.encoder_shape)
    return train_step(training.setup, state, Batch(x, x if same else made(batch.x_encoder)), key)
  return step


def data_alone(
    state: Count, batch: Batch, labels: jax.Array, key: chex.PRNGKey
) -> tuple[Count, dict[str, jax.Array]]:
  """Fetches a batch and adds it up."""
  del key
  seen = sum(jnp.sum(a, dtype=jnp.float32) for a in (batch.x, batch.x_encoder, labels))
  return Count(state.step + 1, state.seen + seen), {"seen": seen}


def step_cost(training: learner.Training) -> dict[str, float | None]:
  """Floating-point operations and bytes of one step, were it all on one device; None: unknown."""
  config, found = training.config, None
  setup = training.setup._replace(networks=models.build(config.model), axis_name=None)
  shapes = (config.model.image_shape, config.model.encoder_shape)
  batch = Batch(*(jnp.zeros((config.batch_size, *shape)) for shape in shapes))
  step, args = lambda *a: train_step(setup, *a), (training.start, batch, jax.random.PRNGKey(0))
  if jax.default_backend() != "cpu" or config.model.family == "mlp":
    # XLA counts a loop's body once, and the convolutions of models/strided.py are loops on CPU.
    found = jax.jit(step).lower(*args).compile().cost_analysis()
  def billions(name: str) -> float | None:
    count = (found or {}).get(name, 0)
    return count / 1e9 if count > 0 else None
  return {
      "step_gflop": flops.products(step, *args) / 1e9,
      "step_gflop_of_xla": billions("flops"), "step_gb_of_xla": billions("bytes accessed"),
  }


def peak_memory() -> float:
  """The most bytes that a device has held so far, or on CPU the process."""
  stats = jax.local_devices()[0].memory_stats()
  if stats and "peak_bytes_in_use" in stats:
    return stats["peak_bytes_in_use"]
  unit = 1 if sys.platform == "darwin" else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure(
    config: ml_collections.ConfigDict, steps: int, repeats: int, own_data: bool = False
) -> dict[str, Any]:
  """Medians over `repeats` timings of dispatches of `steps` steps, and what else is known of them.

  Up to `steps` batches of a stream wait on the devices: in training too, as many as a dispatch has.

  Raises:
    ValueError: no training config, or its batch does not fit the devices or its own data.
  """
  _check(config)
  devices.check()
  config = config.copy_and_resolve_references()
  if not own_data:
    config.data.name = "fake"
  train_set, _ = batches.load(config, may_stream=True)
  images = train_set.size if own_data else config.batch_size  # Any batch can be made of noise.
  rules.validate_batch(config.batch_size, images, jax.device_count())
  assembler = batches.assembler(config)
  feed = feeds.place(train_set, config.batch_size, assembler, config.data.workers, steps)
  with contextlib.closing(feed):
    return _measure_on(feed, config, steps, repeats)


def _measure_on(
    feed: feeds.Feed, config: ml_collections.ConfigDict, steps: int, repeats: int
) -> dict[str, Any]:
  """`measure` on the training set's only feed."""
  assembler, key = batches.assembler(config), jax.random.PRNGKey(0)
  noise = fake.split(config.batch_size, config.model.encoder_shape, config.data.edge, 0)
  training = learner.prepare(config, None, noise, assembler, ())
  streamed = isinstance(feed, feeds.Streamed)
  dispatches = 1 + read_ahead(steps, config.data.workers) // steps if streamed else 1
  programs = parallel.programs(training.setup, feed, key)
  fetching = {"step": timer(programs.train, training.start, steps, dispatches)}
  compile_s = compile_seconds(fetching["step"])
  peak = peak_memory()  # It never falls, so before there is anything else.
  count = Count(jnp.zeros((), jnp.int32), jnp.zeros(()))
  data = parallel.supervised(data_alone, feed, key)
  fetching["data_alone"] = timer(data, count, steps, dispatches)
  still = Still(*feeds.place(noise, config.batch_size, assembler))
  alone = parallel.supervised(step_alone(training), still, key)
  size = rates.yardstick(jax.default_backend())
  quiet = {
      "product": rates.product_timer(config.precision, size), "memory": rates.memory_timer(size),
      "step_alone": timer(alone, training.start, steps),
  }
  if streamed:
    times = time_stream(quiet, fetching, feed.close, repeats)
  else:
    times = time_in_turn(quiet | fetching, repeats)
  return summary(config, times, step_cost(training)) | {
      "compile_s": compile_s, "peak_memory_gb": peak / 1e9,
      "precision": config.precision, "streamed": streamed,
  }


def read_ahead(steps: int, workers: int) -> int:
  """How many batches of a stream may wait: `steps` on the devices, and where they are decoded."""
  if workers:
    return steps + workers * (2 * stream.THREADS + 2)
  return steps + 2 * (os.cpu_count() or 1)


def time_in_turn(timers: dict[str, rates.Timer], repeats: int) -> Times:
  """Timings of everything in turn, so that all see the same machine; the first round compiles."""
  rounds = [{name: time_once() for name, time_once in timers.items()} for _ in range(repeats + 1)]
  return {name: [found[name] for found in rounds[1:]] for name in timers}


def time_stream(
    quiet: dict[str, rates.Timer], fetching: dict[str, rates.Timer], close: Callable[[], None],
    repeats: int,
) -> Times:
  """The same where pictures are decoded: meanwhile nothing else runs, so `quiet` come around.

  Args:
    fetching: timers of more steps than wait in the stream.
    close: ends its reading ahead.
  """
  close()
  rounds = [time_in_turn(quiet, -(-repeats // 2))]
  times = {}
  for name, time_once in fetching.items():
    time_once()  # Uses up what had time to gather, and shows the pace from then on.
    times[name] = [time_once() for _ in range(repeats)]
    close()
    if name == "step":
      rounds.append(time_in_turn(quiet, -(-repeats // 2)))
  return times | {name: rounds[0][name] + rounds[1][name] for name in quiet}


def summary(
    config: ml_collections.ConfigDict, times: Times, cost: dict[str, float | None]
) -> dict[str, float | None]:
  """Medians of the timings, and the step's share of what the machine can do."""
  middle = {name: statistics.median(values) for name, values in times.items()}
  def share(name: str, of_all: float | None) -> float | None:
    return of_all and 1e9 * of_all / jax.device_count() / middle["step"] / middle[name]
  return {
      "step_ms": middle["step"] * 1e3, "step_ms_min": min(times["step"]) * 1e3,
      "step_ms_max": max(times["step"]) * 1e3,
      "images_per_second": config.batch_size / middle["step"],
      "step_alone_ms": middle["step_alone"] * 1e3, "data_alone_ms": middle["data_alone"] * 1e3,
      "product_gflop_per_second": middle["product"] / 1e9,
      "memory_gb_per_second": middle["memory"] / 1e9, **cost,
      "share_of_product_rate": share("product", cost["step_gflop"]),
      "share_of_memory_rate": share("memory", cost["step_gb_of_xla"]),
  }


def _check(config: ml_collections.ConfigDict) -> None:
  if config.job != "train":
    raise ValueError(f"config.job is {config.job!r}: give the config of a training, such as "
                     "configs/mnist.py.")
  rules.validate(config)


def main(argv: Sequence[str]) -> None:
  """Prints a sentence and one JSON object."""
  del argv
  arguments.refuse_derived(config_flags.get_override_values(flags.FLAGS["config"]))
  found = measure(CONFIG.value, STEPS.value, REPEATS.value, DATA.value)
  device = jax.devices()[0].device_kind
  print(
      f"{found['images_per_second']:.4g} images/s on {jax.device_count()} x {device}: a step of "
      f"{found['step_gflop']:.3g} GFLOP in {found['step_ms']:.4g} ms, "
      f"{100 * found['share_of_product_rate']:.0f} % of the products' rate in {found['precision']}."
  )
  print(json.dumps({
      name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()
  }))


if __name__ == "__main__":
  flags.mark_flag_as_required("config")
  program.run(main)

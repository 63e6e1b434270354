"""Times a config's training step, its parts, and the machine's own rates, all in one run.

  python -m bigan_jax.benchmark --config=configs/mnist.py

On pictures made of noise, or with --data on the config's own, from where training would take them
(--config.data.resident_gb=0.001 streams them). The last line is one JSON object.
"""

from collections.abc import Callable, Sequence
import json
import resource
import statistics
import time
from typing import Any, NamedTuple

from absl import flags
import chex
import jax
import jax.numpy as jnp
import ml_collections
from ml_collections import config_flags

from bigan_jax import config as configs
from bigan_jax import feeds, flops, models, parallel, program, trainer
from bigan_jax.clock import clock
from bigan_jax.data import batches
from bigan_jax.objectives import Batch
from bigan_jax.train_step import train_step

CONFIG = config_flags.DEFINE_config_file("config", None, "As of bigan_jax.main.")
STEPS = flags.DEFINE_integer("steps", 20, "Training steps in each timing.")
REPEATS = flags.DEFINE_integer("repeats", 15, "Timings of each; their medians are compared.")
DATA = flags.DEFINE_boolean("data", False, "Time on the config's data set, not on noise.")
PRODUCT = 2048  # side of the square product
COPIED = 2**26  # float32 numbers, 256 MiB
TIMES = 10  # products or copies in each timing

Timer = Callable[[], float]


class Count(NamedTuple):
  """The state of a program that only fetches pictures."""

  step: jax.Array
  seen: jax.Array


def timer(program: parallel.Train, state: chex.ArrayTree, steps: int) -> tuple[Timer, float]:
  """A timing of `steps` steps in one dispatch, in seconds a step; and what the first one took."""
  state, done = parallel.replicate(state), 0
  def time_once() -> float:
    nonlocal state, done
    began = time.perf_counter()
    state, _ = program(state, done, steps)
    jax.block_until_ready(state)
    done += steps
    return (time.perf_counter() - began) / steps
  return time_once, time_once() * steps


def step_alone(training: trainer.Training) -> parallel.Step:
  """A training step on a batch that is in place already; that of the feed is never fetched."""
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


def product_timer() -> Timer:
  """A timing of square float32 products; gives FLOP/s."""
  a = jax.random.normal(jax.random.PRNGKey(0), (PRODUCT, PRODUCT)) / PRODUCT**0.5
  chain = jax.jit(lambda a, b: jax.lax.fori_loop(0, TIMES, lambda _, b: a @ b, b))
  return _rate(lambda: chain(a, a), 2 * PRODUCT**3 * TIMES)


def memory_timer() -> Timer:
  """A timing of reading and writing arrays too large for any cache; gives bytes/s."""
  a = jnp.ones(COPIED)
  chain = jax.jit(lambda a: jax.lax.fori_loop(0, TIMES, lambda i, a: a * 1.5 - i, a))
  return _rate(lambda: chain(a), 2 * a.nbytes * TIMES)


def _rate(run: Callable[[], jax.Array], work: float) -> Timer:
  jax.block_until_ready(run())  # compiles
  def time_once() -> float:
    began = time.perf_counter()
    jax.block_until_ready(run())
    return work / (time.perf_counter() - began)
  return time_once


def step_cost(training: trainer.Training) -> dict[str, float]:
  """Floating-point operations and bytes of one step on one device."""
  config = training.config
  setup = training.setup._replace(networks=models.build(config.model), axis_name=None)
  shapes = (config.model.image_shape, config.model.encoder_shape)
  batch = Batch(*(jnp.zeros((config.batch_size, *shape)) for shape in shapes))
  step, args = lambda *a: train_step(setup, *a), (training.start, batch, jax.random.PRNGKey(0))
  cost = {"step_gflop": flops.products(step, *args) / 1e9}
  if jax.default_backend() != "cpu" or config.model.family == "mlp":
    # XLA counts a loop's body once, and the convolutions of models/strided.py are loops on CPU.
    found = jax.jit(step).lower(*args).compile().cost_analysis()
    cost["step_gflop_of_xla"] = found["flops"] / 1e9
    cost["step_gb_of_xla"] = found.get("bytes accessed", 0.0) / 1e9
  return cost


def peak_memory() -> float:
  """The most bytes that a device held, or on CPU the process."""
  stats = jax.local_devices()[0].memory_stats()
  if stats and "peak_bytes_in_use" in stats:
    return stats["peak_bytes_in_use"]
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(
    config: ml_collections.ConfigDict, steps: int, repeats: int, own_data: bool = False
) -> dict[str, float]:
  """Medians over interleaved timings of everything, so that all see the same machine."""
  if not own_data:
    config.data.name = "fake"
  train_set, _ = batches.load(config, may_stream=True)
  training = trainer.prepare(config, None, train_set, batches.assembler(config), ())
  when, key = clock(config, train_set.size), jax.random.PRNGKey(0)
  def feed() -> feeds.Feed:
    return feeds.place(
        train_set, config.batch_size, batches.assembler(config), config.data.workers, when.dispatch
    )
  nothing = Count(jnp.zeros((), jnp.int32), jnp.zeros(()))
  step, first = timer(training.programs.train, training.start, steps)
  timers = {"step": step, "product": product_timer(), "memory": memory_timer()}
  timers["step_alone"], _ = timer(
      parallel.supervised(step_alone(training), feed(), key), training.start, steps
  )
  timers["data_alone"], _ = timer(parallel.supervised(data_alone, feed(), key), nothing, steps)
  rounds = [{name: time_once() for name, time_once in timers.items()} for _ in range(repeats)]
  training.programs.close()
  return summary(config, rounds, step_cost(training)) | {
      "compile_s": first - steps * statistics.median(r["step"] for r in rounds),
      "peak_memory_gb": peak_memory() / 1e9,
  }


def summary(
    config: ml_collections.ConfigDict, rounds: Sequence[dict[str, float]], cost: dict[str, float]
) -> dict[str, float]:
  """Medians of the rounds, and the step's share of what the machine can do in the same round."""
  middle = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
  times = [r["step"] for r in rounds]
  work = 1e9 * cost["step_gflop"] / jax.device_count()
  shares = {"share_of_product_rate": [work / r["step"] / r["product"] for r in rounds]}
  if moved := 1e9 * cost.get("step_gb_of_xla", 0):
    shares["share_of_memory_rate"] = [
        moved / jax.device_count() / r["step"] / r["memory"] for r in rounds
    ]
  return {
      "step_ms": middle["step"] * 1e3, "step_ms_min": min(times) * 1e3,
      "step_ms_max": max(times) * 1e3, "images_per_second": config.batch_size / middle["step"],
      "step_alone_ms": middle["step_alone"] * 1e3, "data_alone_ms": middle["data_alone"] * 1e3,
      "product_gflop_per_second": middle["product"] / 1e9,
      "memory_gb_per_second": middle["memory"] / 1e9, **cost,
      **{name: statistics.median(values) for name, values in shares.items()},
  }


def main(argv: Sequence[str]) -> None:
  """Prints a sentence and one JSON object."""
  del argv
  config = CONFIG.value
  configs.validate(config)
  found = measure(config, STEPS.value, REPEATS.value, DATA.value)
  device = jax.devices()[0].device_kind
  print(
      f"{found['images_per_second']:.4g} images/s on {jax.device_count()} x {device}: a step of "
      f"{found['step_gflop']:.3g} GFLOP in {found['step_ms']:.4g} ms, "
      f"{100 * found['share_of_product_rate']:.0f} % of the products' rate."
  )
  print(json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
  flags.mark_flag_as_required("config")
  program.run(main)

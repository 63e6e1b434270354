"""Times a config's training step beside the machine's own matrix products, on made-up pictures.

  python -m bigan_jax.benchmark --config=configs/mnist.py
"""

from collections.abc import Callable, Sequence
import json
import statistics
import time

from absl import flags
import chex
import jax
import jax.numpy as jnp
import ml_collections
from ml_collections import config_flags

from bigan_jax import config as configs
from bigan_jax import models, parallel, program, trainer
from bigan_jax.data import batches
from bigan_jax.train_step import train_step

CONFIG = config_flags.DEFINE_config_file("config", None, "As of bigan_jax.main.")
STEPS = flags.DEFINE_integer("steps", 20, "Training steps in each timing.")
REPEATS = flags.DEFINE_integer("repeats", 15, "Timings of each; their medians are compared.")
SIZE = 2048  # of the square product


def seconds(run: Callable[[], chex.ArrayTree]) -> float:
  """How long a call takes until its results are there."""
  began = time.perf_counter()
  jax.block_until_ready(run())
  return time.perf_counter() - began


def step_timer(training: trainer.Training, steps: int) -> Callable[[], float]:
  """A timing of `steps` training steps in one dispatch; gives seconds a step."""
  state = parallel.replicate(training.start)
  done = 0
  def time_once() -> float:
    nonlocal state, done
    began = time.perf_counter()
    state, _ = training.programs.train(state, done, steps)
    jax.block_until_ready(state)
    done += steps
    return (time.perf_counter() - began) / steps
  time_once()  # compiles
  return time_once


def product_timer(times: int = 10) -> Callable[[], float]:
  """A timing of square float32 products; gives FLOP/s."""
  a = jax.random.normal(jax.random.PRNGKey(0), (SIZE, SIZE)) / SIZE**0.5
  chain = jax.jit(lambda a, b: jax.lax.fori_loop(0, times, lambda _, b: a @ b, b))
  seconds(lambda: chain(a, a))  # compiles
  return lambda: 2 * SIZE**3 * times / seconds(lambda: chain(a, a))


def step_flops(training: trainer.Training) -> float:
  """Floating-point operations of one step on one device, as XLA counts them."""
  config = training.config
  setup = training.setup._replace(networks=models.build(config.model), axis_name=None)
  shapes = (config.model.image_shape, config.model.encoder_shape)
  batch = batches.Batch(*(jnp.zeros((config.batch_size, *shape)) for shape in shapes))
  step = jax.jit(lambda *args: train_step(setup, *args))
  cost = step.lower(training.start, batch, jax.random.PRNGKey(0)).compile().cost_analysis()
  return cost["flops"]


def measure(config: ml_collections.ConfigDict, steps: int, repeats: int) -> dict[str, float]:
  """Medians over interleaved timings of steps and products, so that both see the same machine."""
  config.data.name = "fake"
  train_set, _ = batches.load(config)
  training = trainer.prepare(config, None, train_set, batches.assembler(config), ())
  step, product = step_timer(training, steps), product_timer()
  times, rates = zip(*((step(), product()) for _ in range(repeats)))
  seconds_a_step = statistics.median(times)
  results = {
      "step_ms": seconds_a_step * 1e3, "step_ms_min": min(times) * 1e3,
      "step_ms_max": max(times) * 1e3, "images_per_second": config.batch_size / seconds_a_step,
      "product_gflop_per_second": statistics.median(rates) / 1e9,
  }
  # XLA counts a loop's body once, and the convolutions of models/strided.py are loops on CPU.
  if config.model.family == "mlp":
    flops = step_flops(training)
    results["step_gflop"] = flops / 1e9
    results["share_of_product_rate"] = statistics.median(
        flops / t / r for t, r in zip(times, rates)
    )
  return results


def main(argv: Sequence[str]) -> None:
  """Prints one JSON object."""
  del argv
  configs.validate(CONFIG.value)
  results = measure(CONFIG.value, STEPS.value, REPEATS.value)
  print(json.dumps({name: round(value, 3) for name, value in results.items()}))


if __name__ == "__main__":
  flags.mark_flag_as_required("config")
  program.run(main)

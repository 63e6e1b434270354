"""The machine's own rates, of matrix products and of memory, to hold a program against."""

from collections.abc import Callable
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bigan_jax.models import precision

COPIED = 2**26  # float32 numbers, 256 MiB

Timer = Callable[[], float]


class Yardstick(NamedTuple):
  """How much work measures a machine's rates.

  side: of square products; times: of products, or copies, in each timing.
  """

  side: int
  times: int


def yardstick(platform: str) -> Yardstick:
  """Enough to fill the machine, and for tens of milliseconds: those of GPUs are fast, and large."""
  return Yardstick(2048, 10) if platform == "cpu" else Yardstick(8192, 100)


def product_timer(kind: str, size: Yardstick) -> Timer:
  """A timing of square products at one of rules.PRECISIONS; gives FLOP/s."""
  a = jax.random.normal(jax.random.PRNGKey(0), (size.side, size.side)) / size.side**0.5
  a = precision.narrow_input(a, kind)
  chain = jax.jit(lambda a, b: jax.lax.fori_loop(0, size.times, lambda _, b: a @ b, b))
  with jax.default_matmul_precision(precision.PRODUCTS[kind]):
    compiled = chain.lower(a, a).compile()
  return _rate(lambda: compiled(a, a), 2 * size.side**3 * size.times)


def memory_timer(size: Yardstick) -> Timer:
  """A timing of reading and writing arrays too large for any cache; gives bytes/s."""
  a = jnp.ones(COPIED)
  chain = jax.jit(lambda a: jax.lax.fori_loop(0, size.times, lambda i, a: a * 1.5 - i, a))
  return _rate(lambda: chain(a), 2 * a.nbytes * size.times)


def _rate(run: Callable[[], jax.Array], work: float) -> Timer:
  def time_once() -> float:
    began = time.perf_counter()
    jax.block_until_ready(run())
    return work / (time.perf_counter() - began)
  return time_once

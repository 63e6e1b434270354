"""A benchmark that takes little to know the machine: `python -m tests.benchmark.little_rated`."""

from collections.abc import Callable
import runpy

from bigan_jax.benchmark import rates

SMALL = rates.Yardstick(256, 10)


def rate_little(set_attribute: Callable[[object, str, object], None]) -> None:
  """Products and copies are small; how large they are is tested in rates_test.py."""
  set_attribute(rates, "yardstick", lambda platform: SMALL)
  set_attribute(rates, "COPIED", 2**16)


if __name__ == "__main__":
  rate_little(setattr)
  runpy.run_module("bigan_jax.benchmark", run_name="__main__", alter_sys=True)

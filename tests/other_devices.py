"""Calls a function of a test module in a process of its own, which sees more devices."""

import importlib
import os
import pathlib
import subprocess
import sys

import jax

ROOT = pathlib.Path(__file__).parents[1]


def call(
    python: pathlib.Path, devices: int, module: str, function: str, *arguments: object
) -> None:
  """Calls module.function(*arguments), as texts; raises CalledProcessError if it fails.

  Args:
    python: the fixture `forked_python`.
  """
  flags = f"--xla_force_host_platform_device_count={devices} {os.environ.get('XLA_FLAGS', '')}"
  command = [python, "-m", __name__, str(devices), module, function, *map(str, arguments)]
  subprocess.run(command, env=os.environ | {"XLA_FLAGS": flags}, cwd=ROOT, check=True)


if __name__ == "__main__":
  _, count, place, name, *words = sys.argv
  assert jax.device_count() == int(count)
  getattr(importlib.import_module(place), name)(*words)

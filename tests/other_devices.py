"""Calls a function of a test module in a process of its own, which sees more devices."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
CODE = (
    "import importlib, sys, jax; assert jax.device_count() == int(sys.argv[1]);"
    " getattr(importlib.import_module(sys.argv[2]), sys.argv[3])(*sys.argv[4:])"
)


def call(devices: int, module: str, function: str, *arguments: object) -> None:
  """Calls module.function(*arguments), as texts; raises CalledProcessError if it fails."""
  flags = f"--xla_force_host_platform_device_count={devices} {os.environ.get('XLA_FLAGS', '')}"
  environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
  words = [str(devices), module, function, *map(str, arguments)]
  subprocess.run([sys.executable, "-c", CODE, *words], env=environment, cwd=ROOT, check=True)

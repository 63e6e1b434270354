"""The commands that pip installs; they hear Ctrl-C before they import what takes long."""

import importlib

from bigan_jax.settings import interrupts


def bigan() -> None:
  """`python -m bigan_jax.main`."""
  _start("main")


def bigan_anomaly() -> None:
  """`python -m bigan_jax.anomaly`."""
  _start("anomaly")


def bigan_atlas() -> None:
  """`python -m bigan_jax.atlas`."""
  _start("atlas")


def bigan_export() -> None:
  """`python -m bigan_jax.export`."""
  _start("export")


def bigan_features() -> None:
  """`python -m bigan_jax.features`."""
  _start("features")


def _start(program: str) -> None:
  """Runs a program of the hall, by its name, since nothing here may import what stands above."""
  interrupts.end_at_once()
  importlib.import_module(f"bigan_jax.{program}").command()

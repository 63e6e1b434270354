"""The commands that pip installs; they hear Ctrl-C before they import what takes long."""

from bigan_jax.settings import interrupts


def bigan() -> None:
  """`python -m bigan_jax.main`."""
  interrupts.end_at_once()
  from bigan_jax import main

  main.command()


def bigan_export() -> None:
  """`python -m bigan_jax.export`."""
  interrupts.end_at_once()
  from bigan_jax import export

  export.command()


def bigan_features() -> None:
  """`python -m bigan_jax.features`."""
  interrupts.end_at_once()
  from bigan_jax import features

  features.command()

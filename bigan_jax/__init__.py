"""Bidirectional GANs (Donahue, Kraehenbuehl, Darrell, "Adversarial Feature Learning") in JAX.

`bigan_jax.train(CONFIG, FOLDER)` trains, `bigan_jax.load(FOLDER)` gives the trained networks of a
run, or exported ones, as functions; `bigan_jax.AnomalyDetector(MODEL)` finds what does not belong.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # For who reads types; nothing of this is imported.
  from bigan_jax.evaluation.anomaly.detector import AnomalyDetector as AnomalyDetector
  from bigan_jax.exchange.loaded import load as load
  from bigan_jax.transfer.jobs import train_and_load as train

__version__ = "0.1.0"
__all__ = ("AnomalyDetector", "load", "train")
# Brought in when they are asked for: they need jax, which command lines are read without.
_PLACES = {
    "AnomalyDetector": ("bigan_jax.evaluation.anomaly.detector", "AnomalyDetector"),
    "load": ("bigan_jax.exchange.loaded", "load"),
    "train": ("bigan_jax.transfer.jobs", "train_and_load"),
}


def __getattr__(name: str) -> Any:
  """What stands in _PLACES."""
  if name in _PLACES:
    module, function = _PLACES[name]
    return getattr(importlib.import_module(module), function)
  raise AttributeError(f"module 'bigan_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
  return [*__all__, *(name for name in globals() if name.startswith("__"))]

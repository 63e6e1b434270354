"""Bidirectional GANs (Donahue, Kraehenbuehl, Darrell, "Adversarial Feature Learning") in JAX.

`bigan_jax.load(FOLDER)` gives the trained networks of a run, or exported ones, as functions.
"""

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
  """`load`, brought in when it is asked for: it needs jax, which command lines are read without."""
  if name == "load":
    return importlib.import_module("bigan_jax.exchange.loaded").load
  raise AttributeError(f"module 'bigan_jax' has no attribute {name!r}")

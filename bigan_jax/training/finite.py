"""Stops training at NaN or infinity, in one sentence that names the step and the first array."""

import chex
import jax
import numpy as np


def check_metrics(metrics: chex.ArrayTree, first: int) -> None:
  """Raises FloatingPointError for the first step and array that is NaN or infinite.

  Args:
    metrics: of consecutive steps, number `first` and on; a step's losses precede its gradients.
  """
  leaves = jax.tree_util.tree_leaves_with_path(metrics)
  bad = [(int(np.argmin(np.isfinite(v))), path) for path, v in leaves if not np.isfinite(v).all()]
  if bad:
    step, path = min(bad, key=lambda pair: (pair[0], pair[1][0].key != "loss"))
    raise FloatingPointError(_sentence(path, first + step))


def check_state(state: chex.ArrayTree, step: int) -> None:
  """Raises FloatingPointError for an array of the state at `step` that is NaN or infinite.

  Adam's second moments overflow where gradients are finite, and stop training without a trace.
  """
  for path, leaf in jax.tree_util.tree_leaves_with_path(state):
    if not np.isfinite(leaf).all():
      raise FloatingPointError(_sentence(path, step))


def _sentence(path: tuple, step: int) -> str:
  name = jax.tree_util.keystr(path, simple=True, separator="/")
  return (
      f"Training met NaN or infinity in {name} at step {step}; the newest checkpoint is from before"
      ": lower config.optim.rate, or change config.seed, and start a new --workdir."
  )

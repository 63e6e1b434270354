"""An evaluation in the loop of training with labels: a row, the network, a line on the console."""

from collections.abc import Callable
import time

import jax

from bigan_jax.runs.workdir import RunFolder
from bigan_jax.training import console, finite, parallel
from bigan_jax.transfer.sgd import Steps
from bigan_jax.transfer.supervised_step import HeadState

NETWORK = "head"  # the item of run folders that holds all layers


def evaluate(
    run: RunFolder, rate: Steps, judge: Callable[[dict], dict[str, float]], table: console.Table,
    state: HeadState, step: int,
) -> None:
  """Judges, and writes the network and a row.

  Args:
    judge: (all layers) -> numbers for the table and metrics.jsonl.
    table: that they are shown in.
    state: replicated over devices.
  """
  began = time.time()
  state = jax.device_get(parallel.unreplicate(state))
  finite.check_state(state, step)
  epoch, over = divmod(step, rate.steps_per_epoch)
  row = {"step": step, "epoch": epoch, "rate": float(rate(step))}
  row |= training_measures(state, over or rate.steps_per_epoch)
  layers = {**state.frozen, **state.params}
  row |= judge(layers)
  row["evaluation_seconds"] = round(time.time() - began, 1)
  run.save_networks(step, {NETWORK: {"params": layers}}, row)
  run.write_row(row)  # After it: a step that has its row is not evaluated again.
  table.print(shown(row), 8)


def training_measures(state: HeadState, steps: int) -> dict[str, float]:
  """{"train_loss": ...}: means over the `steps` steps of the epoch so far; {} before the first."""
  if not int(state.step):
    return {}
  return {f"train_{name}": float(total) / steps for name, total in state.sums.items()}


def shown(row: dict[str, float]) -> dict[str, str]:
  """The results as texts."""
  text = lambda value: str(value) if isinstance(value, int) else f"{value:.4g}"
  hidden = ("step", "evaluation_seconds")
  return {name: text(value) for name, value in row.items() if name not in hidden}

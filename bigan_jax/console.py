"""What a person reads while a run goes on: what starts, one progress line, tables of results."""

import sys

import jax
import ml_collections
import numpy as np
import tqdm

from bigan_jax import processes
from bigan_jax.clock import Clock
from bigan_jax.state import TrainState
from bigan_jax.train_step import Metrics

COLUMNS = ("epoch", "JD", "D", "G", "E", "NND", "NNC_e", "NNC_e-", "NNC_d", "CLS_e-", "CLS_d",
           "EGr", "EGr_b", "EGg", "EGg_b")
LOSSES = ("JD", "D", "G", "E")


def greet(config: ml_collections.ConfigDict, when: Clock, start: TrainState, step: int) -> None:
  """Says what is about to run from `step` on."""
  sizes = {p: sum(a.size for a in jax.tree.leaves(v)) for p, v in start.params.items()}
  devices = jax.device_count()
  each = f", {config.batch_size // devices} on each device" if devices > 1 else ""
  print(
      f"{config.objective} ({config.recipe}) on {devices} x {jax.devices()[0].device_kind}: "
      f"{', '.join(f'{p} {n:,}' for p, n in sizes.items())} parameters; batches of "
      f"{config.batch_size}{each}; {when.steps_per_epoch} steps an epoch, from epoch "
      f"{step / when.steps_per_epoch:g} to {when.stop_epoch}."
  )


def progress_bar(when: Clock, step: int, batch_size: int) -> tqdm.tqdm:
  """One line with images/s, time left and losses; a line each half minute where it is a file."""
  return tqdm.tqdm(
      total=when.last_step * batch_size, initial=step * batch_size, unit="img", unit_scale=True,
      dynamic_ncols=True, mininterval=0.5 if sys.stderr.isatty() else 30,
      disable=not processes.first(),
  )


def advance(bar: tqdm.tqdm, metrics: Metrics, images: int) -> None:
  """Moves the progress line on by a dispatch."""
  losses = {player: f"{np.mean(values):.4f}" for player, values in metrics["loss"].items()}
  bar.set_postfix(losses, refresh=False)
  bar.update(images)


def print_row(row: dict[str, float]) -> None:
  """The chief results under their names; all numbers are in metrics.jsonl."""
  names = [name for name in COLUMNS if name in row]
  cells = [
      f"{row[n]:6d}" if n == "epoch" else f"{row[n]:6.{4 if n in LOSSES else 2}f}" for n in names
  ]
  with tqdm.tqdm.external_write_mode():
    print("  ".join(f"{name:>6}" for name in names))
    print("  ".join(cells), flush=True)

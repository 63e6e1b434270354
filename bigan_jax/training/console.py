"""What a person reads while a run goes on: what starts, one progress line, tables of results."""

import sys

import jax
import ml_collections
import numpy as np
import tqdm

from bigan_jax.machine import processes
from bigan_jax.training.state import TrainState
from bigan_jax.training.timetable import Timetable
from bigan_jax.training.train_step import Metrics

COLUMNS = ("epoch", "JD", "D", "G", "E", "NND", "NNC_e", "NNC_e-", "NNC_d", "CLS_e-", "CLS_d",
           "EGr", "EGr_b", "EGg", "EGg_b")
LOSSES = ("JD", "D", "G", "E")


def greeting(
    config: ml_collections.ConfigDict, when: Timetable, start: TrainState, step: int
) -> str:
  """What is about to run from `step` on."""
  sizes = {p: sum(a.size for a in jax.tree.leaves(v)) for p, v in start.params.items()}
  devices = jax.device_count()
  each = f", {config.batch_size // devices} on each device" if devices > 1 else ""
  return (
      f"{config.objective} ({config.recipe}) on {devices} x {jax.devices()[0].device_kind}: "
      f"{', '.join(f'{p} {n:,}' for p, n in sizes.items())} parameters; batches of "
      f"{config.batch_size}{each}; {when.steps_per_epoch} steps an epoch, from epoch "
      f"{step / when.steps_per_epoch:g} to {when.stop_epoch}."
  )


def progress_bar(when: Timetable, step: int, batch_size: int) -> tqdm.tqdm:
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
  print_cells({name: _shown(name, row[name]) for name in COLUMNS if name in row}, 6)


def _shown(name: str, value: float) -> str:
  return str(value) if name == "epoch" else f"{value:.{4 if name in LOSSES else 2}f}"


def print_cells(cells: dict[str, str], width: int, header: bool = True) -> None:
  """Texts in columns of at least `width`, under their names, above the progress line."""
  widths = {name: max(len(name), width) for name in cells}
  with tqdm.tqdm.external_write_mode():
    if header:
      print("  ".join(f"{name:>{w}}" for name, w in widths.items()))
    print("  ".join(f"{cells[name]:>{w}}" for name, w in widths.items()), flush=True)

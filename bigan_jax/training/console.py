"""What a person reads while a run goes on: what starts, one progress line, tables of results."""

from collections.abc import Iterable, Iterator
import functools
import sys
from typing import TypeVar

import jax
import ml_collections
import numpy as np
import tqdm

from bigan_jax.machine import processes, progress
from bigan_jax.settings import measures
from bigan_jax.training.state import TrainState
from bigan_jax.training.timetable import Timetable
from bigan_jax.training.train_step import Metrics

COLUMNS = ("epoch", "JD", "D", "D_xx", "D_zz", "G", "E", "NND", "NNC_e", "NNC_e-", "NNC_d",
           "CLS_e-", "CLS_d", "EGr", "EGr_b", "EGg", "EGg_b", "AUROC", "frechet", "kernel",
           "precision", "recall", "density", "coverage")
FINE = ("JD", "D", "D_xx", "D_zz", "G", "E", "kernel")  # with four decimals
SCREEN = 20  # rows of a table, after which its header is printed again

Item = TypeVar("Item")


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
  """One line with images/s, time left and losses."""
  return progress.bar(
      when.last_step * batch_size, unit="img", initial=step * batch_size,
      quiet=not processes.first(),
  )


def over(items: Iterable[Item], total: int, title: str) -> Iterator[Item]:
  """The same items, with a progress line while they last."""
  return progress.over(items, total, title, quiet=not processes.first())


def blocks(rows: int, size: int, title: str) -> Iterator[int]:
  """The first row of each block of `size` rows, with a progress line while they last."""
  firsts = range(0, rows, size)
  return over(firsts, len(firsts), title)


def advance(bar: tqdm.tqdm, metrics: Metrics, images: int) -> None:
  """Moves the progress line on by a dispatch."""
  losses = {player: f"{np.mean(values):.4f}" for player, values in metrics["loss"].items()}
  bar.set_postfix(losses, refresh=False)
  bar.update(images)


class Table:
  """A table of results, of which a row is printed now and then, above the progress lines."""

  def __init__(self) -> None:
    self._columns: tuple[str, ...] = ()
    self._rows = 0  # since the header

  def print(self, cells: dict[str, str], width: int = 6) -> None:
    """Texts in columns of at least `width`, under their names once a screen."""
    names = {name: name + _arrow(name) for name in cells}
    widths = {name: max(len(shown), width) for name, shown in names.items()}
    with tqdm.tqdm.external_write_mode():
      if tuple(cells) != self._columns or self._rows == SCREEN:
        print("  ".join(f"{names[name]:>{w}}" for name, w in widths.items()))
        self._columns, self._rows = tuple(cells), 0
      print("  ".join(f"{cells[name]:>{w}}" for name, w in widths.items()), flush=True)
    self._rows += 1


def chief(row: dict[str, float]) -> dict[str, str]:
  """The chief results of a feature learner as texts; all numbers are in metrics.jsonl."""
  return {name: _shown(name, row[name]) for name in COLUMNS if name in row}


def _shown(name: str, value: float) -> str:
  return str(value) if name == "epoch" else f"{value:.{4 if name in FINE else 2}f}"


def _arrow(name: str) -> str:
  """Which way is better, as an arrow where standard output knows it."""
  way = measures.better(name)
  return _arrows(sys.stdout.encoding or "ascii").get(way, "")


@functools.cache
def _arrows(encoding: str) -> dict[str, str]:
  """{way: how it is written}."""
  try:
    "".join(measures.ARROWS.values()).encode(encoding)
  except UnicodeEncodeError:
    return {way: f" ({way})" for way in measures.ARROWS if way}
  return measures.ARROWS

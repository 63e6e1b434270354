"""What a run says at its end: how good it is, where its pictures are, and how to go on."""

from collections.abc import Sequence
import pathlib
from typing import Any

import ml_collections

from bigan_jax.runs import checkpoints, workdir


def verdict(rows: Sequence[dict[str, Any]], path: pathlib.Path) -> str:
  """One sentence about the last row of metrics.jsonl, beside that of step 0.

  Samples are as far from the pictures as a picture is, in the mean, from the nearest of them (NND).
  Parts whose numbers an objective lacks, or that are no numbers, are left out.
  """
  first, last = rows[0], rows[-1]
  parts = []
  if last.get("EGr") is not None and last.get("EGr_b"):
    share = last["EGr"] / last["EGr_b"]
    parts.append(f"reconstruction {share:.2f} of chance (1: the input is lost)")
  if last.get("NND") is not None:
    known = first["step"] == 0 < last["step"] and first.get("NND") is not None
    before = f" (before training {first['NND']:.2f})" if known else ""
    parts.append(f"samples {last['NND']:.2f} from the pictures{before}")
  found = ", ".join(parts) or "no number of the last evaluation is finite"
  name = workdir.name_of(path)
  return f"{name}: {found}; pictures in {name}/pictures."


def kept(best: checkpoints.Best) -> str:
  """Which networks stay beside the newest."""
  way = {"max": "highest", "min": "lowest"}[best.mode]
  return f"Kept as best: the networks of the {way} {best.metric} (config.eval.best)."


def over(config: ml_collections.ConfigDict, path: pathlib.Path) -> str:
  """That a run is finished, and how to go on."""
  name, epochs = workdir.name_of(path), config.epochs
  if config.stop_epoch and config.stop_epoch < epochs:
    return (
        f"{name} is finished: it stops at epoch {config.stop_epoch} of {epochs}. To go on, give a "
        f"later --config.stop_epoch, up to {epochs}: --config.stop_epoch={epochs}."
    )
  return (
      f"{name} is finished: its schedule ends at epoch {epochs}. A longer one needs "
      "--config.epochs=N and a new --workdir."
  )

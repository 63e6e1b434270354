"""Reads trained networks for whoever uses them: of a run, or exported; `--config.encoder=RUN`."""

from collections.abc import Callable
import pathlib
from typing import Any, NamedTuple, TypeVar

import ml_collections

from bigan_jax import models
from bigan_jax.exchange import exported, hub
from bigan_jax.models import Networks
from bigan_jax.runs import checkpoints

PyTree = Any
T = TypeVar("T")


class Pretrained(NamedTuple):
  """Trained networks with calibrated statistics, and what they were trained on.

  Attributes:
    config: of the run that trained them.
    networks: built without a device axis.
    variables: {player: {"params": ..., "batch_stats": ...}}, of the players that were asked for.
    step: after how many updates.
    metrics: the evaluation at that step.
  """

  config: ml_collections.ConfigDict
  networks: Networks
  variables: dict[str, PyTree]
  step: int
  metrics: dict[str, float | None]


def twice(read: Callable[[], T], step: str | int) -> T:
  """`read()`; if it fails, and no step was named by its number, once more.

  A run under way may have put newer networks in the place of those that were just found.
  """
  try:
    return read()
  except (ValueError, OSError):
    if str(step).isdigit():
      raise
    return read()


def read(path: str, players: tuple[str, ...], step: str | int = "latest") -> Pretrained:
  """Reads networks from a run folder, or from one that bigan_jax.export wrote or pushed.

  Args:
    path: the folder, or hf://USER/NAME@REVISION on the Hub.
    players: which of "G", "E", "D".
    step: "latest", "best", or a number, also as text; an export holds one, which all of them mean.

  Raises:
    FileNotFoundError: there is no such folder, or no network in it yet.
    ValueError: it has no such network or step.
    OSError: the network cannot be read.
    ImportError: of a name on the Hub, the extra is not installed.
  """
  path = hub.folder(path)
  folder = pathlib.Path(path).expanduser()
  if not path or not folder.is_dir():
    raise FileNotFoundError(f"There is no run folder {path!r}: name one that bigan_jax.main wrote.")
  variables, info = {}, {}
  if exported.is_export(folder):
    variables, info = exported.read(folder, players)
    step = checkpoints.as_number(step)
    if step not in ("latest", "best", info["step"]):
      raise ValueError(f"{path} has no step {step!r}; it was exported at {info['step']} alone.")
  else:
    for player in players:
      variables[player], info = checkpoints.restore_network(path, player, step)
  config = exported.config_of(info)
  return Pretrained(config, models.build(config.model), variables, info["step"], info["metrics"])

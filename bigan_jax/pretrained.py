"""Reads trained networks for the jobs that use them: `--config.encoder=RUN`."""

import pathlib
from typing import Any, NamedTuple

import ml_collections

from bigan_jax import checkpoints, models
from bigan_jax.models import Networks

PyTree = Any


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


def read(path: str, players: tuple[str, ...], step: str | int = "latest") -> Pretrained:
  """Reads networks from a run folder.

  Args:
    path: the run folder.
    players: which of "G", "E", "D".
    step: "latest", "best", or a number.

  Raises:
    FileNotFoundError: there is no such folder, or no network in it yet.
    ValueError: the run has no such network or step.
    OSError: the network cannot be read.
  """
  if not pathlib.Path(path).expanduser().is_dir():
    raise FileNotFoundError(f"There is no run folder {path!r}: name one that bigan_jax.main wrote.")
  variables, info = {}, {}
  for player in players:
    variables[player], info = checkpoints.restore_network(path, player, step)
  config = ml_collections.ConfigDict(info["config"])
  return Pretrained(config, models.build(config.model), variables, info["step"], info["metrics"])

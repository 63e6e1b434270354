"""What tests of jobs share: running one, and reading what it left behind."""

import json
import pathlib

import ml_collections

from bigan_jax.runs import checkpoints
from bigan_jax.transfer import jobs
from configs import image_folder


def run(config: ml_collections.ConfigDict, path: pathlib.Path) -> dict:
  """Runs a config's job; its results."""
  jobs.JOBS[config.job](config, str(path))
  return results(path)


def results(path: pathlib.Path) -> dict:
  return json.loads((path / "results.json").read_text())


def rows(path: pathlib.Path) -> list[dict]:
  """Of metrics.jsonl, but for times."""
  found = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
  return [{k: v for k, v in row.items() if k != "evaluation_seconds"} for row in found]


def layers(path: pathlib.Path) -> dict:
  """Of a network that was trained with labels."""
  return checkpoints.restore_network(str(path), "head")[0]["params"]


def alexnet() -> ml_collections.ConfigDict:
  """A config of a narrow E that sees 16 pixels out of 20."""
  config = image_folder.get_config("bigan")
  config.data.name, config.data.edge = "fake", 20
  config.model.encoder_shape = (16, 16, 3)
  config.model.latent_dim, config.model.G.width, config.model.D.width = 3, 1, 1
  config.model.E.widths = (4, 8, 8, 8, 8)
  return config

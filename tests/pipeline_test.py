"""Test of everything together: real digits, from the data set to an encoder read back from disk."""

import json
import pathlib
from collections.abc import Callable

import ml_collections
import numpy as np
import pytest
import sklearn.neighbors
from PIL import Image

from bigan_jax import checkpoints, jobs, models
from bigan_jax.data import sources
from configs import digits


@pytest.fixture(scope="module")
def config() -> ml_collections.ConfigDict:
  """configs/digits.py, narrower and shorter."""
  config = digits.get_config()
  config.epochs = 60  # of 10 steps
  config.calibration_steps = 20
  config.eval.samples = 2000
  for player in "GED":
    config.model[player].width = 128
  return config


@pytest.fixture(scope="module")
def run(config: ml_collections.ConfigDict, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  path = tmp_path_factory.mktemp("run")
  jobs.train(config, str(path))
  return path


def rows(run: pathlib.Path) -> list[dict]:
  return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a(run):
  for r in rows(run): print(r)
  assert 0

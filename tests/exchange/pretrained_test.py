"""Tests of reading trained networks back from a run folder."""

from collections.abc import Callable
import pathlib

import jax
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.exchange import pretrained
from bigan_jax.transfer import jobs


@pytest.fixture(scope="module")
def run(tiny: Callable, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  path = tmp_path_factory.mktemp("run")
  jobs.train(tiny("bigan"), str(path))
  return path


def test_networks_come_back_as_they_were_built(tiny: Callable, run: pathlib.Path) -> None:
  read = pretrained.read(str(run), ("E", "G"))
  config = tiny("bigan")
  assert read.networks == models.build(config.model)
  assert set(read.variables) == {"E", "G"} and read.step == 5
  assert read.config.model.latent_dim == config.model.latent_dim
  assert read.metrics["NNC_e-"] > 10
  key = jax.random.PRNGKey(0)
  expected = read.networks.E.init(key, np.zeros((1, 8, 8, 1), np.float32))["params"]
  shapes = lambda tree: jax.tree.map(np.shape, dict(tree))
  assert shapes(read.variables["E"]["params"]) == shapes(expected)
  logits, _ = read.networks.E.apply(read.variables["E"], np.zeros((2, 8, 8, 1), np.float32))
  assert logits.shape == (2, 5) and np.isfinite(logits).all()


def test_a_step_can_be_asked_for(run: pathlib.Path) -> None:
  assert pretrained.read(str(run), ("E",), "best").step == 5
  with pytest.raises(ValueError, match="no step 3"):
    pretrained.read(str(run), ("E",), 3)


def test_what_is_missing_is_named(run: pathlib.Path, tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match="no run folder '/nowhere'"):
    pretrained.read("/nowhere", ("E",))
  with pytest.raises(FileNotFoundError, match="no saved networks"):
    pretrained.read(str(tmp_path), ("E",))
  with pytest.raises(ValueError, match="no network 'F'"):
    pretrained.read(str(run), ("F",))

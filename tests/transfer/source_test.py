"""Tests of what a run folder has to transfer."""

from collections.abc import Callable
import json
import pathlib

import jax
import ml_collections
import numpy as np
import pytest

from bigan_jax.runs.workdir import open_run
from bigan_jax.transfer import merging, source
from configs import frozen_layers, image_folder, imagenet_highres

WIDTHS = (4, 8, 8, 8, 8)


def saved(path: pathlib.Path, config: ml_collections.ConfigDict, networks: dict) -> str:
  """A run folder with networks in it, of step 7."""
  with open_run(str(path), config.to_dict()) as run:
    run.save_networks(7, networks, {"step": 7})
  return str(path)


def pictures(variant: str, highres: bool = False) -> ml_collections.ConfigDict:
  """A config of AlexNets of next to no width."""
  config = (imagenet_highres if highres else image_folder).get_config(variant)
  config.model.latent_dim, config.model.G.width = 3, 1
  config.model.E.widths = WIDTHS
  if "widths" in config.model.D:
    config.model.D.widths = WIDTHS
  else:
    config.model.D.width = 1
  return config


@pytest.mark.parametrize("variant, highres, player, side, generalised", [
    ("bigan", False, "E", 64, False), ("latent_regressor", False, "E", 64, False),
    ("gan", False, "D", 64, False), ("bigan", True, "E", 112, True), ("gan", True, "D", 64, False),
])
def test_the_feature_learner_of_a_run(
    made_up: Callable, tmp_path: pathlib.Path, variant: str, highres: bool, player: str, side: int,
    generalised: bool,
) -> None:
  config = pictures(variant, highres)
  _, variables = made_up(config)
  found = source.read(saved(tmp_path, config, variables))
  assert (found.learner, found.step, found.generalised) == (variant, 7, generalised)
  assert found.shape == (side, side, 3) and found.config.model.latent_dim == 3
  assert list(found.layers) == [f"conv{i}" for i in range(1, 6)]
  jax.tree.map(np.testing.assert_array_equal, found.layers, merging.merge(variables[player]))


def test_a_network_trained_with_labels(tmp_path: pathlib.Path) -> None:
  config = frozen_layers.get_config("supervised")
  config.model.family, config.model.widths = "mlp", (6, 5)
  layer = lambda n: {"kernel": np.full((2, 2), n), "bias": np.full(2, n)}
  layers = {"fc1": layer(1.0), "fc2": layer(2.0), "out": layer(3.0)}
  path = saved(tmp_path, config, {"head": {"params": layers}})
  for step in ("latest", "7"):
    found = source.read(path, step)
    assert (found.learner, found.step, found.generalised) == ("labels", 7, False)
    assert found.shape == (64, 64, 3) and list(found.layers) == ["fc1", "fc2"]
    assert found.layers["fc2"]["bias"].tolist() == [2, 2]
  with pytest.raises(ValueError, match="has no step 8"):
    source.read(path, "8")


def test_folders_without_an_encoder_are_refused(tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match="no run folder"):
    source.read(str(tmp_path / "none"))
  with open_run(str(tmp_path / "empty"), pictures("bigan").to_dict()):
    pass
  with pytest.raises(FileNotFoundError, match="holds no saved networks"):
    source.read(str(tmp_path / "empty"))
  (tmp_path / "config.json").write_text(json.dumps({"job": "linear_probe"}))
  with pytest.raises(FileNotFoundError, match="holds no saved networks"):
    source.read(str(tmp_path))


def test_names_of_layers() -> None:
  model = ml_collections.ConfigDict({"family": "mlp", "widths": (3, 4)})
  assert source.hidden_layers(model) == ("fc1", "fc2")
  model = frozen_layers.get_config().model
  assert source.hidden_layers(model) == ("conv1", "conv2", "conv3", "conv4", "conv5")

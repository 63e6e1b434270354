"""Exported weights: what a file holds, that it comes back, and what is said of other files."""

from collections.abc import Callable
import json
import pathlib

import chex
import jax
import ml_collections
import numpy as np
import pytest
import safetensors.numpy

from bigan_jax import models
from bigan_jax.exchange import exported, loaded
from bigan_jax.models import merging
from configs import imagenet_highres

Variables = dict[str, chex.ArrayTree]


def convolutional(recipe: str) -> ml_collections.ConfigDict:
  """The generalised BiGAN, narrow and small."""
  config = imagenet_highres.get_config(f"bigan,recipe={recipe}")
  config.model.image_shape, config.model.encoder_shape = (16, 16, 3), (40, 40, 3)
  config.data.edge = 48
  config.model.latent_dim, config.model.G.width = 6, 2
  config.model.E.widths = (4, 8, 8, 8, 8)
  return config


@pytest.fixture(params=["digits", "digits official", "conv paper", "conv official"])
def case(request: pytest.FixtureRequest, tiny: Callable, made_up: Callable) -> tuple:
  """(config, networks, variables)."""
  name, _, recipe = request.param.partition(" ")
  if name == "digits":
    config = tiny(f"bigan,recipe={recipe}" if recipe else "")
  else:
    config = convolutional(recipe)
  return config, *made_up(config)


def write(folder: pathlib.Path, config: ml_collections.ConfigDict, variables: Variables,
          merged: bool = False, **more: int) -> None:
  info = {"config": config.to_dict(), "step": 3, "metrics": {"NND": 2.5}, **more}
  exported.write(folder / exported.FILE, variables, info, merged)


def outputs(networks: models.Networks, config: ml_collections.ConfigDict, variables: Variables
            ) -> list[np.ndarray]:
  """Everything that E and G compute of fixed inputs."""
  rs = np.random.RandomState(1)
  x = np.float32(rs.uniform(-1, 1, (3, *config.model.encoder_shape)))
  z = np.float32(rs.uniform(-1, 1, (3, config.model.latent_dim)))
  apply = {player: jax.jit(getattr(networks, player).apply) for player in "EG"}
  found = [apply["E"](variables["E"], x), apply["G"](variables["G"], z)]
  return jax.tree.map(np.asarray, jax.tree.leaves(found))


def test_networks_come_back_exactly(tmp_path: pathlib.Path, case: tuple) -> None:
  config, networks, variables = case
  write(tmp_path, config, variables)
  found, info = exported.read(tmp_path, ("E", "G"))
  assert set(found) == {"E", "G"} and info["step"] == 3 and info["metrics"] == {"NND": 2.5}
  assert exported.config_of(info).to_dict() == config.to_dict()
  expected = {p: variables[p] for p in found}
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  jax.tree.map(np.testing.assert_array_equal, *({p: v[p]["params"] for p in found}
                                                for v in (found, expected)))
  for a, b in zip(outputs(networks, config, found), outputs(networks, config, variables)):
    np.testing.assert_array_equal(a, b)


def test_merged_networks_compute_the_same(tmp_path: pathlib.Path, case: tuple) -> None:
  config, networks, variables = case
  merged = {p: merging.merge(v) for p, v in variables.items()}
  write(tmp_path, config, merged, merged=True)
  tensors = safetensors.numpy.load_file(tmp_path / exported.FILE)
  assert not [name for name in tensors if "_bn" in name]
  assert tensors["E.fc2.bias" if config.model.family == "mlp" else "E.conv2.bias"].ndim == 1
  found, _ = exported.read(tmp_path, ("E", "G"))
  for a, b, c in zip(outputs(networks, config, found), outputs(networks, config, variables),
                     outputs(networks, config, merged)):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())
    np.testing.assert_array_equal(a, c)


def test_what_the_file_says_to_others(tmp_path: pathlib.Path, tiny: Callable, made_up: Callable
                                      ) -> None:
  config = tiny()
  _, variables = made_up(config)
  write(tmp_path, config, variables)
  tensors = safetensors.numpy.load_file(tmp_path / exported.FILE)
  stats = variables["E"]["batch_stats"]["fc2_bn"]
  np.testing.assert_allclose(tensors["E.fc2_bn.mean"], stats["mean"] / 3, rtol=1e-6)
  assert tensors["E.fc1.kernel"].shape == (64, 16) and "E.fc2_bn.count" not in tensors
  with safetensors.safe_open(tmp_path / exported.FILE, framework="numpy") as file:
    metadata = file.metadata()
  assert metadata.pop("format") == "flax"  # As the hub's readers want it: no JSON.
  metadata = {key: json.loads(value) for key, value in metadata.items()}
  assert metadata["version"] == exported.VERSION and metadata["merged"] is False
  assert metadata["config"]["model"]["latent_dim"] == 5


def test_files_that_cannot_be_used(tmp_path: pathlib.Path, tiny: Callable, made_up: Callable
                                   ) -> None:
  config, path = tiny(), tmp_path / exported.FILE
  _, variables = made_up(config)
  only_E = {"E": variables["E"]}
  write(tmp_path, config, only_E, version=exported.VERSION + 1)
  with pytest.raises(ValueError, match="has version 2, of bigan_jax .*, newer than the 1 .* upgra"):
    exported.read(tmp_path, ("E",))
  write(tmp_path, config, only_E)
  with pytest.raises(ValueError, match="has no network 'G': name the run folder"):
    exported.read(tmp_path, ("E", "G"))
  content = path.read_bytes()
  for cut in (0, 20, len(content) - 4):
    path.write_bytes(content[:cut])
    with pytest.raises(OSError, match="model.safetensors is damaged .*: export it again"):
      exported.read(tmp_path, ("E",))
  for metadata in (None, {"format": "pt"}, {"format": "flax"}):
    safetensors.numpy.save_file({"a": np.zeros(3)}, path, metadata)
    with pytest.raises(ValueError, match="is not from bigan_jax.export"):
      exported.read(tmp_path, ("E",))


def test_a_file_of_the_first_version(tmp_path: pathlib.Path, tiny: Callable, made_up: Callable
                                     ) -> None:
  """Its metadata said "format" where it is "version" now, and D was left out."""
  config, path = tiny(), tmp_path / exported.FILE
  _, variables = made_up(config)
  write(tmp_path, config, {p: variables[p] for p in "EG"})
  with safetensors.safe_open(path, framework="numpy") as file:
    metadata = file.metadata()
  metadata["format"] = metadata.pop("version")
  safetensors.numpy.save_file(safetensors.numpy.load_file(path), path, metadata)
  found, info = exported.read(tmp_path, ("E",))
  jax.tree.map(np.testing.assert_array_equal, found["E"]["params"], variables["E"]["params"])
  assert info["step"] == 3 and exported.players(tmp_path) == ("E", "G")
  model = loaded.load(str(tmp_path))
  assert sorted(model.sizes) == ["E", "G"]
  with pytest.raises(ValueError, match="There is no D, since the export .* holds none: export its"):
    model.D(np.zeros((1, 8, 8, 1)), np.zeros((1, 5)))


def test_other_arrays_than_the_config_s(tmp_path: pathlib.Path, tiny: Callable, made_up: Callable
                                        ) -> None:
  config = tiny()
  _, variables = made_up(config)
  config.model.E.width = 17
  write(tmp_path, config, variables)
  with pytest.raises(ValueError, match=r"holds \[16\] as E.fc2_bn.mean, .* \[17\]"):
    exported.read(tmp_path, ("E",))


def test_networks_that_are_not_finite(tmp_path: pathlib.Path, tiny: Callable, made_up: Callable
                                      ) -> None:
  _, variables = made_up(tiny())
  variables["E"]["batch_stats"]["fc2_bn"]["count"] = 0.0
  with pytest.warns(RuntimeWarning), pytest.raises(ValueError, match="E.fc2_bn.mean is not finite"):
    write(tmp_path, tiny(), variables)

"""The authors' files become run folders that compute what their code computes."""

from collections.abc import Callable
import json
import pathlib
import subprocess

import jax
import joblib
import ml_collections
import numpy as np
import pytest

import bigan_jax
from bigan_jax import export, import_official, models
from bigan_jax.exchange import official_arrays, pretrained
from bigan_jax.runs import workdir
from configs import digits, imagenet, linear_probe, mnist
from tests import golden_test

NAMES = {"E": "encode", "G": "gen", "D": "joint_discrim"}


def write_files(prefix: pathlib.Path, arrays: dict, D: str = "joint_discrim") -> None:
  for player, of_player in arrays.items():
    name = D if player == "D" else NAMES[player]
    joblib.dump(of_player, f"{prefix}_{name}_params.jl", compress=3 if player == "G" else 0)


def golden_config(name: str) -> ml_collections.ConfigDict:
  """The config of a golden run's networks."""
  objective = "latent_regressor" if "regressor" in name else "bigan"
  config = (mnist if "mnist" in name else imagenet).get_config(f"{objective},recipe=official")
  model = golden_test.CASES[name].model
  if config.data.edge:
    config.data.edge = max(72, model["encoder_shape"][0])
  config.model.update(model)
  return config


def calibrated(
    case: golden_test.Case, arrays: dict, batch: golden_test.Batch, z: np.ndarray
) -> dict:
  """The authors' arrays with the statistics of two passes over the batch (golden runs' own)."""
  model = ml_collections.ConfigDict(case.model)
  networks, variables = models.build(model), official_arrays.to_variables(arrays, model.family)
  for player, x in (("E", batch.x_encoder), ("G", z)):
    network, found = getattr(networks, player), variables[player]
    for _ in range(2):
      apply = jax.jit(
          lambda v, x, network=network: network.apply(v, x, train=True, mutable=["batch_stats"])
      )
      found = found | apply(found, x)[1]
    variables[player] = found
  for norm in variables["D"]["batch_stats"].values():
    norm["count"] = np.float32(2)  # D is imported, but nothing of it is compared.
  return official_arrays.to_official(variables, model.family)


# No config has both an E and the D of "imagenet_alexnet_gan".
CASES = [name for name in golden_test.CASES if "alexnet" not in name]


@pytest.mark.parametrize("name", CASES)
def test_imported_networks_give_the_stored_outputs(tmp_path: pathlib.Path, name: str) -> None:
  case = golden_test.CASES[name]
  facts = json.loads((golden_test.TESTDATA / f"{name}.json").read_text())
  arrays, _, batch, z = golden_test.rebuild(case, facts)
  with np.load(golden_test.TESTDATA / f"{name}.npz") as file:
    stored = dict(file)
  theirs = calibrated(case, arrays, batch, z)
  write_files(tmp_path / "100", theirs, "discrim" if "regressor" in name else "joint_discrim")
  import_official.import_run(str(tmp_path / "100"), golden_config(name), str(tmp_path / "run"))
  model = bigan_jax.load(str(tmp_path / "run"))
  with jax.default_matmul_precision("highest"):
    code, layers = model.E(batch.x_encoder)
    x = model.G(z)
  close = lambda found, key: golden_test.assert_close(np.asarray(found), stored[key], 1e-4)
  close(layers["logits"], "test|E(x)_logits")
  close(code, "test|E(x)_code")
  close(golden_test.channels_first(layers[model.feature_layer][:2]), "test|E(x)_features[:2]")
  close(golden_test.channels_first(x[:2]), "test|G(z)[:2]")


def test_a_plain_gan_of_pictures(tmp_path: pathlib.Path, made_up: Callable) -> None:
  """Whose D is AlexNet, of the authors' widths; it has no encoder."""
  config = imagenet.get_config("gan,recipe=official")
  config.model.update(latent_dim=3)
  config.model.G.width = 1
  networks, variables = made_up(config)
  arrays = official_arrays.to_official(variables, config.model.family)
  write_files(tmp_path / "9", arrays, "discrim")
  import_official.import_run(str(tmp_path / "9"), config, str(tmp_path / "run"))
  model, z = bigan_jax.load(str(tmp_path / "run")), np.linspace(-1, 1, 6, dtype="f").reshape(2, 3)
  assert model.E is None
  x = networks.G.apply(variables["G"], z)[0]
  np.testing.assert_allclose(model.G(z), x, rtol=1e-5, atol=1e-5)
  logits = networks.D.apply(variables["D"], x)[0]
  np.testing.assert_allclose(model.D(x)[0], logits, rtol=1e-4, atol=1e-4)


@pytest.fixture
def small(tiny: Callable, made_up: Callable) -> tuple[ml_collections.ConfigDict, dict]:
  """A config of the official recipe, and files' arrays of its networks."""
  config = tiny("bigan,recipe=official")
  return config, official_arrays.to_official(made_up(config)[1], "mlp")


def test_import_evaluate_export_load(tmp_path: pathlib.Path, small: tuple, made_up: Callable
                                     ) -> None:
  config, arrays = small
  write_files(tmp_path / "9", arrays)
  import_official.import_run(str(tmp_path / "9"), config, str(tmp_path / "run"), judged=True)
  row, = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
  assert {"NND", "NNC_e-", "EGr", "EGr_b"} <= row.keys() and "CLS_e-" not in row
  export.export(str(tmp_path / "run"), str(tmp_path / "out"), ["safetensors"])
  run, out = (bigan_jax.load(str(tmp_path / name)) for name in ("run", "out"))
  assert out.metrics == run.metrics and run.metrics["EGr"] == row["EGr"]
  networks, variables = made_up(config)
  pictures = np.random.RandomState(0).rand(5, 8, 8, 1).astype(np.float32)
  logits = networks.E.apply(variables["E"], pictures)[0]
  for model in (run, out):
    np.testing.assert_allclose(model.E(pictures)[1]["logits"], logits, rtol=1e-5, atol=1e-5)
  config_there = pretrained.read(str(tmp_path / "run"), ("E",)).config
  export.forget_paths(config_there)
  assert config_there.imported == "9" and str(tmp_path) not in config_there.to_json()
  found = pretrained.read(str(tmp_path / "out"), ("E", "G")).variables
  again = import_official.evaluate(config, {**variables, **found})
  assert again["EGr"] == pytest.approx(row["EGr"], rel=1e-5) and again["NNC_e"] == row["NNC_e"]


def test_nobody_trains_in_it(tmp_path: pathlib.Path, small: tuple) -> None:
  config, arrays = small
  write_files(tmp_path / "9", arrays)
  import_official.import_run(str(tmp_path / "9"), config, str(tmp_path / "run"))
  with pytest.raises(ValueError, match="another configuration: imported is .*9.* there"):
    workdir.open_run(str(tmp_path / "run"), config.to_dict())
  with pytest.raises(FileExistsError, match="run is there already: choose another"):
    import_official.import_run(str(tmp_path / "9"), config, str(tmp_path / "run"))


def test_wrong_arrays_are_named(tmp_path: pathlib.Path, small: tuple) -> None:
  config, arrays = small
  def refused(player: str, change: Callable[[list], list], said: str) -> None:
    write_files(tmp_path / "9", {**arrays, player: change(list(arrays[player]))})
    with pytest.raises(ValueError, match=said):
      import_official.import_run(str(tmp_path / "9"), config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
  def replaced(index: int, array: np.ndarray) -> Callable[[list], list]:
    return lambda of_player: [*of_player[:index], array, *of_player[index + 1:]]
  refused("G", lambda a: a[:-1], "9_gen_params.jl should hold 10 arrays of G, found 9")
  refused("E", replaced(1, np.zeros((16, 15), np.float32)),
          r"9_encode_params.jl: array 1 \(fc2/kernel\) .* shape \(16, 16\), found \(16, 15\)")
  refused("D", replaced(0, np.full_like(arrays["D"][0], np.nan)),
          r"9_joint_discrim_params.jl: array 0 \(fc1/kernel\) holds NaN or infinity")
  refused("E", replaced(2, np.float32(0)), r"array 2 \(fc2_bn/count\) is 0.0, so no statistics")
  refused("E", replaced(0, np.array([None])), "dtype 'O8', but a list of arrays was expected")
  (tmp_path / "9_gen_params.jl").unlink()
  with pytest.raises(FileNotFoundError, match="no file .*9_gen_params.jl: --params names"):
    import_official.import_run(str(tmp_path / "9"), config, str(tmp_path / "run"))


@pytest.mark.parametrize("config, said", [
    (lambda: digits.get_config(), "config.recipe is 'paper'.*:bigan,recipe=official"),
    (lambda: linear_probe.get_config(""), "config.job is 'linear_probe': give the config"),
])
def test_other_configs(tmp_path: pathlib.Path, config: Callable, said: str) -> None:
  with pytest.raises(ValueError, match=said):
    import_official.import_run(str(tmp_path / "9"), config(), str(tmp_path / "run"))


def test_the_command_line(
    tmp_path: pathlib.Path, small: tuple, tiny_flags: list[str], forked_python: pathlib.Path
) -> None:
  write_files(tmp_path / "9", small[1])
  def call(argument: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [forked_python, "-m", "bigan_jax.import_official", f"--params={tmp_path}/9",
         f"--workdir={tmp_path}/run", f"--config=configs/digits.py:{argument}", *tiny_flags],
        capture_output=True, text=True, timeout=120)
  failed = call("bigan")
  assert failed.returncode == 1 and failed.stderr.count("\n") == 1
  assert "config.recipe is 'paper'" in failed.stderr and not (tmp_path / "run").exists()
  done = call("bigan,recipe=official")
  assert done.returncode == 0 and "a run folder for bigan_jax.export" in done.stdout
  assert bigan_jax.load(str(tmp_path / "run")).metrics["step"] == 0

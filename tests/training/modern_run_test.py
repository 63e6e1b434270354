"""Tests of whole modern runs: on any number of devices, stopped and continued, exported, loaded."""

import pathlib

import chex
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

import bigan_jax
from bigan_jax import export, models
from bigan_jax.data import batches, fake
from bigan_jax.evaluation.anomaly import scores
from bigan_jax.models import spectral
from bigan_jax.runs import checkpoints
from bigan_jax.training import learner, parallel
from bigan_jax.training.state import TrainState, initial_state
from bigan_jax.transfer import jobs
from configs import cifar10
from tests import modern_parts, other_devices, run_folders

SIZES = (40, 20)  # pictures to train on, and to judge; 3 steps an epoch


def config(**changes: object) -> ml_collections.ConfigDict:
  """Everything at once: the recipe, and the parts that it leaves out."""
  found = modern_parts.take(cifar10.get_config("bigan"))
  found.update_from_flattened_dict({
      "data.name": "fake", "batch_size": 16, "epochs": 2, "calibration_steps": 2,
      "eval.images": 20, "eval.references": 20, "eval.samples": 100, "save_every": 1,
      "model.image_shape": (8, 8, 3), "model.encoder_shape": (8, 8, 3), "model.latent_dim": 3,
      "model.G.width": 2, "model.E.width": 2, "model.D.width": 2, "model.E.hidden": 4,
      "model.D.hidden": 4, "augment": "flip,translation,cutout,colour",
      "model.latents": "normal", "model.E.stochastic": True, "model.E.rotation": 1.0,
      **changes,
  })
  return found


def results() -> dict[str, np.ndarray]:
  """Every array, by its path, after an epoch of training: state and losses."""
  given = config()
  images = fake.split(SIZES[0], (8, 8, 3), 0, 0)
  training = learner.prepare(given, None, images, batches.assembler(given), ())
  state, metrics = training.programs.train(parallel.replicate(training.start), 0, 3)
  found = {"state": jax.device_get(parallel.unreplicate(state)), "metrics": metrics}
  leaves = jax.tree_util.tree_leaves_with_path(found)
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def save(path: str) -> None:
  """For a process of its own, with other devices."""
  np.savez(path, **results())


def test_several_devices_give_the_numbers_of_one(
    forked_python: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  """The most that a batch of 16 has shares for; training/parallel_test.py is of two devices too."""
  other_devices.call(forked_python, 8, __name__, "save", tmp_path / "found.npz")
  with np.load(tmp_path / "found.npz") as found:
    expected = results()
    assert set(found) == set(expected)
    assert all(any(kind in name for name in found) for kind in ("vectors", "average", "loss"))
    for name, array in expected.items():
      np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5, err_msg=name)


# Whole runs


@pytest.fixture(scope="module", autouse=True)
def few_pictures() -> None:
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(batches, "FAKE_IMAGES", SIZES)
    yield


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run that nothing stops."""
  path = tmp_path_factory.mktemp("straight")
  jobs.train(config(), str(path))
  return path


def state_of(path: pathlib.Path) -> TrainState:
  """The newest."""
  given = config()
  setup, networks = learner.setup_of(given, 3), models.build(given.model)
  template, _ = jax.eval_shape(lambda: initial_state(
      networks, given.model, setup.objective, setup.tx, jax.random.PRNGKey(0), averaged=True
  ))
  manager = checkpoints.open_states(path / "checkpoints")
  step, state = checkpoints.restore_state(manager, template)
  checkpoints.close(manager)
  assert step == state.step == 6
  return state


def test_a_stopped_run_goes_on_bit_for_bit(straight: pathlib.Path, tmp_path: pathlib.Path) -> None:
  for epoch in (1, 0):
    jobs.train(config(stop_epoch=epoch), str(tmp_path))
  chex.assert_trees_all_equal(state_of(tmp_path), state_of(straight))
  rows = run_folders.rows(straight)
  assert run_folders.rows(tmp_path) == rows and [row["epoch"] for row in rows] == [0, 1, 2]
  for player in "GED":
    networks = [checkpoints.restore_network(str(path), player)[0] for path in (straight, tmp_path)]
    chex.assert_trees_all_equal(*networks)


def test_what_is_saved_is_what_is_judged(straight: pathlib.Path) -> None:
  state = state_of(straight)
  saved = {p: checkpoints.restore_network(str(straight), p)[0]["params"] for p in "GED"}
  chex.assert_trees_all_equal({p: saved[p] for p in "GE"}, state.average)
  folded = spectral.fold(state.params["D"], state.vectors["D"])
  chex.assert_trees_all_close(saved["D"], folded, rtol=1e-5, atol=1e-6)
  assert np.linalg.svd(saved["D"]["fc"]["kernel"])[1][0] == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("merged", [False, True])
def test_exports_and_runs_load_alike(
    straight: pathlib.Path, merged: bool, tmp_path: pathlib.Path
) -> None:
  """Codes of normal latents are the mean logits; D gives its scores in parts, by its biases."""
  export.export(str(straight), str(tmp_path / "model"), ("safetensors",), merge_bn=merged)
  run, model = bigan_jax.load(str(straight)), bigan_jax.load(str(tmp_path / "model"))
  x = jax.random.uniform(jax.random.key(0), (4, 8, 8, 3), minval=-1)
  z = jax.random.normal(jax.random.key(1), (4, 3))
  code, layers = run.E(x)
  np.testing.assert_array_equal(code, layers["logits"])
  assert set(layers) == {"conv1", "conv2", "conv3", "fc", "logits"}
  near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
  near(model.E(x)[0], code)
  near(model.G(z), run.G(z))
  near(model.turns(x), run.turns(x))
  near(model.D(x, z)[0], run.D(x, z)[0])
  assert run.D(x, z)[0].shape == (4, 3) and np.std(run.D(x, z)[0], axis=0).min() > 0
  card = (tmp_path / "model" / "README.md").read_text()
  assert "The code are the logits, about as z of N(0, I)." in card and "tanh" not in card


def test_how_a_picture_is_turned_is_a_score(straight: pathlib.Path) -> None:
  model = bigan_jax.load(str(straight))
  images = np.random.RandomState(0).randint(256, size=(5, 8, 8, 3))
  kernel = checkpoints.restore_network(str(straight), "E")[0]["params"]["out_turns"]["kernel"]
  expected = np.zeros(5)
  for k in range(4):
    x = np.float32(np.rot90(images, k, axes=(1, 2)) / 127.5 - 1)
    logits = np.asarray(model.E(x)[1]["fc"]) @ kernel
    expected += (np.log(np.exp(logits).sum(axis=1)) - logits[:, k]) / 4
  found = scores.measure(model, images.astype(np.uint8))["turns"]
  np.testing.assert_allclose(found, expected, rtol=1e-4)
  assert "turns" in scores.available(model) and np.ptp(expected) > 0


def test_biases_of_d_come_back(straight: pathlib.Path, tmp_path: pathlib.Path) -> None:
  """Where batch norms of E and G are merged, which have biases under the same name."""
  export.export(str(straight), str(tmp_path / "model"), ("safetensors",), merge_bn=True)
  saved = checkpoints.restore_network(str(straight), "D")[0]["params"]
  assert np.abs(saved["conv1"]["bias"]).min() > 0
  x, z = jnp.ones((1, 8, 8, 3)), jnp.ones((1, 3))
  network = models.build(config().model).D
  expected, _ = jax.jit(network.apply)({"params": saved}, x, z)
  np.testing.assert_allclose(
      bigan_jax.load(str(tmp_path / "model")).D(x, z)[0], expected, rtol=1e-4, atol=1e-5
  )

"""Tests of what is judged: the right network, the right pictures, an honest untrained twin."""

from collections.abc import Callable
import pathlib

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.data.splits import Stored
from bigan_jax.evaluation import encoders, layer_features
from bigan_jax.runs import checkpoints
from bigan_jax.settings import downstream
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import initial_state, optimiser
from configs import imagenet, linear_probe
from tests import modern_parts


def job(encoder: pathlib.Path, **changes: object) -> ml_collections.ConfigDict:
  config = linear_probe.get_config()
  config.encoder = str(encoder)
  config.update_from_flattened_dict({n.replace("__", "."): v for n, v in changes.items()})
  return config


@pytest.mark.parametrize("objective, player", [("bigan", "E"), ("gan", "D")])
def test_the_network_is_the_one_that_the_objective_is_judged_by(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path, objective: str, player: str
) -> None:
  config = tiny(objective)
  variables = saved_run(config, tmp_path)
  trained = encoders.read(str(tmp_path), "10")
  encoder = encoders.trained_encoder(trained)
  assert trained.step == 10 and list(trained.variables) == [player]
  assert encoder.network == getattr(models.build(config.model), player)
  assert encoder.sees == ("x_encoder" if player == "E" else "x")
  chex.assert_trees_all_equal(encoder.variables, jax.tree.map(np.asarray, variables[player]))


def test_what_is_no_run_of_a_feature_learner_is_refused(tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match="There is no run folder '/nowhere'"):
    encoders.read("/nowhere", "latest")
  with pytest.raises(FileNotFoundError, match="no saved networks"):
    encoders.read(str(tmp_path), "latest")


def test_the_pictures_are_by_default_the_encoders_own(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  config = tiny("bigan")
  config.data.splits = "test"
  saved_run(config, tmp_path)
  trained = encoders.read(str(tmp_path), "latest")
  train, judged, data = encoders.pictures(job(tmp_path), trained)
  assert (data.name, data.splits) == ("digits", "test")
  assert (train.size, judged.size) == (1500, 297)
  few, fewer, _ = encoders.pictures(job(tmp_path, train_images=70, judged_images=30), trained)
  np.testing.assert_array_equal(few.images, train.images[np.arange(70) * 1500 // 70])
  np.testing.assert_array_equal(fewer.labels, judged.labels[np.arange(30) * 297 // 30])
  trained.config.data.resident_gb = 1e-9  # Of a large set no more is read than is asked for.
  sizes, read = [], Stored.read
  monkeypatch.setattr(Stored, "read", lambda self: sizes.append(self.size) or read(self))
  stored, _, _ = encoders.pictures(job(tmp_path, train_images=70, judged_images=30), trained)
  np.testing.assert_array_equal(stored.images, few.images)
  assert max(sizes) == 70


def test_data_settings_that_are_changed_win_over_the_encoders() -> None:
  encoder = imagenet.get_config("bigan,max_labels=10")
  encoder.data.path = "there"
  data = linear_probe.get_config().data
  assert encoders.data_settings(data, encoder).to_dict() == encoder.data.to_dict()
  data.splits, data.path = "test", "here"
  expected = encoder.data.to_dict() | {"splits": "test", "path": "here"}
  assert encoders.data_settings(data, encoder).to_dict() == expected
  encoder.data.splits, data.splits = "test", "validation"  # which is the default elsewhere
  assert encoders.data_settings(data, encoder).splits == "validation"
  encoder.data.only_labels = "3"
  assert encoders.data_settings(data, encoder).only_labels == ""
  assert encoders.data_settings(data, encoder, own_classes=True).only_labels == "3"
  data.without_labels = "4"
  found = encoders.data_settings(data, encoder, own_classes=True)
  assert (found.only_labels, found.without_labels) == ("", "4")
  data.name, data.splits, data.without_labels = "image_folder", "", ""
  found = encoders.data_settings(data, encoder)
  assert found.splits == "validation"
  assert (found.name, found.edge, found.max_labels, found.flip) == ("image_folder", 72, 0, False)


@pytest.mark.parametrize("changes, message", [
    ({"name": "noise"}, "No data set is called 'noise'"),
    ({"path": "mine"}, "config.data.path is 'mine', but digits has no use for it"),
])
def test_sets_that_do_not_fit_are_refused(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path, changes: dict, message: str
) -> None:
  saved_run(tiny("bigan"), tmp_path)
  config = job(tmp_path, **{f"data__{name}": value for name, value in changes.items()})
  with pytest.raises(ValueError, match=message):
    encoders.pictures(config, encoders.read(str(tmp_path), "latest"))


def test_images_of_another_size_are_refused(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path
) -> None:
  config = tiny("bigan")
  config.model.encoder_shape = config.model.image_shape = (28, 28, 1)
  saved_run(config, tmp_path)
  with pytest.raises(ValueError, match=r"encoder sees images of \(28, 28, 1\), but the images of "
                                       r"digits are \(8, 8, 1\): resize them by"):
    encoders.pictures(job(tmp_path), encoders.read(str(tmp_path), "latest"))


def test_pictures_smaller_than_the_crops_are_refused() -> None:
  config = imagenet.get_config("bigan")
  encoders.validate_fit("RUN", config)
  config.data.edge = 60
  with pytest.raises(ValueError, match="data.edge is 60, but the encoder of RUN sees crops of 64"):
    encoders.validate_fit("RUN", config)


@pytest.mark.parametrize("objective", ["bigan", "gan"])
def test_the_untrained_twin_is_the_network_before_training(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path, objective: str
) -> None:
  config = tiny(objective)
  saved_run(config, tmp_path)
  trained = encoders.read(str(tmp_path), "latest")
  before = jax.tree.map(np.array, trained.variables)
  images = np.random.RandomState(0).randint(256, size=(70, 8, 8, 1)).astype(np.uint8)
  twin = encoders.untrained(trained, images, seed=3, batch_size=20, steps=100)
  chex.assert_trees_all_equal(trained.variables, before)

  player = OBJECTIVES[objective].judged
  key, _ = jax.random.split(jax.random.PRNGKey(3))  # As learner.prepare does.
  start, _ = initial_state(
      trained.networks, config.model, OBJECTIVES[objective], optimiser(config.optim), key
  )
  chex.assert_trees_all_equal(twin.variables["params"], start.params[player])
  assert twin.variables["batch_stats"]["fc2_bn"]["count"] == 3  # Of 70 images, each once.
  other = encoders.untrained(trained, images, seed=4, batch_size=20, steps=2)
  assert other.variables["batch_stats"]["fc2_bn"]["count"] == 2
  assert np.any(other.variables["params"]["fc1"]["kernel"] != start.params[player]["fc1"]["kernel"])


def test_the_statistics_of_the_twin_are_those_of_the_images(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path
) -> None:
  """Of all images as one batch: the mean of the pre-activations, and their unbiased variance."""
  saved_run(tiny("bigan"), tmp_path)
  trained = encoders.read(str(tmp_path), "latest")
  images = np.random.RandomState(0).randint(256, size=(50, 8, 8, 1)).astype(np.uint8)
  twin = encoders.untrained(trained, images, seed=0, batch_size=128, steps=5)
  params, stats = twin.variables["params"], twin.variables["batch_stats"]["fc2_bn"]
  fc1 = (images / 255.0).reshape(50, -1) @ np.asarray(params["fc1"]["kernel"])
  fc2 = np.maximum(fc1, 0.2 * fc1) @ np.asarray(params["fc2"]["kernel"])
  np.testing.assert_allclose(stats["mean"], fc2.mean(axis=0), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(stats["var"], fc2.var(axis=0, ddof=1), rtol=1e-3)


class LateD(nn.Module):
  """A D in which z enters after two layers, by way of a layer of its own."""

  @nn.compact
  def __call__(self, x: jax.Array, z: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    a = jax.jit(nn.relu)(nn.Dense(4, name="a")(x.reshape(len(x), -1)))
    b = nn.Dense(4, name="b")(a)
    c = nn.Dense(3, name="c")(z)
    d = nn.Dense(3, name="d")(jnp.concatenate([b, c], axis=1)) + 0 * b[:, :1]
    return jnp.sum(d + jnp.mean(b), axis=1), {"a": a, "b": b, "c": c, "d": d}


def test_layers_of_D_that_see_x_alone_are_found_in_its_program(
    tiny: Callable, made_up: Callable
) -> None:
  perceptron, photos = tiny("bigan"), imagenet.get_config("bigan")
  parts = modern_parts.take(imagenet.get_config("bigan"))
  photos.model.D.width = parts.model.D.width = 1
  trunk = ("conv1", "conv2", "conv3", "conv4")
  for config, expected in ((perceptron, ("fc1",)), (photos, ("conv1",)), (parts, trunk)):
    networks, variables = made_up(config)
    assert encoders.of_x_alone(networks.D, variables["D"], config.model) == expected
  shapes = [jnp.zeros((1, *photos.model.image_shape)), jnp.zeros((1, photos.model.latent_dim))]
  variables = LateD().init(jax.random.PRNGKey(0), *shapes)
  blank = jax.tree.map(jnp.zeros_like, variables)  # Weights that are zero change nothing.
  assert encoders.of_x_alone(LateD(), blank, photos.model) == ("a", "b")


def test_D_is_read_beside_E_at_the_same_step(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path
) -> None:
  config = tiny("bigan")
  variables = saved_run(config, tmp_path)
  trained = encoders.read(str(tmp_path), "latest")
  beside = encoders.read_discriminator(trained, str(tmp_path))
  D = encoders.trained_encoder(beside)
  assert beside.step == 10 and (D.name, D.sees, D.alone) == ("trained", "x", ("fc1",))
  chex.assert_trees_all_equal(D.variables, jax.tree.map(np.asarray, variables["D"]))
  images = np.random.RandomState(0).randint(256, size=(40, 8, 8, 1)).astype(np.uint8)
  assert layer_features.shapes(D, images, 4) == {"D.fc1": (16,)}
  views = encoders.trained_encoder(trained).views(images)
  z = np.random.RandomState(0).randn(40, config.model.latent_dim)
  expected = D.network.apply(D.variables, views.x, z)[1]["fc1"]
  found = layer_features.extract(D, images, "D.fc1", 4)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
  twin = encoders.untrained(beside, images, seed=0, batch_size=20, steps=2)
  assert twin.alone == ("fc1",) and "fc2_z" in twin.variables["params"]
  saved_run(tiny("gan"), tmp_path / "gan")
  gan = encoders.read(str(tmp_path / "gan"), "latest")
  assert encoders.read_discriminator(gan, str(tmp_path / "gan")) is None


def test_E_and_D_of_a_run_under_way_are_of_one_step(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  """It may put newer networks in place as E has been read: both are read again."""
  saved_run(tiny("bigan"), tmp_path)
  restore, asked = checkpoints.restore_network, []
  def once_newer(path: str, player: str, step: str | int) -> tuple:
    asked.append(player)
    return restore(path, player, 9 if asked.count("D") == 1 and player == "D" else step)
  monkeypatch.setattr(checkpoints, "restore_network", once_newer)
  assert [p.step for p in encoders.read_with_discriminator(str(tmp_path), "latest")] == [10, 10]
  assert asked.count("D") == 2 and asked.count("E") == 2


@pytest.mark.parametrize("changes, message", [
    ({"neighbours": 0}, "config.neighbours is 0, but must be at least 1"),
    ({"probe__size": -1}, "config.probe.size is -1, but must be at least 0"),
    ({"layers": (5,)}, r"config.layers is \(5,\): give names"),
    ({"baseline": "untrained"}, "config.baseline is 'untrained': leave it empty or choose random"),
    ({"probe__l2": ()}, r"config.probe.l2 is \(\): give one or more numbers above 0"),
    ({"probe__l2": (1.0, -1.0)}, "give one or more numbers above 0"),
    ({"probe__validation_share": 1.0}, "validation_share is 1.0, but must be above 0 and below 1"),
])
def test_fields_out_of_range_are_refused(changes: dict, message: str) -> None:
  downstream.validate(job(pathlib.Path("RUN")))
  with pytest.raises(ValueError, match=message):
    downstream.validate(job(pathlib.Path("RUN"), **changes))

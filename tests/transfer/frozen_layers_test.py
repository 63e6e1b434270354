"""Tests of Table 2's protocol from a run folder to its accuracy."""

from collections.abc import Callable, Iterator
import contextlib
import json
import pathlib

import jax
import ml_collections
import numpy as np
import pytest

from bigan_jax.data.splits import Split
from bigan_jax.settings import downstream
from bigan_jax.training import loop
from bigan_jax.transfer import fine_tuning, frozen_layers, source
from configs import frozen_layers as config_file
from tests.run_folders import alexnet, layers, results, rows, run

SMALL = {"epochs": 4, "eval.every": 2, "save_every": 1, "steps_per_dispatch": 2, "batch_size": 250,
         "optim.rate": 0.1, "init_images": 50}


@pytest.fixture(scope="module")
def digits(tiny: Callable, saved_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> str:
  """A perceptron's run folder."""
  path = tmp_path_factory.mktemp("digits")
  saved_run(tiny(), path, step=7)
  return str(path)


@pytest.fixture(scope="module")
def pictures(saved_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> str:
  """An AlexNet's run folder: 16 pixels out of 20."""
  path = tmp_path_factory.mktemp("pictures")
  saved_run(alexnet(), path)
  return str(path)


def small(argument: str, encoder: str, frozen: int, **fields: object) -> ml_collections.ConfigDict:
  config = config_file.get_config(argument)
  config.update_from_flattened_dict({**SMALL, "encoder": encoder, "frozen": frozen, **fields})
  downstream.validate(config)
  return config


def assert_scaled(found: dict, expected: dict) -> None:
  """Bit for bit, but for one power of two."""
  factors = [np.unique(np.asarray(found[leaf])[expected[leaf] != 0] /
                       expected[leaf][expected[leaf] != 0]) for leaf in expected]
  factors = np.unique(np.concatenate(factors))
  assert len(factors) == 1 and np.log2(factors[0]) % 1 == 0


@pytest.fixture(scope="module")
def straight(digits: str, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run that nothing stops: fc1 frozen."""
  path = tmp_path_factory.mktemp("straight")
  run(small("pretrained", digits, 1), path)
  return path


def test_it_leaves_what_it_should(straight: pathlib.Path, digits: str) -> None:
  found = results(straight)
  assert (found["source"], found["learner"], found["frozen"]) == ("pretrained", "bigan", 1)
  assert (found["layers"], found["init"], found["data"]) == (["fc1", "fc2"], "gaussian", "digits")
  assert (found["encoder"], found["encoder_step"], found["crops"]) == (digits, "7", 1)
  assert (found["train_images"], found["test_images"], found["classes"]) == (1250, 250, 10)
  assert (found["epoch"], found["step"], found["side"]) == (4, 20, 8)
  assert [row["epoch"] for row in rows(straight)] == [0, 1, 2, 4]
  assert rows(straight)[-1]["centre_crop"] == found["centre_crop"] == found["all_crops"]
  config = json.loads((straight / "config.json").read_text())
  assert (config["data"]["name"], config["encoder_step"]) == ("digits", "7")
  assert (config["model"]["family"], config["model"]["widths"]) == ("mlp", [16, 16])


def test_it_learns(straight: pathlib.Path) -> None:
  first, *_, last = rows(straight)
  assert first["centre_crop"] < 30 and last["centre_crop"] > 60
  assert last["train_loss"] < 1.5 and last["train_accuracy"] > 60


def test_frozen_layers_are_the_encoders_own(straight: pathlib.Path, digits: str) -> None:
  """After training: no gradient, decay, momentum or batch statistics have touched them."""
  before = source.read(digits).layers
  assert_scaled(layers(straight)["fc1"], before["fc1"])
  assert layers(straight)["fc2"]["kernel"].shape == before["fc2"]["kernel"].shape
  assert np.all(layers(straight)["fc2"]["kernel"] != before["fc2"]["kernel"])


def test_the_encoder_is_not_written_to(digits: str, tmp_path: pathlib.Path) -> None:
  files = lambda: {p: p.read_bytes() for p in pathlib.Path(digits).rglob("*") if p.is_file()}
  before = files()
  run(small("pretrained", digits, 2, epochs=1), tmp_path)
  assert files() == before


def assert_same(path: pathlib.Path, expected: pathlib.Path) -> None:
  jax.tree.map(np.testing.assert_array_equal, layers(path), layers(expected))
  assert rows(path) == rows(expected)
  assert (path / "results.json").read_bytes() == (expected / "results.json").read_bytes()


def test_a_stopped_run_continues_bit_for_bit(
    straight: pathlib.Path, digits: str, tmp_path: pathlib.Path
) -> None:
  assert run(small("pretrained", digits, 1, stop_epoch=1), tmp_path)["epoch"] == 1
  run(small("pretrained", digits, 1), tmp_path)
  stopped = [row for row in rows(tmp_path) if row["epoch"] != 1]
  assert stopped == [row for row in rows(straight) if row["epoch"] != 1]
  with pytest.raises(ValueError, match="is at step [0-9]+ already, beyond the last one of config"):
    run(small("pretrained", digits, 1, stop_epoch=1), tmp_path)
  assert_same(tmp_path, straight)


@pytest.mark.parametrize("calls", [3, 11, 14])
def test_an_interrupted_run_continues_bit_for_bit(
    straight: pathlib.Path, digits: str, tmp_path: pathlib.Path, calls: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
  """SIGTERM sets a flag, here after so many looks at it: in the middle of an epoch, or after."""
  looks = iter(range(10**6))
  @contextlib.contextmanager
  def interruption() -> Iterator[Callable[[], bool]]:
    yield lambda: next(looks) >= calls
  with monkeypatch.context() as patch:
    patch.setattr(loop, "interruption", interruption)
    fine_tuning.run(frozen_layers.JOB, small("pretrained", digits, 1), str(tmp_path))
  assert not (tmp_path / "results.json").exists()
  run(small("pretrained", digits, 1), tmp_path)
  assert_same(tmp_path, straight)


def test_a_finished_run_is_not_trained_again(
    straight: pathlib.Path, digits: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
  monkeypatch.setattr(frozen_layers.batches, "load", None)
  found = run(small("pretrained", digits, 1), straight)
  assert f"bigan, fc1 frozen: {found['all_crops']:.2f} % of 250 images" in capsys.readouterr().out


@pytest.mark.parametrize("variant", ["random", "kmeans"])
def test_untrained_layers(digits: str, tmp_path: pathlib.Path, variant: str) -> None:
  """Frozen ones too have unit variance on the data, and stay as they were."""
  found = run(small(variant, digits, 1, epochs=1), tmp_path)
  assert (found["source"], found["learner"]) == (variant, "")
  assert found["init"] == ("k-means" if variant == "kmeans" else "gaussian")
  trained, encoder = layers(tmp_path)["fc1"], source.read(digits).layers["fc1"]
  assert trained["kernel"].shape == encoder["kernel"].shape
  assert np.any(trained["bias"])  # Data-dependent; the encoder's fc1 has none.
  config = frozen_layers.resolve(small(variant, digits, 1, epochs=1), source.read(digits))
  start = frozen_layers.task(config, None).start(None)
  jax.tree.map(np.testing.assert_array_equal, start["fc1"], trained)


def test_a_network_trained_with_labels_is_frozen_in_turn(
    digits: str, tmp_path: pathlib.Path
) -> None:
  supervised, frozen = tmp_path / "supervised", tmp_path / "frozen"
  assert run(small("supervised", digits, 0), supervised)["all_crops"] > 60
  found = run(small("pretrained", str(supervised), 2, epochs=1), frozen)
  assert (found["learner"], found["data"]) == ("labels", "digits")
  with pytest.raises(ValueError, match="padded is False, but .*supervised was trained with True"):
    run(small("pretrained", str(supervised), 2, **{"model.padded": False}), tmp_path / "other")
  assert_scaled(layers(frozen)["fc2"], layers(supervised)["fc2"])
  jax.tree.map(np.testing.assert_array_equal, layers(frozen)["fc1"], layers(supervised)["fc1"])


def test_pictures_are_cropped_tenfold(
    pictures: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(frozen_layers.batches, "FAKE_IMAGES", (40, 20))
  fields = {"batch_size": 20, "epochs": 1, "model.hidden": (8, 8), "init": "plain"}
  found = run(small("pretrained", pictures, 5, **fields), tmp_path)
  assert (found["crops"], found["side"], found["layers"][-1]) == (10, 16, "conv5")
  before, after = source.read(pictures).layers, layers(tmp_path)
  for name in ("conv1", "conv2", "conv3", "conv4"):
    jax.tree.map(np.testing.assert_array_equal, after[name], before[name])
  assert_scaled(after["conv5"], before["conv5"])


# Bad input


@pytest.mark.parametrize("fields, message", [
    ({"frozen": 3}, r"config.frozen is 3, but there are 2 layers to freeze \(fc1, fc2\)"),
    ({"crop": 16}, "config.crop is 16, but perceptrons see 8 pixels"),
    ({"source": "supervised"}, "without an encoder's weights all layers are trained"),
    ({"batch_size": 2000}, "the training set has only 1250 images"),
    ({"encoder_step": "8"}, "has no step 8"),
])
def test_what_does_not_fit_an_encoder(
    digits: str, tmp_path: pathlib.Path, fields: dict, message: str
) -> None:
  config = small("pretrained", digits, 1)
  config.update_from_flattened_dict(fields)
  with pytest.raises(ValueError, match=message):
    fine_tuning.run(frozen_layers.JOB, config, str(tmp_path))
  assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("fields, message", [
    ({"crop": 24}, "config.data.edge is 20, but the crops are of 24 pixels"),
    ({"model.padded": False}, "Images of 16 pixels are too small"),
])
def test_what_does_not_fit_pictures(
    pictures: str, tmp_path: pathlib.Path, fields: dict, message: str
) -> None:
  config = small("pretrained", pictures, 1)
  config.update_from_flattened_dict(fields)
  with pytest.raises(ValueError, match=message):
    fine_tuning.run(frozen_layers.JOB, config, str(tmp_path))


def test_labels_are_needed() -> None:
  split = Split(np.zeros((4, 2, 2, 1), np.uint8), np.array([0, 0, 3, 3]), 4)
  with pytest.raises(ValueError, match=r"2 of the 4 classes of clipart .*\(numbers 1, 2\)"):
    frozen_layers.validate_labels("clipart", split)
  with pytest.raises(ValueError, match="images of clipart have no labels"):
    frozen_layers.validate_labels("clipart", split._replace(num_classes=0))
  frozen_layers.validate_labels("clipart", split._replace(labels=np.array([0, 1, 2, 3])))


def test_without_an_encoder_a_data_set_is_needed(tmp_path: pathlib.Path) -> None:
  config = small("random", "", 1)
  with pytest.raises(ValueError, match="config.data.name is empty"):
    fine_tuning.run(frozen_layers.JOB, config, str(tmp_path))
  config.data.name, config.model.family = "digits", "mlp"
  assert frozen_layers.resolve(config, None).data.splits == "validation"

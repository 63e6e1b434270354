"""Tests of VOC classification from a run folder and a devkit to its average precision."""

import logging
import pathlib
import pickle

from absl import logging as absl_logging
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import voc
from bigan_jax.settings import downstream
from bigan_jax.transfer import fine_tuning, head, source
from bigan_jax.transfer.voc import classification, dataset, scorers
from configs import voc_classification as config_file
from tests.run_folders import layers, results, rows, run
from tests.transfer.voc import devkits

SIDE = 16
COLOURS = {"bird": (230, 30, 30), "car": (30, 30, 230), "dog": (30, 200, 30)}
SMALL = {
    "batch_size": 8, "epochs": 8, "eval.every": 4, "save_every": 2, "steps_per_dispatch": 3,
    "optim.rate": 0.001, "optim.drop_every": 0, "init_images": 24, "crop": SIDE, "data.edge": 20,
    "model.hidden": (16, 16), "eval.crops": 3, "model.dropout": 0.1,
}


def add(root: pathlib.Path, split: str, number: int, *classes: str, difficult: str = "") -> None:
  """A picture in the colours of its classes, side by side, under the next free name."""
  random = np.random.RandomState(number)
  stripes = [COLOURS[name] for name in classes] or [(128, 128, 128)]
  pixels = np.repeat(np.repeat(np.array([stripes]), 24 // len(stripes), axis=1), 20, axis=0)
  pixels = np.clip(pixels + random.randint(-25, 26, pixels.shape), 0, 255).astype(np.uint8)
  objects = [(name, 0, *devkits.BOX) for name in classes]
  objects += [(difficult, 1, *devkits.BOX)] if difficult else []
  devkits.add(root, split, f"{number:06d}", pixels, objects, format="PNG")


@pytest.fixture(scope="module")
def devkit(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """24 pictures to train on and 11 to test; dogs are only trained, and others are nowhere."""
  home = tmp_path_factory.mktemp("devkit")
  root = home / "VOCdevkit" / "VOC2007"
  for i in range(24):
    add(root, "trainval", i + 1, *(("bird",), ("car",), ("bird", "car"), ("dog",))[i % 4])
  for i in range(10):
    add(root, "test", i + 101, *(("bird",), ("car",), ("bird", "car"), (), ("car",))[i % 5])
  add(root, "test", 111, "car", difficult="bird")
  add(root, "val", 201, difficult="bird")
  add(root, "val", 202)
  return home


def small(
    argument: str, devkit: pathlib.Path, encoder: str, **fields: object
) -> ml_collections.ConfigDict:
  config = config_file.get_config(f"{argument},size=small")
  config.data.path, config.data_dir = str(devkit / "VOCdevkit"), str(devkit / "data_dir")
  config.update_from_flattened_dict({**SMALL, "encoder": encoder, **fields})
  downstream.validate(config)
  return config


@pytest.fixture(scope="module")
def straight(
    devkit: pathlib.Path, encoder: str, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
  """A run that nothing stops."""
  path = tmp_path_factory.mktemp("straight")
  run(small("fc6_8", devkit, encoder), path)
  return path


def test_it_leaves_what_it_should(
    straight: pathlib.Path, encoder: str, devkit: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  found = results(straight)
  assert (found["job"], found["source"], found["learner"]) == (
      "voc_classification", "pretrained", "bigan"
  )
  assert (found["trained"], found["frozen"], found["encoder"]) == ("fc6_8", 5, encoder)
  assert (found["train_images"], found["test_images"], found["crops"]) == (24, 11, 3)
  assert (found["epoch"], found["step"], found["side"], found["data"]) == (8, 24, SIDE, "voc")
  assert found["AP"].keys() == found["AP_11"].keys() == {"bird", "car"}
  for name in ("AP", "AP_11", "AP_2010"):
    assert found[f"m{name}"] == pytest.approx(np.mean(list(found[name].values())))
  labels = np.repeat([1, 0, voc.MASKED], (4, 6, 1)), np.repeat([1, 0], (7, 4))
  assert found["chance"] == pytest.approx(np.mean([classification.chance(y) for y in labels]))
  assert len(found["absent"]) == 18 and "dog" in found["absent"]
  assert [row["epoch"] for row in rows(straight)] == [0, 1, 4, 8]
  table = (straight / "classes.md").read_text().splitlines()
  assert table[2].startswith("| bird | 4 | 52.9 |") and len(table) == 4
  with Image.open(straight / "pictures" / "surest" / "00000024.png") as picture:
    assert picture.size == (11 * 97 - 1, 62 + 2 * 97 - 1)  # 62 of the title
  run(small("fc6_8", devkit, encoder), straight)
  said = capsys.readouterr().out
  assert f"bigan, fc6_8 trained: mAP {found['mAP']:.2f} % by the area" in said
  assert "18 classes that test does not hold are left out: aeroplane, bicycle, boat" in said


def test_it_learns(straight: pathlib.Path) -> None:
  found, lines = results(straight), rows(straight)
  assert found["mAP"] > 80 > found["chance"] + 10
  assert lines[-1]["train_loss"] < 0.5 * lines[1]["train_loss"]


def test_frozen_layers_stay(
    straight: pathlib.Path, encoder: str, devkit: pathlib.Path
) -> None:
  """All convolutions in fc6_8, fc6 and fc7 besides in fc8; none in all."""
  before, after = source.read(encoder).layers, layers(straight)
  start = task_of(small("fc6_8", devkit, encoder)).start(source.read(encoder))
  for name, layer in before.items():
    jax.tree.map(np.testing.assert_array_equal, after[name], start[name])
    for leaf in layer:  # As the encoder's, but for one scale each (reference section 9).
      scale = np.linalg.norm(after[name][leaf]) / np.linalg.norm(layer[leaf])
      np.testing.assert_allclose(after[name][leaf], scale * layer[leaf], rtol=1e-4)
  assert np.all(after["fc7"]["kernel"] != start["fc7"]["kernel"])
  convs = ("conv1", "conv2", "conv3", "conv4", "conv5")
  for variant, frozen in (("fc8", (*convs, "fc6", "fc7")), ("fc6_8", convs), ("all", ())):
    assert task_of(small(variant, devkit, encoder)).frozen == frozen


def task_of(config: ml_collections.ConfigDict) -> fine_tuning.Task:
  resolved = classification.resolve(config, source.read(config.encoder))
  return classification.task(resolved, None)


def test_a_stopped_run_continues_bit_for_bit(
    straight: pathlib.Path, devkit: pathlib.Path, encoder: str, tmp_path: pathlib.Path
) -> None:
  """And with pictures that are decoded every time."""
  assert run(small("fc6_8", devkit, encoder, stop_epoch=3), tmp_path)["epoch"] == 3
  run(small("fc6_8", devkit, encoder, **{"data.resident_gb": 1e-9}), tmp_path)
  jax.tree.map(np.testing.assert_array_equal, layers(tmp_path), layers(straight))
  assert (tmp_path / "results.json").read_bytes() == (straight / "results.json").read_bytes()
  assert rows(tmp_path)[-1] == rows(straight)[-1]


@pytest.mark.parametrize("variant, init", [("random", "gaussian"), ("kmeans", "k-means")])
def test_untrained_encoders(
    devkit: pathlib.Path, encoder: str, variant: str, init: str
) -> None:
  """Their layers are all initialised, in the shapes of the encoder's."""
  config = small(f"fc6_8,source={variant}", devkit, encoder, init=init)
  found = classification.resolve(config, source.read(encoder))
  assert (found.source, found.learner, found.model.widths) == (variant, "", (4, 8, 8, 8, 8))
  task, theirs = task_of(config), source.read(encoder).layers
  assert len(task.frozen) == 5
  start = task.start(None)
  for name, layer in theirs.items():
    assert start[name]["kernel"].shape == layer["kernel"].shape and np.any(start[name]["bias"])
  assert start["fc8"]["kernel"].shape == (16, 20)


def test_nothing_is_drawn_twice(
    devkit: pathlib.Path, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  """First crops, test crops, fc8 and batches each have random numbers of their own."""
  config, states, new = small("fc6_8", devkit, encoder), [], np.random.default_rng
  def recorded(seed: object) -> np.random.Generator:
    states.append(tuple(np.random.SeedSequence(seed).generate_state(4)))
    return new(seed)
  monkeypatch.setattr(np.random, "default_rng", recorded)
  train, test = (dataset.load(config, split) for split in ("trainval", "test"))
  dataset.first_crops(config, train, SIDE)
  classification.last_layer(head.AlexNet(20, hidden=(4, 4)), config.seed)
  exam = classification.Examination(None, None, test, None, SIDE, True, config.seed)
  for i in range(11):
    exam.crops(i, 1)
  labels = voc.class_labels(train.pictures)
  for step in range(3):
    classification.batch(train, labels, SIDE, True, 8, ((0, 1), (0, 0)), step)
  assert len(states) == 1 + 1 + 11 + 3 * 8 == len(set(states))


# Batches


def test_batches_depend_on_the_step_alone(devkit: pathlib.Path, encoder: str) -> None:
  """Not on what was decoded before, nor on the process that makes them."""
  config = small("fc6_8", devkit, encoder)
  train = dataset.load(config, "trainval")
  labels, keys = voc.class_labels(train.pictures), ((0, 1), (2, 3))
  make = lambda pictures, step, count=8: classification.batch(
      pictures, labels, SIDE, True, count, keys, step
  )
  images, targets = make(train, 5)
  assert images.shape == (8, SIDE, SIDE, 3) and images.dtype == np.uint8
  assert targets.shape == (8, 20) and targets.dtype == np.uint8
  again = make(pickle.loads(pickle.dumps(train)), 5)
  np.testing.assert_array_equal(images, again[0])
  np.testing.assert_array_equal(targets, again[1])
  assert np.any(make(train, 8)[0] != images)  # The same step of the next epoch.
  chosen = np.concatenate([make(train, step)[1] for step in range(3)])
  np.testing.assert_array_equal(np.sort(chosen, axis=0), np.sort(labels, axis=0))


# Loss and scores


def test_scores_of_crops_are_added(
    devkit: pathlib.Path, encoder: str
) -> None:
  config = small("fc6_8", devkit, encoder)
  resolved = classification.resolve(config, source.read(encoder))
  task = classification.task(resolved, None)
  one = jnp.zeros((1, SIDE, SIDE, 3))
  params = jax.jit(task.network.init)(jax.random.PRNGKey(0), one)["params"]
  test = dataset.load(resolved, "test", edge=20)
  look = classification.batches.views(resolved)
  truth = voc.class_labels(test.pictures)
  exam = classification.Examination(task.network, look, test, truth, SIDE, True, 3)
  apply = jax.jit(lambda crops: task.network.apply({"params": params}, look(crops).x)[0])
  expected = np.stack([np.sum(apply(exam.crops(i, 4)), axis=0) for i in range(11)])
  found = exam.scores(params, 4)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(exam.crops(2, 4)[:1], exam.crops(2, 1))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(classification, "BLOCK", 4)  # 11 pictures are not a multiple of it.
    np.testing.assert_allclose(exam.scores(params, 4), expected, rtol=1e-4, atol=1e-5)
  percent = task.judge(params)["mAP_one_crop"]
  seeded = exam._replace(seed=resolved.seed)
  by_hand = scorers.classification(seeded.scores(params, 1), truth)["step"].mean
  assert percent == pytest.approx(100 * by_hand)


def test_the_surest_pictures_come_first(devkit: pathlib.Path, encoder: str) -> None:
  config = small("fc6_8", devkit, encoder)
  test = dataset.load(config, "test")
  truth = voc.class_labels(test.pictures)
  exam = classification.Examination(None, None, test, truth, SIDE, True, 0)
  scores = np.zeros((11, 20))
  scores[:, 2] = np.arange(11)  # The last one holds a difficult bird.
  drawn = classification.surest(exam, scores, [2], {"bird": 50.0})
  corners = [tuple(drawn[0, 97 * (k + 1)].tolist()) for k in range(10)]
  right = {1: classification.GREEN, 0: classification.RED}
  expected = [classification.GREY, *(right[truth[k, 2]] for k in range(9, 0, -1))]
  assert corners == expected and len(set(corners)) == 3


# Bad input


def test_a_batch_of_one_picture_will_do(devkit: pathlib.Path, encoder: str) -> None:
  """There is no batch norm."""
  assert task_of(small("fc6_8", devkit, encoder, batch_size=1)).size == 24


def test_absent_classes(
    devkit: pathlib.Path, encoder: str, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  config = small("fc6_8", devkit, encoder, train_split="test", test_split="trainval")
  absl_logging.get_absl_logger().addHandler(caplog.handler)
  with caplog.at_level(logging.WARNING):
    task_of(config.copy_and_resolve_references())
  absl_logging.get_absl_logger().removeHandler(caplog.handler)
  assert "test holds no dog, which counts in the mean over the classes of trainval" in caplog.text
  config.test_split = "val"
  with pytest.raises(ValueError, match="None of the 2 pictures of 'val' holds an object"):
    fine_tuning.run(classification.JOB, config, str(tmp_path))


@pytest.mark.parametrize("fields, message", [
    ({"crop": 24}, "config.data.edge is 20, but the crops are of 24 pixels"),
    ({"model.padded": False}, "Images of 16 pixels are too small"),
    ({"batch_size": 25}, "the training set has only 24 images"),
    ({"train_split": "train"}, "no list of 'train' for 'main'"),
    ({"encoder_step": "8"}, "has no step 8"),
])
def test_what_does_not_fit(
    devkit: pathlib.Path, encoder: str, tmp_path: pathlib.Path, fields: dict, message: str
) -> None:
  with pytest.raises(ValueError, match=message):
    fine_tuning.run(classification.JOB, small("fc6_8", devkit, encoder, **fields), str(tmp_path))
  assert not (tmp_path / "results.json").exists()

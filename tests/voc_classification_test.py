"""Tests of VOC classification from a run folder and a devkit to its average precision."""

import itertools
import json
import logging
import pathlib
import pickle
from collections.abc import Callable

from absl import logging as absl_logging
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from PIL import Image
import pytest

from bigan_jax import checkpoints, jobs, judging
from bigan_jax.data import voc
from bigan_jax.transfer import fine_tuning, head, scorers, source, voc_classification, voc_pictures
from bigan_jax.workdir import open_run
from configs import image_folder
from configs import voc_classification as config_file

SIDE = 16
COLOURS = {"bird": (230, 30, 30), "car": (30, 30, 230), "dog": (30, 200, 30)}
OBJECT = (
    "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>"
    "<xmax>9</xmax><ymax>9</ymax></bndbox></object>"
)
SMALL = {
    "batch_size": 8, "epochs": 8, "eval.every": 4, "save_every": 2, "steps_per_dispatch": 3,
    "optim.rate": 0.001, "optim.drop_every": 0, "init_images": 24, "crop": SIDE, "data.edge": 20,
    "model.hidden": (16, 16), "eval.crops": 3, "model.dropout": 0.1,
}


def add(root: pathlib.Path, split: str, number: int, *classes: str, difficult: str = "") -> None:
  """A picture in the colours of its classes, side by side, under the next free name."""
  for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
    (root / folder).mkdir(parents=True, exist_ok=True)
  random = np.random.RandomState(number)
  stripes = [COLOURS[name] for name in classes] or [(128, 128, 128)]
  pixels = np.repeat(np.repeat(np.array([stripes]), 24 // len(stripes), axis=1), 20, axis=0)
  pixels = np.clip(pixels + random.randint(-25, 26, pixels.shape), 0, 255).astype(np.uint8)
  Image.fromarray(pixels).save(root / "JPEGImages" / f"{number:06d}.png")
  (root / "JPEGImages" / f"{number:06d}.png").rename(root / "JPEGImages" / f"{number:06d}.jpg")
  objects = "".join(OBJECT.format(name, 0) for name in classes)
  objects += OBJECT.format(difficult, 1) if difficult else ""
  (root / "Annotations" / f"{number:06d}.xml").write_text(f"<annotation>{objects}</annotation>")
  with open(root / "ImageSets" / "Main" / f"{split}.txt", "a") as file:
    file.write(f"{number:06d}\n")


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


@pytest.fixture(scope="module")
def encoder(made_up: Callable, tmp_path_factory: pytest.TempPathFactory) -> str:
  """An AlexNet's run folder: 16 pixels out of 20."""
  config = image_folder.get_config("bigan")
  config.data.name, config.data.edge = "fake", 20
  config.model.encoder_shape = (SIDE, SIDE, 3)
  config.model.latent_dim, config.model.G.width, config.model.D.width = 3, 1, 1
  config.model.E.widths = (4, 8, 8, 8, 8)
  return saved(tmp_path_factory.mktemp("encoder"), config, made_up(config)[1])


def saved(path: pathlib.Path, config: ml_collections.ConfigDict, networks: dict) -> str:
  with open_run(str(path), config.to_dict()) as run:
    run.save_networks(7, networks, {"step": 7})
  return str(path)


def small(
    argument: str, devkit: pathlib.Path, encoder: str, **fields: object
) -> ml_collections.ConfigDict:
  config = config_file.get_config(f"{argument},size=small")
  config.data.path, config.data_dir = str(devkit / "VOCdevkit"), str(devkit / "data_dir")
  config.update_from_flattened_dict({**SMALL, "encoder": encoder, **fields})
  judging.validate(config)
  return config


def run(config: ml_collections.ConfigDict, path: pathlib.Path) -> dict:
  jobs.JOBS["voc_classification"](config, str(path))
  return json.loads((path / "results.json").read_text())


def rows(path: pathlib.Path) -> list[dict]:
  found = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
  return [{k: v for k, v in row.items() if k != "evaluation_seconds"} for row in found]


def layers(path: pathlib.Path) -> dict:
  return checkpoints.restore_network(str(path), "head")[0]["params"]


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
  found = json.loads((straight / "results.json").read_text())
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
  assert found["chance"] == pytest.approx(np.mean([voc_classification.chance(y) for y in labels]))
  assert len(found["absent"]) == 18 and "dog" in found["absent"]
  assert [row["epoch"] for row in rows(straight)] == [0, 1, 4, 8]
  table = (straight / "classes.md").read_text().splitlines()
  assert table[2].startswith("| bird | 4 | 52.9 |") and len(table) == 4
  with Image.open(straight / "pictures" / "surest" / "00000024.png") as picture:
    assert picture.size == (11 * 97 - 1, 2 * 97 - 1)
  jobs.JOBS["voc_classification"](small("fc6_8", devkit, encoder), str(straight))
  said = capsys.readouterr().out
  assert f"bigan, fc6_8 trained: mAP {found['mAP']:.2f} % by the area" in said
  assert "18 classes that test does not hold are left out: aeroplane, bicycle, boat" in said


def test_it_learns(straight: pathlib.Path) -> None:
  found, lines = json.loads((straight / "results.json").read_text()), rows(straight)
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
  resolved = voc_classification.resolve(config, source.read(config.encoder))
  return voc_classification.task(resolved, None)


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
    devkit: pathlib.Path, encoder: str, variant: str, init: str, quick_compilation: None
) -> None:
  """Their layers are all initialised, in the shapes of the encoder's."""
  config = small(f"fc6_8,source={variant}", devkit, encoder, init=init)
  found = voc_classification.resolve(config, source.read(encoder))
  assert (found.source, found.learner, found.model.widths) == (variant, "", (4, 8, 8, 8, 8))
  task, theirs = task_of(config), source.read(encoder).layers
  assert len(task.frozen) == 5
  start = task.start(None)
  for name, layer in theirs.items():
    assert start[name]["kernel"].shape == layer["kernel"].shape and np.any(start[name]["bias"])
  assert start["fc8"]["kernel"].shape == (16, 20)


def test_the_last_layer_is_new() -> None:
  """Small random weights and one bias (reference section 9)."""
  network = head.AlexNet(20, hidden=(4, 500))
  found = voc_classification.last_layer(network, seed=0)
  assert found["kernel"].shape == (500, 20) and found["bias"].tolist() == [np.float32(0.1)] * 20
  assert np.std(found["kernel"]) == pytest.approx(0.01, rel=0.05)
  other = voc_classification.last_layer(network, seed=1)["kernel"]
  assert np.all(found["kernel"] != other) and found["kernel"].dtype == np.float32


def test_nothing_is_drawn_twice(
    devkit: pathlib.Path, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  """First crops, test crops, fc8 and batches each have random numbers of their own."""
  config, states, new = small("fc6_8", devkit, encoder), [], np.random.default_rng
  def recorded(seed: object) -> np.random.Generator:
    states.append(tuple(np.random.SeedSequence(seed).generate_state(4)))
    return new(seed)
  monkeypatch.setattr(np.random, "default_rng", recorded)
  train, test = (voc_pictures.load(config, split) for split in ("trainval", "test"))
  voc_pictures.first_crops(config, train, SIDE)
  voc_classification.last_layer(head.AlexNet(20, hidden=(4, 4)), config.seed)
  exam = voc_classification.Examination(None, None, test, None, SIDE, True, config.seed)
  for i in range(11):
    exam.crops(i, 1)
  labels = voc.class_labels(train.pictures)
  for step in range(3):
    voc_classification.batch(train, labels, SIDE, True, 8, ((0, 1), (0, 0)), step)
  assert len(states) == 1 + 1 + 11 + 3 * 8 == len(set(states))


# Batches


def test_batches_depend_on_the_step_alone(devkit: pathlib.Path, encoder: str) -> None:
  """Not on what was decoded before, nor on the process that makes them."""
  config = small("fc6_8", devkit, encoder)
  train = voc_pictures.load(config, "trainval")
  labels, keys = voc.class_labels(train.pictures), ((0, 1), (2, 3))
  make = lambda pictures, step, count=8: voc_classification.batch(
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


def test_masked_labels_count_for_nothing() -> None:
  logits = jnp.zeros((2, 20)).at[0, 3].set(2.0).at[1, 4].set(-1.0)
  labels = np.zeros((2, 20), np.uint8)
  labels[0, 3], labels[1, 4], labels[1, 5:7] = 1, 1, voc.MASKED
  expected = np.log1p(np.exp(-2)) + np.log1p(np.exp(1)) + 36 * np.log(2)
  loss = jax.jit(lambda logits: voc_classification.masked_cross_entropy(logits, labels)["loss"])
  assert float(loss(logits)) == pytest.approx(expected / 2, rel=1e-6)
  slopes = np.asarray(jax.jit(jax.grad(loss))(logits.at[1, 5].set(50.0)))
  assert not slopes[1, 5:7].any() and slopes[1, 4] == pytest.approx(-np.e / (1 + np.e) / 2)
  assert np.count_nonzero(slopes) == 38


def test_scores_of_crops_are_added(
    devkit: pathlib.Path, encoder: str, quick_compilation: None
) -> None:
  config = small("fc6_8", devkit, encoder)
  resolved = voc_classification.resolve(config, source.read(encoder))
  task = voc_classification.task(resolved, None)
  one = jnp.zeros((1, SIDE, SIDE, 3))
  params = jax.jit(task.network.init)(jax.random.PRNGKey(0), one)["params"]
  test = voc_pictures.load(resolved, "test", edge=20)
  look = voc_classification.batches.views(resolved)
  truth = voc.class_labels(test.pictures)
  exam = voc_classification.Examination(task.network, look, test, truth, SIDE, True, 3)
  apply = jax.jit(lambda crops: task.network.apply({"params": params}, look(crops).x)[0])
  expected = np.stack([np.sum(apply(exam.crops(i, 4)), axis=0) for i in range(11)])
  found = exam.scores(params, 4)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(exam.crops(2, 4)[:1], exam.crops(2, 1))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(voc_classification, "BLOCK", 4)  # 11 pictures are not a multiple of it.
    np.testing.assert_allclose(exam.scores(params, 4), expected, rtol=1e-4, atol=1e-5)
  percent = task.judge(params)["mAP_one_crop"]
  seeded = exam._replace(seed=resolved.seed)
  by_hand = scorers.classification(seeded.scores(params, 1), truth)["step"].mean
  assert percent == pytest.approx(100 * by_hand)


@pytest.mark.parametrize("positives, count", [(1, 1), (4, 4), (1, 5), (3, 7)])
def test_chance_is_the_mean_over_all_orders(positives: int, count: int) -> None:
  scores = np.arange(count, 0, -1)
  orders = [np.isin(np.arange(count), c) for c in itertools.combinations(range(count), positives)]
  mean = np.mean([scorers.step_area(scores, order) for order in orders])
  labels = np.concatenate([orders[0], [voc.MASKED]])
  assert voc_classification.chance(labels) == pytest.approx(100 * mean)


def test_the_surest_pictures_come_first(devkit: pathlib.Path, encoder: str) -> None:
  config = small("fc6_8", devkit, encoder)
  test = voc_pictures.load(config, "test")
  truth = voc.class_labels(test.pictures)
  exam = voc_classification.Examination(None, None, test, truth, SIDE, True, 0)
  scores = np.zeros((11, 20))
  scores[:, 2] = np.arange(11)  # The last one holds a difficult bird.
  drawn = voc_classification.surest(exam, scores, [2], {"bird": 50.0})
  corners = [tuple(drawn[0, 97 * (k + 1)].tolist()) for k in range(10)]
  right = {1: voc_classification.GREEN, 0: voc_classification.RED}
  expected = [voc_classification.GREY, *(right[truth[k, 2]] for k in range(9, 0, -1))]
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
    voc_classification.run(config, str(tmp_path))


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
    voc_classification.run(small("fc6_8", devkit, encoder, **fields), str(tmp_path))
  assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("fields, message", [
    ({"encoder": ""}, "config.encoder is empty"),
    ({"trained": "fc7"}, r"config.trained is 'fc7': did you mean 'fc8'\? choose from fc6_8, fc8"),
    ({"source": "randon"}, "did you mean 'random'"),
    ({"source": "kmeans"}, "config.source is kmeans but config.init is gaussian"),
    ({"eval.crops": 0}, "config.eval.crops is 0, but must be at least 1"),
    ({"optim.rates.fc6": -1.0}, "config.optim.rates.fc6 is -1.0"),
    ({"crop": -1}, "config.crop is -1"),
    ({"data.edge": -1}, "config.data.edge is -1"),
])
def test_fields_out_of_range(fields: dict, message: str) -> None:
  config = config_file.get_config()
  config.update_from_flattened_dict({"encoder": "RUN", **fields})
  with pytest.raises(ValueError, match=message):
    judging.validate(config)


def test_the_config() -> None:
  """Reference section 9."""
  config = config_file.get_config()
  judging.validate(config_file.get_config("all,source=random"))  # Needs no encoder.
  assert (config.trained, config.crop, config.batch_size, config.eval.crops) == (
      "fc6_8", 227, 16, 10
  )
  steps = -(-5011 // 16)
  assert 79_000 < config.epochs * steps < 81_000
  assert 9_500 < config.optim.drop_every * steps < 10_500 and config.optim.drop == 0.5
  optim = config.optim
  assert (optim.rate, optim.momentum, optim.weight_decay, optim.decay_biases, optim.bias_rate,
          optim.clip) == (0.001, 0.9, 1e-6, True, 2.0, 10.0)
  assert set(optim.rates.values()) == {1.0} and not config.model.padded and config.data.edge == 0
  assert config_file.get_config("all,source=kmeans").init == "k-means"
  assert config_file.get_config("fc8").trained == "fc8"
  for wrong, message in (("fc7", "did you mean 'fc8'"), ("size=tiny", "choose from full, small"),
                         ("source=nothing", "choose from pretrained, random, kmeans")):
    with pytest.raises(ValueError, match=message):
      config_file.get_config(wrong)

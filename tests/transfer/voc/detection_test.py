"""Tests of VOC detection from a run folder, a devkit and proposals to its average precision."""

from collections.abc import Callable
import pathlib
import sys

import jax
import ml_collections
import numpy as np
from PIL import Image
import pytest

from bigan_jax.settings import downstream
from bigan_jax.transfer import fine_tuning, source
from bigan_jax.transfer.voc import detection, proposals, scorers
from configs import image_folder
from configs import voc_detection as config_file
from tests.run_folders import layers, results, rows, run
from tests.transfer.voc import devkits

COLOURS = {"bird": (230, 30, 30), "car": (30, 30, 230)}
SMALL = {
    "shorter": 64, "longest": 96, "batch_size": 2, "epochs": 3, "eval.every": 3, "save_every": 1,
    "steps_per_dispatch": 2, "init_images": 4, "regions.count": 8, "optim.drop_every": 0,
    "optim.rate": 0.02, "model.hidden": (8, 6), "model.dropout": 0.1, "proposals.most": 9,
    "init": "plain", "equalise": False,  # Take long to compile.
}


def add(root: pathlib.Path, split: str, name: str, *objects: tuple) -> None:
  """A grey picture of 48 x 32 with coloured objects: class, x1, y1, x2, y2 from 0, difficult."""
  pixels, found = np.full((32, 48, 3), 128, np.uint8), []
  for label, x1, y1, x2, y2, *difficult in objects:
    pixels[y1:y2 + 1, x1:x2 + 1] = COLOURS[label]
    found.append((label, int(bool(difficult)), x1 + 1, y1 + 1, x2 + 1, y2 + 1))
  devkits.add(root, split, name, pixels, found, quality=95)


def write_proposals(path: pathlib.Path, objects: dict[str, list]) -> None:
  """Each object, a neighbour of it, and some boxes that every picture has."""
  fixed = [[0, 0, 47, 31], [0, 0, 20, 15], [24, 0, 47, 31], [5, 10, 25, 30], [30, 5, 44, 20]]
  found = {}
  for name, boxes in objects.items():
    own = [box[1:5] for box in boxes] + [(np.array(box[1:5]) + [1, 0, 2, 1]).clip(0, 31)
                                         for box in boxes]
    found[name] = np.array([*own, *fixed], np.float32)
  path.write_bytes(proposals.pack(found))


@pytest.fixture(scope="module")
def devkit(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """6 pictures to train on, one of them empty, and 5 to test on."""
  home = tmp_path_factory.mktemp("devkit")
  root = home / "VOCdevkit" / "VOC2007"
  train = {f"{i}": [("bird", i, 2 * i, 12 + i, 14 + 2 * i), ("car", 25, i, 40, 12 + i)][:i % 3]
           for i in range(1, 8)}
  test = {f"1{i}": [("car", 3 * i, i, 12 + 3 * i, 12 + i), ("bird", 30, 8, 46, 28, i)][:1 + i % 2]
          for i in range(1, 6)}
  train.pop("6")  # 3 stays: without objects.
  for split, pictures in (("trainval", train), ("test", test), ("train", train),
                          ("val", {"99": [("bird", 1, 1, 9, 9, True)]})):
    for name, objects in pictures.items():
      add(root, split, name, *objects)
  write_proposals(home / "train.npz", train)
  write_proposals(home / "test.npz", test)
  return home


def small(devkit: pathlib.Path, encoder: str, **fields: object) -> ml_collections.ConfigDict:
  config = config_file.get_config("size=small")
  config.data.path, config.data_dir = str(devkit / "VOCdevkit"), str(devkit / "data_dir")
  config.proposals.train, config.proposals.test = (str(devkit / f"{s}.npz") for s in
                                                   ("train", "test"))
  config.update_from_flattened_dict({**SMALL, "encoder": encoder, **fields})
  downstream.validate(config)
  return config


@pytest.fixture(scope="module")
def straight(
    devkit: pathlib.Path, encoder: str, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
  """A run that nothing stops."""
  path = tmp_path_factory.mktemp("straight")
  run(small(devkit, encoder), path)
  return path


def test_it_leaves_what_it_should(straight: pathlib.Path, encoder: str) -> None:
  found = results(straight)
  assert (found["job"], found["source"], found["learner"]) == (
      "voc_detection", "pretrained", "bigan"
  )
  assert (found["trained"], found["frozen"], found["encoder"]) == ("all", 0, encoder)
  assert (found["train_images"], found["test_images"]) == (5, 5)  # One has no object.
  assert (found["epoch"], found["step"]) == (3, 9) and found["canvas"] == [64, 96]
  assert found["proposals"] == pytest.approx(np.mean([9, 7, 9, 7, 9]))
  assert found["recall"] == 100.0
  assert 0 <= found["mAP"] <= 100 and 0 <= found["mAP_area"] <= 100
  assert 0 <= found["mAP_shuffled"] <= 100
  last = rows(straight)[-1]
  assert (last["mAP"], last["mAP_area"]) == (found["mAP"], found["mAP_area"])
  assert len(found["AP"]) == 20 and len(found["absent"]) == 19  # Birds there are difficult.
  assert found["AP"]["car"] is not None and found["AP"]["bird"] is None
  assert "bird" in found["absent"] and "car" not in found["absent"]


def test_it_learns(straight: pathlib.Path) -> None:
  first, *_, last = rows(straight)
  assert (first["epoch"], last["epoch"]) == (0, 3) and "train_loss" not in first
  assert last["train_loss"] == pytest.approx(last["train_class_loss"] + last["train_box_loss"])
  second = rows(straight)[1]
  assert (second["epoch"], last["train_loss"] < second["train_loss"]) == (1, True)


def test_all_layers_are_trained(straight: pathlib.Path, encoder: str) -> None:
  before, after = source.read(encoder).layers, layers(straight)
  assert tuple(sorted(after)) == ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
  for name, layer in before.items():
    assert after[name]["kernel"].shape == layer["kernel"].shape
    change = np.abs(after[name]["kernel"] - layer["kernel"])
    assert 0 < change.mean() < 0.1 * np.abs(layer["kernel"]).mean()
  assert after["fc6"]["kernel"].shape == (6 * 6 * 8, 8)
  assert after["fc8"]["kernel"].shape == (6, 5 * 21)


def test_pictures_are_drawn(straight: pathlib.Path) -> None:
  (path,) = (straight / "pictures" / "detections").iterdir()
  assert path.name == "00000009.png"
  with Image.open(path) as picture:
    assert picture.size == (4 * 321 - 1, 76 + 3 * 321 - 1)  # A title; 5 pairs, two in a row.


def test_a_stopped_run_continues_bit_for_bit(
    straight: pathlib.Path, devkit: pathlib.Path, encoder: str, tmp_path: pathlib.Path
) -> None:
  assert run(small(devkit, encoder, stop_epoch=1), tmp_path)["epoch"] == 1
  run(small(devkit, encoder), tmp_path)
  jax.tree.map(np.testing.assert_array_equal, layers(tmp_path), layers(straight))
  assert rows(tmp_path) == rows(straight)
  assert (tmp_path / "results.json").read_bytes() == (straight / "results.json").read_bytes()


def test_a_finished_run_says_so_again(
    straight: pathlib.Path, devkit: pathlib.Path, encoder: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
  monkeypatch.setattr(detection.dataset, "load", None)
  found = run(small(devkit, encoder), straight)
  said = capsys.readouterr().out
  assert f"bigan: mAP {found['mAP']:.2f} % by 11 points, {found['mAP_area']:.2f} % by area" in said
  assert "over 1 classes (no aeroplane, bicycle, bird," in said


def test_found_proposals_are_capped_at_random(
    devkit: pathlib.Path, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  """Those of a file by their order, the best first."""
  boxes = [np.arange(80, dtype=np.float32).reshape(20, 4)]
  monkeypatch.setattr(detection.proposal_files, "for_pictures", lambda *args: boxes)
  pictures = detection.Pictures([], 0)
  given = small(devkit, encoder)
  np.testing.assert_array_equal(detection.proposals(given, pictures, "test")[0], boxes[0][:9])
  searched = small(devkit, encoder, **{"proposals.test": ""})
  (found,) = detection.proposals(searched, pictures, "test")
  assert len({box[0] for box in found.tolist()}) == 9 and np.any(found != boxes[0][:9])
  assert all(box in boxes[0].tolist() for box in found.tolist())


def test_few_pictures_are_judged_on_the_way(
    devkit: pathlib.Path, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  seen = []
  def find(self: detection.Detector, params: dict, pictures: list, boxes: list) -> list:
    seen.append((len(pictures), len(boxes)))
    none = np.zeros(0)
    return [scorers.Detections(np.zeros((0, 4)), none, none) for _ in boxes]
  monkeypatch.setattr(detection.Detector, "find", find)
  for few in (2, 0):
    config = small(devkit, encoder, **{"eval.images": few})
    config = detection.resolve(config, source.read(encoder))
    assert detection.task(config, None).judge({}) == {"mAP": 0.0, "mAP_area": 0.0}
  assert seen == [(2, 2), (5, 5)]


def test_two_pictures_may_go_to_two_devices(
    devkit: pathlib.Path, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  """There is no batch norm."""
  monkeypatch.setattr(detection.jax, "device_count", lambda: 2)
  config = detection.resolve(small(devkit, encoder), source.read(encoder))
  assert detection.task(config, None).size == 5
  assert config_file.get_config().batch_size == 2


# Bad input


@pytest.mark.parametrize("fields, message", [
    ({"longest": 80}, "config.longest is 80, but the canvas needs at least 96 pixels"),
    ({"shorter": 97}, "config.shorter is 97, beyond config.longest = 96"),
    ({"data.edge": 64}, "config.data.edge is 64, but pictures are scaled to config.shorter"),
    ({"regions.count": 0}, "config.regions.count is 0, but must be at least 1"),
    ({"regions.foreground": 1.5}, "config.regions.foreground is 1.5, but must be at most 1"),
    ({"train_split": "val", "test_split": "val"}, "of 'val' hold no objects but difficult ones"),
    ({"batch_size": 6}, "the training set has only 5 images"),
    ({"test_split": "train"}, r"test.npz lacks 6 of the 6 pictures, such as 1: name the file"),
    ({"proposals.test": "none.mat"}, "none.mat does not exist"),
    ({"data.year": 2010}, "VOC2010 is not known here"),
])
def test_what_does_not_fit(
    devkit: pathlib.Path, encoder: str, tmp_path: pathlib.Path, fields: dict, message: str
) -> None:
  config = small(devkit, encoder)
  config.update_from_flattened_dict(fields)
  with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
    fine_tuning.run(detection.JOB, config, str(tmp_path))
  assert "\n" not in str(error.value) and not (tmp_path / "results.json").exists()


def test_without_proposals_opencv_is_needed(
    devkit: pathlib.Path, encoder: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setitem(sys.modules, "cv2", None)
  config = small(devkit, encoder, **{"proposals.train": ""})
  with pytest.raises(ImportError, match="or name a file of proposals"):
    fine_tuning.run(detection.JOB, config, str(tmp_path))


def test_encoders_of_other_kinds(
    devkit: pathlib.Path, tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path
) -> None:
  saved_run(tiny(), tmp_path / "perceptron")
  with pytest.raises(ValueError, match="are fully connected, but VOC takes convolutions"):
    config = small(devkit, str(tmp_path / "perceptron"))
    fine_tuning.run(detection.JOB, config, str(tmp_path / "run"))
  config = image_folder.get_config("bigan")
  config.model.encoder_shape = config.model.image_shape = (16, 16, 1)
  config.model.G.width, config.model.D.width, config.model.E.widths = 1, 1, (4, 4, 4, 4, 4)
  saved_run(config, tmp_path / "grey")
  with pytest.raises(ValueError, match="sees images of 1 channel"):
    fine_tuning.run(detection.JOB, small(devkit, str(tmp_path / "grey")), str(tmp_path / "run"))

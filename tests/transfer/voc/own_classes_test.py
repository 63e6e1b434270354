"""A devkit's own classes: their number and names hold from its annotations to the results."""

from collections.abc import Callable
import pathlib

import numpy as np
import pytest

from bigan_jax.data import survey
from bigan_jax.data import voc as data
from bigan_jax.settings import downstream
from bigan_jax.transfer import source
from bigan_jax.transfer.voc import classification, dataset, detector, region_batches, scorers
from configs import voc_classification
from tests.run_folders import alexnet
from tests.transfer.voc import devkits

NAMES = ("cell", "helmet", "vest")


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
  """Six pictures to train on and three to test, each of one class."""
  root = tmp_path / "VOCdevkit" / "VOC2007"
  for i in range(9):
    pixels = np.full((24, 24, 3), 25 * i, np.uint8)
    split = "trainval" if i < 6 else "test"
    devkits.add(root, split, f"{i:06d}", pixels, [(NAMES[i % 3], 0, *devkits.BOX)])
  return root


def test_classification(
    root: pathlib.Path, saved_run: Callable, capsys: pytest.CaptureFixture
) -> None:
  home = root.parent.parent
  saved_run(alexnet(), home / "run")
  config = voc_classification.get_config("fc8,size=small")
  config.update_from_flattened_dict({
      "encoder": str(home / "run"), "data.path": str(home), "data_dir": str(home / "data"),
      "crop": 16, "data.edge": 20, "batch_size": 4, "model.hidden": (4, 4),
  })
  downstream.validate(config)
  resolved = classification.resolve(config, source.read(config.encoder, "latest"))
  task = classification.task(resolved, None)
  assert task.network.classes == 3 and task.about.classes == NAMES
  assert survey.fingerprint(task.about)["train"] == 6
  assert capsys.readouterr().out.endswith(
      f"train: 6 pictures of 3 classes, judged by 3 others, from {home} (trainval, test)\n"
  )


def test_detection(root: pathlib.Path) -> None:
  home = root.parent.parent
  pictures = data.load(2007, "test", data_dir=str(home / "data"), path=str(home))
  kept = dataset.Pictures(pictures, 0, classes=pictures[0].classes)
  found = [scorers.Detections(p.boxes, np.ones(1), p.labels) for p in pictures]
  results = detector.judge(found, kept)
  assert results["AP"] == dict.fromkeys(NAMES, 100.0) and not results["absent"]
  boxes = [picture.boxes for picture in pictures]
  means, stds = region_batches.statistics(kept, np.arange(3), boxes, flip=False)
  assert means.shape == stds.shape == (4, 4)

"""Tests of the job of configs/neighbours.py (Figure 5)."""

from collections.abc import Callable
import csv
import json
import pathlib

import ml_collections
import numpy as np
from PIL import Image
import pytest

from bigan_jax.data.splits import Split
from bigan_jax.evaluation import encoders, layer_features, neighbours_job, retrieval
from bigan_jax.settings import downstream
from bigan_jax.transfer import jobs
from configs import imagenet, neighbours


def job(encoder: pathlib.Path) -> ml_collections.ConfigDict:
  config = neighbours.get_config()
  config.encoder = str(encoder)
  config.queries, config.neighbours, config.train_images = 3, 2, 90
  downstream.validate(config)
  return config


def read_table(path: pathlib.Path) -> list[dict[str, str]]:
  with open(path, newline="") as file:
    return list(csv.DictReader(file))


def test_the_job_from_end_to_end(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  saved_run(tiny("bigan"), tmp_path / "run")
  config, out = job(tmp_path / "run"), tmp_path / "out"
  jobs.JOBS["neighbours"](config, str(out))
  assert {p.name for p in out.iterdir()} == {
      "config.json", "data.json", "results.json", "neighbours.csv", "pictures"
  }
  assert [p.name for p in (out / "pictures").iterdir()] == ["neighbours_e-.png"]

  trained = encoders.read(config.encoder, "latest")
  train, judged, _ = encoders.pictures(config, trained)
  numbers = np.random.RandomState(config.seed).permutation(judged.size)[:3]
  x, queries = (
      layer_features.extract(encoders.trained_encoder(trained), images, "e-", 0)
      for images in (train.images, judged.images[numbers])
  )
  unit = lambda a: a / np.linalg.norm(a, axis=1, keepdims=True)
  distances = 1 - unit(queries) @ unit(x).T
  rows = read_table(out / "neighbours.csv")
  assert len(rows) == 6
  for i, row in enumerate(rows):
    q, rank = divmod(i, 2)
    index = np.argsort(distances[q])[rank]
    assert (row["layer"], int(row["query"]), int(row["rank"])) == ("e-", numbers[q], rank + 1)
    assert int(row["index"]) == index and int(row["label"]) == train.labels[index]
    assert int(row["query_label"]) == judged.labels[numbers[q]]
    assert float(row["distance"]) == pytest.approx(distances[q, index], abs=1e-5)
  agree = 100 * np.mean([row["label"] == row["query_label"] for row in rows])
  result = json.loads((out / "results.json").read_text())
  assert result["layers"] == {"e-": {"dim": 16, "same_class": pytest.approx(agree)}}
  assert result["queries"] == numbers.tolist()
  assert f"neighbours_e-.png: {agree:.1f} % of the neighbours" in capsys.readouterr().out

  drawn = np.asarray(Image.open(out / "pictures" / "neighbours_e-.png"))
  assert drawn.shape[1] == 18 * 35  # Four digits wide, enlarged to 600 pixels at least.
  drawn = drawn[-18 * 26:][::18, ::18]  # Without its title.
  cell = lambda row, column: drawn[9 * row:9 * row + 8, 9 * column:9 * column + 8]
  for q in range(3):
    np.testing.assert_array_equal(cell(q, 0), judged.images[numbers[q], ..., 0])
    assert np.all(cell(q, 1) == 255)
    np.testing.assert_array_equal(cell(q, 2), train.images[int(rows[2 * q]["index"]), ..., 0])


def test_fc6_is_a_fixed_random_projection() -> None:
  conv5 = np.random.RandomState(0).randn(5, 300).astype(np.float32)
  fc6 = neighbours_job.project(conv5, seed=1)
  assert fc6.shape == (5, 4096)
  np.testing.assert_array_equal(fc6, neighbours_job.project(conv5, seed=1))
  np.testing.assert_allclose(fc6[:2], neighbours_job.project(conv5[:2], seed=1), rtol=1e-4,
                             atol=1e-5)
  assert np.any(fc6 != neighbours_job.project(conv5, seed=2))
  np.testing.assert_allclose(neighbours_job.project(3 * conv5, 1), 3 * fc6, rtol=1e-3, atol=1e-5)
  before = np.where(fc6 < 0, fc6 / 0.2, fc6)  # A projection keeps angles, to about 1 / 64.
  unit = lambda a: a / np.linalg.norm(a, axis=1, keepdims=True)
  cosines = unit(before) @ unit(before).T
  np.testing.assert_allclose(cosines, unit(conv5) @ unit(conv5).T, atol=0.08)
  assert 0.3 < np.mean(fc6 < 0) < 0.7


def test_of_alexnet_they_are_sought_in_fc6_and_in_the_last_layer(
    saved_run: Callable, tmp_path: pathlib.Path
) -> None:
  encoder = imagenet.get_config("bigan")
  encoder.data.name = "fake"
  encoder.model.E.widths = (2, 4, 4, 4, 2)
  encoder.model.G.width = encoder.model.D.width = 2
  saved_run(encoder, tmp_path / "run")
  config = job(tmp_path / "run")
  config.train_images = config.judged_images = 12
  neighbours_job.run(config, str(tmp_path / "out"))
  names = sorted(p.name for p in (tmp_path / "out" / "pictures").iterdir())
  assert names == ["neighbours_e-.png", "neighbours_fc6.png"]
  with Image.open(tmp_path / "out" / "pictures" / "neighbours_fc6.png") as picture:
    assert picture.width == 3 * (4 * 65 - 1) and picture.mode == "RGB"
  layers = json.loads((tmp_path / "out" / "results.json").read_text())["layers"]
  assert {layer: found["dim"] for layer, found in layers.items()} == {"fc6": 4096, "e-": 32}


def test_layers_that_there_are_not_are_refused(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path
) -> None:
  saved_run(tiny("bigan"), tmp_path / "run")
  config = job(tmp_path / "run")
  config.layers = ("fc6",)
  with pytest.raises(ValueError, match="no layer 'fc6': .*choose from fc1, fc2, e-, e"):
    neighbours_job.run(config, str(tmp_path / "out"))
  assert not (tmp_path / "out").exists()


def test_no_share_of_classes_that_are_not_trained_on() -> None:
  images = np.zeros((2, 8, 8, 1), np.uint8)
  train, queries = (Split(images, np.array(labels), 3) for labels in ([0, 0], [1, 2]))
  found = retrieval.Neighbours(np.zeros((2, 1)), np.zeros((2, 1), np.int32))
  assert neighbours_job.same_class(queries, train, found) is None
  assert neighbours_job.same_class(train, train, found) == 100

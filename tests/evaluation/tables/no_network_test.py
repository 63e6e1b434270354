"""Tests of the rows without a network, held against scikit-learn on the digits themselves."""

from collections.abc import Callable
import csv
import json
import pathlib

import numpy as np
import pytest
from sklearn import neighbors

from bigan_jax.data import sources
from bigan_jax.evaluation.anomaly import fitting
from bigan_jax.evaluation.tables import anomaly, no_network

LEFT_OUT = 4


@pytest.fixture(scope="module")
def folder(
    tiny: Callable, saved_run: Callable, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
  """As launch/anomaly.sh leaves it, where one run was judged."""
  path, config = tmp_path_factory.mktemp("runs") / "mnist", tiny()
  config.data.without_labels = str(LEFT_OUT)
  saved_run(config, path / "bigan" / f"{LEFT_OUT}-3")
  judged = path / "scores" / "bigan" / f"{LEFT_OUT}-3" / "scores.csv"
  judged.parent.mkdir(parents=True)
  judged.touch()
  no_network.main(path)
  judged.unlink()
  return path


def written(folder: pathlib.Path) -> list[dict[str, str]]:
  with open(folder / "scores" / "no network" / f"{LEFT_OUT}-0" / "scores.csv", newline="") as file:
    return list(csv.DictReader(file))


def test_scores_are_those_of_the_pictures_themselves(folder: pathlib.Path) -> None:
  train, judged = sources.load_experiment("digits", "validation")
  flat = lambda images: images.reshape(len(images), -1) / np.float32(255)
  usual, x = flat(train.images[train.labels != LEFT_OUT]), flat(judged.images)
  rows = sorted(written(folder), key=lambda row: int(row["image_path"].rpartition("/")[2]))
  column = lambda name: np.array([float(row[name]) for row in rows])
  np.testing.assert_array_equal(column("gt_label"), judged.labels == LEFT_OUT)
  np.testing.assert_allclose(column("score_pixels"), np.abs(x - 0.5).mean(axis=1), rtol=1e-5)
  random = np.random.RandomState(0).permutation(len(usual))  # A fifth sets the threshold.
  used = usual[np.sort(random[round(0.2 * len(usual)):])]
  scale = np.where(used.std(axis=0) > 0, used.std(axis=0), 1)
  near = neighbors.NearestNeighbors(n_neighbors=fitting.NEIGHBOURS).fit(used / scale)
  distances, _ = near.kneighbors(x / scale)
  np.testing.assert_allclose(column("score_neighbours"), distances.mean(axis=1), rtol=1e-4)
  near = neighbors.NearestNeighbors(n_neighbors=fitting.NEIGHBOURS, metric="cosine")
  middle = used.mean(axis=0)
  angles, _ = near.fit((used - middle) / scale).kneighbors((x - middle) / scale)
  np.testing.assert_allclose(column("score_cosine"), angles.mean(axis=1), rtol=1e-4)


def test_they_stand_in_the_table_once(folder: pathlib.Path) -> None:
  before = written(folder)
  no_network.main(folder)
  assert written(folder) == before
  assert [path.name for path in (folder / "scores").glob("*/*/*.csv")] == ["scores.csv"]
  about = json.loads((folder / "scores" / "no network" / "4-0" / "threshold.json").read_text())
  assert about["score"] == "combined" and about["neighbours"] == fitting.NEIGHBOURS
  anomaly.main(folder)
  with open(folder / "anomaly.csv", newline="") as file:
    rows = [row for row in csv.DictReader(file) if row["method"] == "no network"]
  assert {row["score"] for row in rows} == {"pixels", "neighbours", "cosine", "combined (default)"}
  assert all(row["epochs"] == "" and row["seeds"] == "1" for row in rows)

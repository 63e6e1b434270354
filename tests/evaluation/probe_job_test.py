"""Tests of the job of configs/linear_probe.py, on made-up encoders of digits."""

from collections.abc import Callable
import csv
import json
import pathlib

import ml_collections
import numpy as np
import pytest
from sklearn import neighbors

from bigan_jax.data.splits import Split
from bigan_jax.evaluation import encoders, layer_features, probe_job
from bigan_jax.settings import downstream
from bigan_jax.transfer import jobs
from configs import linear_probe

LINES = {"network", "layer", "dim", "linear", "1-NN cosine", "1-NN euclidean", "3-NN cosine",
         "3-NN euclidean", "200-NN vote", "l2", "chance"}


@pytest.fixture(name="config")
def _config(tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path
            ) -> ml_collections.ConfigDict:
  """A job on a saved encoder, with a few images and two strengths of l2."""
  saved_run(tiny("bigan"), tmp_path / "run")
  config = linear_probe.get_config()
  config.encoder = str(tmp_path / "run")
  config.train_images, config.judged_images = 200, 80
  config.neighbours, config.probe.l2 = 3, (0.1, 0.01)
  downstream.validate(config)
  return config


def contents(folder: pathlib.Path) -> dict[str, bytes]:
  return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_job_from_end_to_end(
    config: ml_collections.ConfigDict, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  config.baseline = "random"
  before = contents(tmp_path / "run")
  jobs.JOBS["linear_probe"](config, str(tmp_path / "out"))
  assert contents(tmp_path / "run") == before  # Weights and all else of the run, bit for bit.

  result = json.loads((tmp_path / "out" / "results.json").read_text())
  order = [(n, layer) for n in ("trained", "random") for layer in ("fc1", "e-", "e")]
  assert [(row["network"], row["layer"]) for row in result["rows"]] == order
  assert (result["train_images"], result["judged_images"], result["classes"]) == (200, 80, 10)
  assert (result["step"], result["data"], result["splits"]) == (10, "digits", "validation")
  with open(tmp_path / "out" / "results.csv", newline="") as file:
    table = list(csv.DictReader(file))
  for row, line in zip(result["rows"], table, strict=True):
    assert set(line) == LINES and {name: str(row[name]) for name in LINES} == line
    assert row["dim"] == (5 if row["layer"] == "e" else 16)
    assert set(row["validation"]) == {"0.1", "0.01"} and row["converged"]
    name = f"confusion_{'random_' * (row['network'] == 'random')}{row['layer']}.csv"
    confusion = np.loadtxt(tmp_path / "out" / name, delimiter=",", skiprows=1)[:, 1:]
    assert confusion.shape == (10, 10) and confusion.sum() == 80
    assert row["linear"] == pytest.approx(100 * np.trace(confusion) / 80)
  best = max(result["rows"][:3], key=lambda row: row["linear"])
  assert result["best"]["trained"]["layer"] == best["layer"]
  printed = capsys.readouterr().out
  assert len((tmp_path / "out" / "results.md").read_text().splitlines()) == 8
  assert f"Best of the trained network: {best['layer']}, {best['linear']:.2f} %." in printed
  assert {p.name for p in (tmp_path / "out").iterdir() if "confusion" not in p.name} == {
      "config.json", "data.json", "results.json", "results.csv", "results.md", "compared.csv",
      "compared.md", "pictures",
  }


def test_neighbours_are_those_of_the_raw_features(
    config: ml_collections.ConfigDict, tmp_path: pathlib.Path
) -> None:
  config.layers = ("fc1",)
  probe_job.run(config, str(tmp_path / "out"))
  row, = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
  trained = encoders.read(config.encoder, "latest")
  train, judged, _ = encoders.pictures(config, trained)
  encoder = encoders.trained_encoder(trained)
  x, queries = (layer_features.extract(encoder, s.images, "fc1", 4) for s in (train, judged))
  for k in (1, 3):
    for metric in ("cosine", "euclidean"):
      oracle = neighbors.KNeighborsClassifier(k, algorithm="brute", metric=metric)
      accuracy = 100 * oracle.fit(x, train.labels).score(queries, judged.labels)
      assert row[f"{k}-NN {metric}"] == pytest.approx(accuracy)


def test_the_same_command_alone_replaces_the_result_and_gives_the_same(
    config: ml_collections.ConfigDict, tmp_path: pathlib.Path
) -> None:
  config.layers, out = ("e",), tmp_path / "out"
  probe_job.run(config, str(out))
  first = contents(out)
  probe_job.run(config, str(out))
  assert contents(out) == first
  config.encoder, config.layers = "another", ("e-",)
  with pytest.raises(ValueError, match='encoder is ".*/run" there and "another" here; layers is'):
    probe_job.run(config, str(out))
  assert contents(out) == first


def test_the_encoders_own_folder_is_refused(
    config: ml_collections.ConfigDict, tmp_path: pathlib.Path
) -> None:
  before = contents(tmp_path / "run")
  config.layers = ("e",)
  with pytest.raises(ValueError, match="is the run folder of a job 'train'"):
    probe_job.run(config, str(tmp_path / "run"))
  assert contents(tmp_path / "run") == before


def test_an_unknown_layer_is_refused(
    config: ml_collections.ConfigDict, tmp_path: pathlib.Path
) -> None:
  config.layers = ("conv1",)
  with pytest.raises(ValueError, match="no layer 'conv1': .*choose from fc1, fc2, e-, e"):
    probe_job.run(config, str(tmp_path / "out"))
  assert not (tmp_path / "out").exists()


def split(labels: list[int], num_classes: int) -> Split:
  return Split(np.zeros((len(labels), 8, 8, 1), np.uint8), np.array(labels), num_classes)


def test_classes_without_training_images_are_named(caplog: pytest.LogCaptureFixture) -> None:
  train, judged = split([0, 2, 2, 5], 6), split([0, 1, 1, 4, 5], 6)
  assert probe_job.left_out("clipart", train, judged) == [1, 3, 4]
  assert "3 of the 6 classes of clipart have no training image (numbers 1, 3, 4)" in caplog.text
  assert "their 3 judged images count as errors" in caplog.text
  assert probe_job.left_out("clipart", split([1, 0], 2), judged) == []


def test_unlabelled_images_are_refused() -> None:
  with pytest.raises(ValueError, match="The images of clipart have no labels"):
    probe_job.left_out("clipart", split([0, 0], 0), split([0], 0))


def test_left_out_classes_count_as_errors(
    config: ml_collections.ConfigDict, tmp_path: pathlib.Path
) -> None:
  """Of the first 12 training digits, some class is absent."""
  config.layers, config.train_images, config.probe.l2 = ("fc1",), 12, (0.1,)
  probe_job.run(config, str(tmp_path / "out"))
  result = json.loads((tmp_path / "out" / "results.json").read_text())
  train, judged, _ = encoders.pictures(config, encoders.read(config.encoder, "latest"))
  missing = sorted(set(range(10)) - set(train.labels.tolist()))
  assert missing and result["left_out"] == missing
  confusion = np.loadtxt(tmp_path / "out" / "confusion_fc1.csv", delimiter=",", skiprows=1)[:, 1:]
  assert confusion[:, missing].sum() == 0
  assert confusion[missing].sum() == np.isin(judged.labels, missing).sum() > 0

"""Tests of everything together: from real digits to an encoder that is read back from disk."""

import json
import pathlib
from typing import NamedTuple

import ml_collections
import numpy as np
from PIL import Image
import pytest
import sklearn.neighbors

from bigan_jax import models
from bigan_jax.data import sources
from bigan_jax.data.sources import Split
from bigan_jax.runs import checkpoints
from bigan_jax.transfer import jobs
from configs import digits


class Run(NamedTuple):
  """A finished run of configs/digits.py, narrower and shorter, and the images that it saw."""

  path: pathlib.Path
  config: ml_collections.ConfigDict
  rows: list[dict]
  train: Split
  judged: Split

  def apply(self, player: str, inputs: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A network as it was saved, in test mode."""
    variables, _ = checkpoints.restore_network(str(self.path), player)
    return getattr(models.build(self.config.model), player).apply(variables, inputs)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
  config, path = digits.get_config(), tmp_path_factory.mktemp("run")
  config.epochs = 150  # of 10 steps; after 60, rounding and seeds decide whether G and E have met
  config.calibration_steps, config.eval.every = 20, 50
  config.eval.samples = 2000
  for player in "GED":
    config.model[player].width = 128
  jobs.train(config, str(path))
  rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
  return Run(path, config, rows, *sources.load_experiment("digits", "validation"))


def test_it_learns(run: Run) -> None:
  assert [row["epoch"] for row in run.rows] == [0, 1, 50, 75, 100, 150]
  first, last = run.rows[0], run.rows[-1]
  assert first["JD"] == pytest.approx(np.log(2), abs=1e-5)
  assert last["JD"] < 0.5 < 0.75 < last["G"]
  assert last["NND"] < first["NND"] - 1  # Samples have come nearer to digits.
  assert abs(first["EGr_b"] / first["EGr"] - 1) < 0.01  # Nothing is reconstructed at first.
  assert last["EGr_b"] > 1.1 * last["EGr"] and last["EGg_b"] > 1.5 * last["EGg"]
  assert last["code_std_mean"] > 2 * first["code_std_mean"]
  assert last["D_real"] > 0.8 and last["D_fake"] > 0.8
  assert min(last["NNC_e"], last["NNC_e-"]) > 85 and last["CLS_e-"] > 40


def test_the_saved_encoder_reproduces_its_metrics(run: Run) -> None:
  """By scikit-learn, from what anyone can read back."""
  assert (len(run.train.labels), len(run.judged.labels)) == (1250, 250)
  x, references = run.judged.images / np.float32(255), run.train.images / np.float32(255)
  last = run.rows[-1]
  for name, features in (("NNC_e", lambda x: run.apply("E", x)[0]),
                         ("NNC_e-", lambda x: run.apply("E", x)[1]["fc2"])):
    neighbour = sklearn.neighbors.KNeighborsClassifier(1).fit(
        features(references), run.train.labels
    )
    score = 100 * neighbour.score(features(x), run.judged.labels)
    assert score == pytest.approx(last[name], abs=0.41)  # One image of 250, should two tie.
  back = run.apply("G", np.tanh(run.apply("E", x)[0] / 2))[0]
  errors = np.linalg.norm((x - back).reshape(250, -1), axis=1)
  assert errors.mean() == pytest.approx(last["EGr"], rel=1e-4)


def test_newest_and_best_networks_are_kept(run: Run) -> None:
  _, newest = checkpoints.restore_network(str(run.path), "E")
  assert newest["step"] == 1500 and newest["config"] == json.loads(
      (run.path / "config.json").read_text()
  )
  assert newest["metrics"] == run.rows[-1]
  _, best = checkpoints.restore_network(str(run.path), "E", "best")
  scores = {row["step"]: row["EGr"] for row in run.rows if row["step"]}
  assert scores[best["step"]] == min(scores.values())


def test_pictures_can_be_opened(run: Run) -> None:
  steps = [f"{row['step']:08d}.png" for row in run.rows]
  last = {}
  for name, size in (("samples", (716, 398)), ("reconstructions", (716, 758))):
    files = sorted((run.path / "pictures" / name).iterdir())
    assert [file.name for file in files] == steps
    pictures = [np.asarray(Image.open(file)) for file in files]
    assert {picture.shape[::-1] for picture in pictures} == {size}
    assert not np.array_equal(pictures[0], pictures[-1])
    last[name] = pictures[-1]
  assert last["samples"].std() > 30  # They are no longer grey.


def test_tensorboard_is_fed(run: Run) -> None:
  files = list((run.path / "events").iterdir())
  content = b"".join(file.read_bytes() for file in files)
  for tag in (b"JD", b"NNC_e-", b"grad_norm_E", b"samples", b"reconstructions"):
    assert tag in content

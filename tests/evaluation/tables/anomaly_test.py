"""Tests of launch/anomaly.sh: what it starts, what it leaves out, and the two tables at its end."""

from collections.abc import Callable
import csv
import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from sklearn import metrics

from bigan_jax.evaluation.tables import anomaly, published_anomalies

ROOT = pathlib.Path(__file__).parents[3]
FAKE = """#!/bin/sh
echo "$*" >> "$LOG"
for word in "$@"; do
  case $word in
    --workdir=*) at=${word#*=}/metrics.jsonl when=2030-01-01 ;;
    --out=*) at=${word#*=}/scores.csv when=2030-01-02 ;;
  esac
done
[ -n "$at" ] && mkdir -p "${at%/*}" && { [ -e "$at" ] || touch -d $when "$at"; }
exit 0
"""


@pytest.fixture
def start(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
  """`start("OUT", "mnist", SEEDS="0 1")`: the commands that the script starts, in order."""
  program, log = tmp_path / "python", tmp_path / "log"
  program.write_text(FAKE)
  program.chmod(0o755)
  for name in ("SEEDS", "EPOCHS", "METHODS", "LABELS", "CONFIG", "RECIPE"):
    monkeypatch.delenv(name, raising=False)
  def run(*words: str, status: int = 0, **given: str) -> list[str]:
    log.unlink(missing_ok=True)
    ended = subprocess.run(
        ["bash", ROOT / "launch" / "anomaly.sh", *words], cwd=tmp_path, timeout=20, text=True,
        env=os.environ | {"LOG": str(log), "PYTHON": str(program), **given}, capture_output=True,
    )
    assert ended.returncode == status
    return ended.stderr.splitlines() if status else log.read_text().splitlines()
  return run


def test_each_digit_is_left_out_and_looked_for(start: Callable) -> None:
  lines = start("OUT", "mnist", "--config.batch_size=64", EPOCHS="3", SEEDS="5")
  assert len(lines) == 4 * 10 + 2
  assert lines[4] == (
      "-m bigan_jax.main --stopped_status=143 --config=configs/mnist.py:bigan"
      " --workdir=OUT/mnist/bigan/1-5 --config.seed=5 --config.data.splits=test"
      " --config.data.without_labels=1 --config.eval.samples=1000 --config.calibration_steps=100"
      " --config.epochs=3 --config.batch_size=64"
  )
  assert lines[5] == ("-m bigan_jax.anomaly --model=OUT/mnist/bigan/1-5"
                      " --out=OUT/mnist/scores/bigan/1-5 --force")
  assert "mnist.py:bigan --workdir=OUT/mnist/untrained/1-5 " in lines[6]
  assert lines[6].endswith(" --config.epochs=3 --config.batch_size=64 --config.epochs=0")
  assert lines[-2:] == [
      f"-m bigan_jax.evaluation.tables.{name} OUT/mnist" for name in ("no_network", "anomaly")
  ]


def test_one_class_is_trained_on_and_nothing_is_done_twice(
    start: Callable, tmp_path: pathlib.Path
) -> None:
  chosen = {"LABELS": "7 8", "METHODS": "bigan latent_regressor", "SEEDS": "0 1"}
  lines = start("OUT", "cifar10", **chosen)
  assert [line.split()[4] for line in lines if ".main" in line][:4] == [
      f"--workdir=OUT/cifar10/{name}" for name in (
          "bigan/7-0", "latent_regressor/7-0", "bigan/8-0", "latent_regressor/8-0")
  ]
  assert "--config.data.only_labels=7" in lines[0]
  assert not any("bigan_jax.anomaly" in line for line in start("OUT", "cifar10", **chosen))
  os.utime(tmp_path / "OUT/cifar10/bigan/7-1/metrics.jsonl", (2e9, 2e9))
  again = [line for line in start("OUT", "cifar10", **chosen) if "bigan_jax.anomaly" in line]
  assert len(again) == 1 and "--model=OUT/cifar10/bigan/7-1 " in again[0]


def test_a_recipe_lies_beside_the_default(start: Callable) -> None:
  lines = start("OUT", "cifar10", LABELS="7", RECIPE="modern", METHODS="bigan untrained")
  for line, method in ((lines[0], "bigan"), (lines[2], "untrained")):
    assert (" --config=configs/cifar10.py:bigan,recipe=modern"
            f" --workdir=OUT/cifar10/{method}-modern/7-0 ") in line
  assert lines[1] == ("-m bigan_jax.anomaly --model=OUT/cifar10/bigan-modern/7-0"
                      " --out=OUT/cifar10/scores/bigan-modern/7-0 --force")


def test_another_set_is_refused(start: Callable) -> None:
  said = ["anomaly.sh: DATASET is svhn: choose from mnist, cifar10."]
  assert start("OUT", "svhn", status=1) == said


def write(folder: pathlib.Path, name: str, seed: int, share: float) -> tuple:
  """One run's scores as bigan_jax.anomaly leaves them: (labels, scores)."""
  random = np.random.RandomState(seed)
  truth = (random.rand(400) < share).astype(int)
  values = np.round(random.rand(400) + 0.3 * truth, 2)
  out, run = folder / "scores" / "bigan" / name, folder / "bigan" / name
  out.mkdir(parents=True)
  run.mkdir(parents=True)
  (run / "metrics.jsonl").write_text('{"step": 0, "epoch": 0}\n{"step": 9, "epoch": 20}\n')
  (out / "threshold.json").write_text(json.dumps({"score": "pixels"}))
  with open(out / "scores.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["image_path", "pred_score", "pred_label", "gt_label", "score_pixels"])
    writer.writerows([[f"mnist/{i}", v, 0, t, v] for i, (t, v) in enumerate(zip(truth, values))])
  return truth, values


def read(folder: pathlib.Path) -> dict[tuple[str, str], dict[str, str]]:
  with open(folder / "anomaly.csv", newline="") as file:
    return {(row["measure"], row["method"]): row for row in csv.DictReader(file)}


def test_the_table_of_digits(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
  folder = tmp_path / "mnist"
  found = [metrics.average_precision_score(*write(folder, f"1-{seed}", seed, 0.1))
           for seed in (0, 1)]
  truth, values = write(folder, "4-0", 2, 0.1)
  (folder / "scores/bigan/4-0/threshold.json").write_text('{"score": "combined"}')
  anomaly.main(folder)
  table = read(folder)
  own = table[anomaly.NATURAL, "bigan"]
  spread = 100 * abs(found[0] - found[1]) / 2
  assert own["1"] == f"{100 * np.mean(found):.2f} ± {spread:.2f}"
  assert own["4"] == f"{100 * metrics.average_precision_score(truth, values):.2f}"
  assert (own["0"], own["seeds"], own["epochs"], own["source"]) == ("", "1/2", "20", "here")
  assert own["score"] == "pixels (default of 2 of 3 runs)"
  assert table[anomaly.NATURAL, "EGBAD"]["1"] == "28.7 ± 2.3"
  assert table[anomaly.NATURAL, "chance"]["4"] == f"{100 * truth.mean():.2f}"
  share = published_anomalies.released_share(4)
  weights = np.where(truth == 1, share / (1 - share) * (1 - truth).sum() / truth.sum(), 1.0)
  weighted = metrics.average_precision_score(truth, values, sample_weight=weights)
  assert table[anomaly.RELEASED, "bigan"]["4"] == f"{100 * weighted:.2f}"
  assert table[anomaly.RELEASED, "chance"]["0"] == ""
  assert table[anomaly.RELEASED, "chance"]["1"] == "38.80"  # 7,877 of 7,877 + 12,425
  text = capsys.readouterr().out
  assert text == (folder / "anomaly.md").read_text() and "with our networks" in text


def test_the_table_of_photos(tmp_path: pathlib.Path) -> None:
  folder = tmp_path / "cifar10"
  truth, values = write(folder, "7-0", 0, 0.9)
  anomaly.main(folder)
  table = read(folder)
  own = table[anomaly.ONE_NORMAL, "bigan"]
  assert own["7"] == own["mean"] == f"{100 * metrics.roc_auc_score(truth, values):.2f}"
  assert table[anomaly.ONE_NORMAL, "ALAD"]["7"] == "52"
  assert table[anomaly.ONE_NORMAL, "chance"]["0"] == "50.00" and own["epochs"] == "20"
  shutil.rmtree(folder / "bigan")  # Runs are large, and judged already.
  anomaly.main(folder)
  assert read(folder)[anomaly.ONE_NORMAL, "bigan"] == {**own, "epochs": ""}


def test_what_is_no_result_is_said(tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match="Nothing is judged in .*mnist: begin with launch"):
    anomaly.main(tmp_path / "mnist")
  write(tmp_path / "other", "1-0", 0, 0.1)
  with pytest.raises(ValueError, match="other is of other, but the tables are of mnist and cifar"):
    anomaly.main(tmp_path / "other")
  write(tmp_path / "mnist", "best", 0, 0.1)
  with pytest.raises(ValueError, match="best is no LABEL-SEED of launch/anomaly.sh"):
    anomaly.main(tmp_path / "mnist")

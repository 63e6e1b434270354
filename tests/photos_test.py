"""Tests of launch/photos.sh: what it starts, what it leaves out, and the table at its end."""

from collections.abc import Callable
import csv
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FAKE = """#!/bin/sh
echo "$*" >> "$LOG"
for word in "$@"; do
  case $word in --workdir=*) folder=${word#--workdir=} ;; esac
done
[ -n "$folder" ] || exit 0
mkdir -p "$folder"
case "$*" in
  *linear_probe*) touch -d "2030-01-02" "$folder/results.json" ;;
  *) [ -e "$folder/metrics.jsonl" ] || touch -d "2030-01-01" "$folder/metrics.jsonl" ;;
esac
"""
Photos = Callable[..., list[str]]


@pytest.fixture(name="photos")
def _photos(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Photos:
  """`photos("OUT", "cifar10", SEEDS="0 1")`: the commands that the script starts, in order."""
  program, log = tmp_path / "python", tmp_path / "log"
  program.write_text(FAKE)
  program.chmod(0o755)
  for name in ("SEEDS", "EPOCHS", "METHODS", "LAYERS", "UNTRAINED", "RECIPE", "CONFIG", "SIZE"):
    monkeypatch.delenv(name, raising=False)
  def start(*words: str, **given: str) -> list[str]:
    log.unlink(missing_ok=True)
    subprocess.run(
        ["bash", ROOT / "launch" / "photos.sh", *words], cwd=tmp_path, timeout=20, check=True,
        env=os.environ | {"LOG": str(log), "PYTHON": str(program), **given},
        stderr=subprocess.PIPE, text=True,
    )
    return log.read_text().splitlines()
  return start


def test_every_method_is_trained_and_judged_by_two_classifiers(photos: Photos) -> None:
  lines = photos("OUT", "cifar10", "--config.batch_size=64", EPOCHS="3")
  assert len(lines) == 6 * 3 + 1
  start = "-m bigan_jax.main --stopped_status=143 --config="
  folder = "OUT/cifar10/paper"
  assert lines[0] == (
      f"{start}configs/cifar10.py:bigan,recipe=paper --workdir={folder}/bigan-0 --config.seed=0"
      " --config.data.splits=test --config.epochs=3 --config.batch_size=64"
  )
  judged = f"{start}configs/linear_probe.py --config.encoder={folder}/bigan-0 --workdir={folder}"
  untrained = "--config.baseline=random --config.baseline_seeds=(0,1,2,)"
  assert lines[1] == (
      f"{judged}/linear/bigan-0 --config.discriminator=True --config.pca=64 {untrained}"
  )
  assert lines[2] == (
      f"{judged}/mlp/bigan-0 --config.discriminator=True --config.classifier=mlp {untrained}"
  )
  assert lines[-1] == f"-m bigan_jax.evaluation.tables.photos {folder}"
  assert sum("baseline" in line for line in lines) == 2
  assert [line.split()[-1] for line in lines[4:-1] if "linear/" in line] == ["--config.pca=64"] * 5


def test_small_networks_have_no_regressors(photos: Photos) -> None:
  trained = [line for line in photos("OUT", "tiny_imagenet", SIZE="small") if "size=small" in line]
  methods = [line.split()[4].rsplit("/", 1)[-1] for line in trained]
  assert methods == ["bigan-0", "gan-0", "autoencoder_l2-0", "autoencoder_l1-0"]


def test_methods_without_a_row_are_refused(photos: Photos, tmp_path: pathlib.Path) -> None:
  with pytest.raises(subprocess.CalledProcessError) as refused:
    photos("OUT", "cifar10", METHODS="bigan alad")
  assert refused.value.stderr.startswith("METHODS has alad: choose from bigan, gan, latent_regr")
  assert not (tmp_path / "OUT").exists()


def test_seeds_methods_and_layers_are_chosen(photos: Photos) -> None:
  lines = photos("OUT", "tiny_imagenet", SEEDS="4 5", METHODS="gan bigan", LAYERS="conv5 e",
                 UNTRAINED="7", RECIPE="official", CONFIG="configs/digits.py", SIZE="small")
  trained = [line for line in lines if "recipe=official,size=small " in line]
  folder = "OUT/tiny_imagenet/official"
  assert [line.split()[4] for line in trained] == [
      f"--workdir={folder}/{name}" for name in ("gan-4", "bigan-4", "gan-5", "bigan-5")
  ]
  assert all("--config=configs/digits.py:" in line for line in trained)
  judged = [line for line in lines if "linear_probe" in line]
  layers = "--config.layers=conv5 --config.layers=e"
  assert [layers in line for line in judged] == ["/bigan-" in line for line in judged]
  assert [line for line in judged if "baseline" in line] == judged[:2]
  assert judged[0].endswith("--config.baseline_seeds=(7,)")


def test_what_is_judged_is_not_judged_again_until_the_run_goes_on(
    photos: Photos, tmp_path: pathlib.Path
) -> None:
  chosen = {"METHODS": "bigan autoencoder_l2"}
  photos("OUT", "cifar10", **chosen)
  again = photos("OUT", "cifar10", **chosen)
  assert len(again) == 3 and not any("linear_probe" in line for line in again)
  os.utime(tmp_path / "OUT/cifar10/paper/bigan-0/metrics.jsonl", (2e9, 2e9))
  further = photos("OUT", "cifar10", **chosen)
  assert [line.split()[5] for line in further if "linear_probe" in line] == [
      f"--workdir=OUT/cifar10/paper/{kind}/bigan-0" for kind in ("linear", "mlp")
  ]


def test_from_digits_to_the_table(
    forked_python: pathlib.Path, tiny_flags: list[str], tmp_path: pathlib.Path
) -> None:
  """Twice: the second time all is there, and only the table is printed again."""
  chosen = {"CONFIG": "configs/digits.py", "METHODS": "bigan", "UNTRAINED": "0 1", "EPOCHS": "1",
            "PYTHON": str(forked_python), "LAYERS": "e"}
  flags = [flag for flag in tiny_flags if "config.epochs" not in flag]
  def photos() -> str:
    return subprocess.run(
        ["bash", "launch/photos.sh", tmp_path, "digits", *flags], cwd=ROOT, check=True, text=True,
        env=os.environ | chosen, timeout=300, capture_output=True,
    ).stdout
  first, folder = photos(), tmp_path / "digits" / "paper"
  with open(folder / "photos.csv", newline="") as file:
    table = {(row["read-out"], row["features"]): row for row in csv.DictReader(file)}
  assert {features for _, features in table} == {"BiGAN", "untrained network", ""}
  for read_out in ("MLP", "linear", "200-NN vote"):
    assert float(table[read_out, "BiGAN"]["code"]) > 20
    assert table[read_out, "untrained network"]["seeds"] == "2"
    assert "±" in table[read_out, "untrained network"]["code"]
  result = json.loads((folder / "linear" / "bigan-0" / "results.json").read_text())
  assert (result["splits"], result["judged_images"], result["epoch"]) == ("test", 297, 1)
  text = (folder / "photos.md").read_text()
  again = photos()
  assert text in first and text in again and "Best of" in first and "Best of" not in again

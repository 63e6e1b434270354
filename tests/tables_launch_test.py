"""Tests of launch/table1.sh, table2.sh and table3.sh: every command that they start, in order."""

from collections.abc import Callable
import os
import pathlib
import subprocess

import pytest

from bigan_jax.settings import downstream, fields, rules
from bigan_jax.training.objectives import OBJECTIVES

ROOT = pathlib.Path(__file__).parents[1]
CHOSEN = ("SEEDS", "RECIPE", "CONFIG", "ROWS", "LAYERS", "TASKS", "SIZE", "NET")
Start = Callable[..., list[dict[str, str]]]


@pytest.fixture(name="start")
def _start(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Start:
  """`start("table2", "OUT", "RUN", SEEDS="0 1")`: the flags of each program, which are right."""
  for name in CHOSEN:
    monkeypatch.delenv(name, raising=False)
  program, log = tmp_path / "python", tmp_path / "log"
  program.write_text('#!/bin/sh\necho "$*" >> "$LOG"\n')
  program.chmod(0o755)
  def commands(name: str, *words: str, **given: str) -> list[dict[str, str]]:
    log.unlink(missing_ok=True)
    subprocess.run(["bash", f"launch/{name}.sh", *words], cwd=ROOT, timeout=20, check=True,
                   env=os.environ | {"LOG": str(log), "PYTHON": str(program), **given})
    *trained, last = log.read_text().splitlines()
    assert last.startswith(f"-m bigan_jax.evaluation.tables.{name} {words[0]}")
    found = [dict(word.removeprefix("--").partition("=")[::2] for word in line.split()[2:])
             for line in trained]
    for flags in found:
      config = fields.load(str(ROOT / flags["config"]))
      own = {flag.removeprefix("config."): value for flag, value in flags.items()
             if flag.startswith("config.")}
      assert own.keys() <= fields.flat(config).keys()
      config.seed, config.encoder = int(own["seed"]), own.get("encoder", "")
      (rules if config.job == "train" else downstream).validate(config)
    return found
  return commands


def column(found: list[dict[str, str]], name: str) -> list[str]:
  return [flags.get(name, "") for flags in found]


def test_table_1(start: Start) -> None:
  found = start("table1", "OUT", "--config.epochs=3", SEEDS="0 2", RECIPE="official")
  six = [name for name in OBJECTIVES if name != "alad"]
  assert column(found, "config") == [
      f"configs/mnist.py:{name},recipe=official" for name in six] * 2
  assert column(found, "workdir") == [f"OUT/official/{name}-{i}" for i in (0, 2) for name in six]
  for flags in found:
    assert (flags["config.data.splits"], flags["config.eval.references"]) == ("test", "0")
    assert flags["config.epochs"] == "3"


def test_table_2(start: Start) -> None:
  found = start("table2", "OUT", "a", "b", "--", "--config.epochs=3", LAYERS="1 3", SIZE="small")
  kinds = ("pretrained", "pretrained", "random", "kmeans")
  names = ("run0", "run1", "random", "kmeans")
  files = [f"configs/frozen_layers.py:{kind},size=small" for kind in kinds]
  own = [f"configs/frozen_layers.py:{kind},size=small" for kind in ("supervised", "pretrained")]
  assert column(found, "config") == [*files * 2, own[0], own[1], own[1]]
  assert column(found, "workdir") == [
      *(f"OUT/{name}-{n}-0" for n in (1, 3) for name in names),
      "OUT/labels-0-0", "OUT/labels-1-0", "OUT/labels-3-0"]
  labels = ["a", "OUT/labels-0-0", "OUT/labels-0-0"]
  assert column(found, "config.encoder") == ["a", "b", "a", "a"] * 2 + labels
  assert column(found, "config.frozen") == ["1"] * 4 + ["3"] * 4 + ["0", "1", "3"]


def test_perceptrons_have_two_layers(start: Start, tmp_path: pathlib.Path) -> None:
  (tmp_path / "config.json").write_text('{"model": {"family": "mlp"}}')
  found = start("table2", "OUT", str(tmp_path), ROWS="pretrained")
  assert column(found, "config.frozen") == ["1", "2"]
  assert column(start("table2", "OUT", "RUN", ROWS="random"), "config.frozen") == list("12345")


def test_table_3(start: Start) -> None:
  found = start("table3", "OUT", "a", SEEDS="0 1", NET="fcn8s")
  files = [
      *(f"configs/voc_classification.py:{trained}" for trained in ("fc8", "fc6_8", "all")),
      "configs/voc_detection.py:all", "configs/voc_segmentation.py:fcn8s"]
  sources = ("pretrained", "random", "kmeans")
  assert column(found, "config") == [
      f"{file},source={source},size=full" for file in files for source in sources] * 2
  assert column(found, "workdir")[-3:] == [
      "OUT/run0-fcn8s-1", "OUT/random-fcn8s-1", "OUT/kmeans-fcn8s-1"]
  few = start("table3", "OUT", "a", TASKS="detection", ROWS="random", SIZE="small")
  assert column(few, "config") == ["configs/voc_detection.py:all,source=random,size=small"]

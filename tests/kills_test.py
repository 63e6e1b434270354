"""Kills at random moments cost no bit of the result; of one of two, machine/processes_test.py.

  BIGAN_KILLS=50 python -m pytest tests/kills_test.py tests/machine/processes_test.py

Two kills of one process, and one of a pair, are the default.
"""

from collections.abc import Callable
import os
import pathlib
import random
import signal
import subprocess
import time

import ml_collections
import pytest

from bigan_jax.transfer import jobs
from tests.machine import processes_test
from tests.training import loop_test

KILLS = int(os.environ.get("BIGAN_KILLS", "2"))
dice = processes_test.dice
little_judged = processes_test.little_judged  # Each start then costs half of the seconds.
LONG = {  # so long that no kill comes too late
    "batch_size": 400, "epochs": 10 * KILLS, "eval.every": 10 * KILLS, "save_every": 1,
    "steps_per_dispatch": 1,
}


@pytest.fixture(scope="module")
def config(tiny: Callable) -> ml_collections.ConfigDict:
  config = tiny()
  config.update_from_flattened_dict(LONG)
  return config


@pytest.fixture(scope="module")
def flags(tiny_flags: list[str]) -> list[str]:
  return [*tiny_flags, *(f"--config.{name}={value}" for name, value in LONG.items())]


def start(path: pathlib.Path, flags: list[str]) -> subprocess.Popen:
  return processes_test.start([*flags, f"--workdir={path}"], devices=1)


def test_of_one_process(
    config: ml_collections.ConfigDict, flags: list[str], dice: random.Random,
    tmp_path: pathlib.Path,
) -> None:
  """Three in four while it trains, the others wherever it is by then."""
  for i in range(KILLS):
    running = start(tmp_path / "killed", flags)
    if i == 0 or dice.random() < 0.75:
      processes_test.await_checkpoint(tmp_path / "killed", running)
    time.sleep(dice.uniform(0, 1))
    running.kill()
    [(code, text)] = processes_test.finish([running])
    assert code == -signal.SIGKILL, text
  for path in (tmp_path / "killed", tmp_path / "straight"):
    jobs.train(config, str(path))
  loop_test.assert_same(*(
      loop_test.read(tmp_path / name, config) for name in ("killed", "straight")
  ))


def test_sigterm_saves_and_ends_as_asked(flags: list[str], tmp_path: pathlib.Path) -> None:
  running = start(tmp_path, [*flags, "--stopped_status=143"])
  processes_test.await_checkpoint(tmp_path, running)
  running.send_signal(signal.SIGTERM)
  [(code, text)] = processes_test.finish([running])
  assert code == 143 and "Traceback" not in text, text
  step = loop_test.newest(tmp_path)
  assert 0 < step < 4 * LONG["epochs"]
  assert f"saved at step {step}; the same command continues there" in text

"""Kills at random moments, of one process or of one of two, cost no bit of the result.

  BIGAN_KILLS=50 python -m pytest tests/kills_test.py

Two kills of each are the default.
"""

from collections.abc import Callable, Iterator
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import ml_collections
import pytest

from bigan_jax import jobs
from tests.machine import processes_test
from tests.training import loop_test

KILLS = int(os.environ.get("BIGAN_KILLS", "2"))
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


@pytest.fixture
def dice() -> Iterator[random.Random]:
  """Rolled anew in every run of the tests; a failure shows by which seed."""
  seed = random.SystemRandom().randrange(10**6)
  print(f"seed {seed}")
  yield random.Random(seed)


def start_one(path: pathlib.Path, flags: list[str]) -> list[subprocess.Popen]:
  command = [sys.executable, "-m", "bigan_jax.main", "--config=configs/digits.py", *flags]
  return [subprocess.Popen(
      [*command, f"--workdir={path}"], cwd=loop_test.ROOT, stdout=subprocess.PIPE,
      stderr=subprocess.PIPE, text=True,
  )]


def await_checkpoint(path: pathlib.Path, running: list[subprocess.Popen]) -> None:
  """Until there is a newer one, or none to come."""
  before = loop_test.newest(path)
  while loop_test.newest(path) == before and running[0].poll() is None:
    time.sleep(0.02)


def kill_often(
    start: Callable[..., list[subprocess.Popen]], path: pathlib.Path, flags: list[str],
    dice: random.Random,
) -> None:
  """Kills KILLS times, three in four while it trains, the others wherever it is by then."""
  for i in range(KILLS):
    running = start(path, flags)
    if i == 0 or dice.random() < 0.75:
      await_checkpoint(path, running)
    time.sleep(dice.uniform(0, 1))
    victim = dice.choice(running)
    victim.kill()
    said = processes_test.finish(running)
    assert victim.returncode == -signal.SIGKILL, said
    assert 0 not in [code for code, _ in said], said


def test_of_one_process(
    config: ml_collections.ConfigDict, flags: list[str], dice: random.Random,
    tmp_path: pathlib.Path,
) -> None:
  kill_often(start_one, tmp_path / "killed", flags, dice)
  for path in (tmp_path / "killed", tmp_path / "straight"):
    jobs.train(config, str(path))
  loop_test.assert_same(*(
      loop_test.read(tmp_path / name, config) for name in ("killed", "straight")
  ))


def test_of_either_of_two(
    config: ml_collections.ConfigDict, flags: list[str], dice: random.Random,
    tmp_path: pathlib.Path,
) -> None:
  meeting = "--coordinator_timeout=20"  # So long waits one whose fellow was killed before.
  kill_often(processes_test.start_pair, tmp_path / "killed", [*flags, meeting], dice)
  loop_test.assert_same(*(
      processes_test.trained(tmp_path / name, config, flags) for name in ("killed", "straight")
  ))


def test_sigterm_saves_and_ends_as_asked(flags: list[str], tmp_path: pathlib.Path) -> None:
  running = start_one(tmp_path, [*flags, "--stopped_status=143"])
  await_checkpoint(tmp_path, running)
  running[0].send_signal(signal.SIGTERM)
  [(code, text)] = processes_test.finish(running)
  assert code == 143 and "Traceback" not in text, text
  step = loop_test.newest(tmp_path)
  assert 0 < step < 4 * LONG["epochs"]
  assert f"saved at step {step}; the same command continues there" in text

"""Tests of several processes that train as one: equal to one alone, and none waits for ever."""

from collections.abc import Callable, Iterator
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import chex
import ml_collections
import numpy as np
import pytest

from bigan_jax.machine import processes
from bigan_jax.transfer import jobs
from tests.machine.little_judged import judge_little
from tests.training import loop_test

ROOT = pathlib.Path(__file__).parents[2]
LONG = {
    "batch_size": 400, "epochs": 3, "eval.every": 1, "save_every": 1, "steps_per_dispatch": 1,
    "seed": 1,  # with 0 a picture lies so near the kink of a leaky ReLU that roundings decide it
}
LAST = 12  # 4 steps an epoch; after more, Adam makes whole steps of the roundings of tiny gradients
LOST_SECONDS = 10
KILLS = int(os.environ.get("BIGAN_KILLS", "1"))


def free_port() -> int:
  with socket.create_server(("", 0)) as server:
    return server.getsockname()[1]


def start(
    flags: list[str], devices: int = 2, python: pathlib.Path | str = sys.executable
) -> subprocess.Popen:
  """The program, judging little; signals reach it where `python` is the real one."""
  count = f"--xla_force_host_platform_device_count={devices}"
  environment = os.environ | {
      "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {count}", "PYTHONUNBUFFERED": "1",
  }
  return subprocess.Popen(
      [python, "-m", "tests.machine.little_judged", "--config=configs/digits.py", *flags],
      cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
  )


def start_pair(
    path: pathlib.Path, flags: list[str], *other: str, python: pathlib.Path | str = sys.executable
) -> list[subprocess.Popen]:
  """Two processes of two devices each, in one run folder; `other` are flags of the second alone."""
  common = [*flags, f"--coordinator=localhost:{free_port()}", "--processes=2",
            f"--lost_timeout={LOST_SECONDS}", f"--workdir={path}"]
  return [start([*common, *own], python=python)
          for own in (["--process=0"], ["--process=1", *other])]


def await_checkpoint(path: pathlib.Path, running: subprocess.Popen) -> None:
  """Until there is a newer one, or none to come."""
  before = loop_test.newest(path)
  while loop_test.newest(path) == before and running.poll() is None:
    time.sleep(0.02)


def finish(pair: list[subprocess.Popen]) -> list[tuple[int, str]]:
  """(exit code, what was said on standard error) of each."""
  try:
    said = [process.communicate(timeout=600)[1] for process in pair]
  finally:
    for process in pair:
      process.kill()
      process.wait()
  return [(process.returncode, text) for process, text in zip(pair, said)]


def sentence(text: str) -> str:
  """The last line, that of the program."""
  [line] = [line for line in text.splitlines() if line.startswith("main.py: ")]
  assert "Traceback" not in text, text
  return line.removeprefix("main.py: ")


@pytest.fixture(scope="module", autouse=True)
def little_judged() -> Iterator[None]:
  with pytest.MonkeyPatch.context() as patch:
    judge_little(patch.setattr)
    yield


@pytest.fixture
def dice() -> random.Random:
  """Rolled anew in every run of the tests; a failure shows what rolls it the same."""
  seed = int(os.environ.get("BIGAN_SEED") or random.SystemRandom().randrange(10**6))
  print(f"BIGAN_SEED={seed}")
  return random.Random(seed)


@pytest.fixture(scope="module")
def python(forked_python: pathlib.Path) -> pathlib.Path:
  """For programs that no signal is sent."""
  return forked_python


@pytest.fixture(scope="module")
def flags(tiny_flags: list[str]) -> list[str]:
  """Of two processes: their pictures are streamed, so that all pairs are of the same programs."""
  long = (f"--config.{name}={value}" for name, value in LONG.items())
  return [*tiny_flags, *long, "--config.data.resident_gb=1e-9"]


@pytest.fixture(scope="module")
def config(tiny: Callable) -> ml_collections.ConfigDict:
  config = tiny()
  config.update_from_flattened_dict(LONG)
  return config


@pytest.fixture(scope="module")
def alone(
    config: ml_collections.ConfigDict, tmp_path_factory: pytest.TempPathFactory
) -> loop_test.Result:
  """What one process with one device makes."""
  path = tmp_path_factory.mktemp("alone")
  jobs.train(config, str(path))
  return loop_test.read(path, config)


@pytest.fixture(scope="module")
def pair(
    config: ml_collections.ConfigDict, flags: list[str], python: pathlib.Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> loop_test.Result:
  """What two processes make that nothing stops."""
  return trained(tmp_path_factory.mktemp("pair"), config, flags, python)


def trained(
    path: pathlib.Path, config: ml_collections.ConfigDict, flags: list[str], python: pathlib.Path
) -> loop_test.Result:
  for code, text in finish(start_pair(path, flags, python=python)):
    assert code == 0 and "Traceback" not in text, text
  return loop_test.read(path, config)


def assert_close(found: loop_test.Result, expected: loop_test.Result) -> None:
  """Apart from the roundings of sums over devices."""
  assert found.step == expected.step == LAST
  chex.assert_trees_all_close(found.state, expected.state, rtol=1e-6, atol=1e-6)
  chex.assert_trees_all_close(found.networks, expected.networks, rtol=1e-6, atol=1e-6)
  assert found.pictures == expected.pictures
  for row, same in zip(found.rows, expected.rows, strict=True):
    assert row.keys() == same.keys()
    for name, value in row.items():
      np.testing.assert_allclose(value, same[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_two_processes_train_as_one(
    alone: loop_test.Result, pair: loop_test.Result
) -> None:
  assert_close(pair, alone)


def test_stops_and_losses_cost_no_bit(
    config: ml_collections.ConfigDict, flags: list[str], pair: loop_test.Result,
    alone: loop_test.Result, dice: random.Random, python: pathlib.Path, tmp_path: pathlib.Path,
) -> None:
  path = tmp_path / "run"
  heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # Behind & it is ignored.
  stopped = start_pair(path, flags)
  signal.signal(signal.SIGINT, heard)
  await_checkpoint(path, stopped[0])
  asked, status = dice.choice([(signal.SIGTERM, 0), (signal.SIGINT, 130)])
  stopped[1].send_signal(asked)
  for code, text in finish(stopped):
    assert code == status, text
    assert f"saved at step {loop_test.newest(path)}; the same command continues" in text
  assert loop_test.newest(path) < LAST
  shutil.copytree(path, tmp_path / "one")

  for _ in range(KILLS):
    rob(start_pair(path, [*flags, "--coordinator_timeout=20"]), dice)
    assert loop_test.newest(path) < LAST
  loop_test.assert_same(trained(path, config, flags, python), pair)

  jobs.train(config, str(tmp_path / "one"))  # One process with one device goes on.
  assert_close(loop_test.read(tmp_path / "one", config), alone)


def rob(running: list[subprocess.Popen], dice: random.Random) -> None:
  """Kills one of two that are about to train: the other ends soon, and says why."""
  while "parameters" not in running[0].stdout.readline():
    assert running[0].poll() is None
  time.sleep(dice.uniform(0, 1))
  victim = dice.choice([0, 1])
  running[victim].kill()
  began = time.monotonic()
  said = finish(running)
  assert time.monotonic() - began < LOST_SECONDS + 5
  assert said[victim][0] == -signal.SIGKILL, said
  code, text = said[1 - victim]
  lost = f"Process {1 - victim} lost another of the 2"
  assert code != 0 and any(part in text for part in (lost, "another task died", "coordination"))


def test_different_configs_are_refused_by_both(
    flags: list[str], python: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  other = ("--config.seed=3", "--config.data.workers=1")  # The latter does not matter.
  for code, text in finish(start_pair(tmp_path / "run", flags, *other, python=python)):
    assert code == 1, text
    expected = "not started alike: config.seed is 1 on process 0 and 3 on process 1. Give"
    assert expected in sentence(text)
  assert not (tmp_path / "run").exists()


def test_what_only_process_0_meets_ends_both(
    flags: list[str], python: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  (tmp_path / "thesis.tex").write_text("precious")
  said = finish(start_pair(tmp_path, flags, python=python))
  assert [code for code, _ in said] == [1, 1], said
  (_, first), (_, other) = said
  assert "is not a run folder" in sentence(first)
  assert sentence(other) == f"Process 0 ended: {sentence(first)}"


@pytest.mark.parametrize("index", [0, 1])
def test_no_process_waits_for_ever(
    flags: list[str], python: pathlib.Path, tmp_path: pathlib.Path, index: int
) -> None:
  address = f"localhost:{free_port()}"
  process = start([
      *flags, f"--coordinator={address}", "--processes=2", f"--process={index}",
      "--coordinator_timeout=3", f"--workdir={tmp_path}/run",
  ], python=python)
  _, text = process.communicate(timeout=100)
  assert process.returncode == 1
  expected = f"Process {index} ends: not all 2 processes met at {address} within 3 s; start each"
  assert expected in sentence(text)
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("own, expected", [
    (("localhost", 2, 0), "--coordinator is 'localhost': name HOST:PORT"),
    (("localhost:port", 2, 0), "--coordinator is 'localhost:port': name HOST:PORT"),
    ((None, 2, 0), "need each other"),
    (("localhost:1234", 2, None), "need each other"),
    (("localhost:1234", 2, 2), "--process is 2, but with --processes=2 it must be from 0 to 1"),
])
def test_wrong_flags(own: tuple, expected: str) -> None:
  with pytest.raises(ValueError, match=expected):
    with processes.joined(processes.Meeting(*own, 3, 3), {}):
      pass


def test_a_port_that_is_taken() -> None:
  with socket.create_server(("", 0)) as server:
    port = server.getsockname()[1]
    with pytest.raises(OSError, match=f"cannot listen at port {port} .Address already in use.:"):
      with processes.joined(processes.Meeting(f"localhost:{port}", 2, 0, 3, 3), {}):
        pass


def test_one_alone_hears_itself() -> None:
  assert processes.count() == 1 and processes.first()
  assert processes.everyones({"a": [1, None]}) == [{"a": [1, None]}]
  assert processes.everyones(None) == [None]
  with pytest.raises(OSError, match="mine") as error:
    with processes.together():
      raise FileNotFoundError("mine")
  assert error.type is FileNotFoundError

"""Tests of the loop: stops, kills and damage cost no bit of the result."""

from collections.abc import Callable
import contextlib
import json
import os
import pathlib
import shutil
import signal
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.data import batches
from bigan_jax.data.splits import Split
from bigan_jax.evaluation import metrics
from bigan_jax.runs import checkpoints
from bigan_jax.runs.workdir import RunFolder
from bigan_jax.training import ending, learner, loop
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import Schedule, TrainState, initial_state, optimiser
from bigan_jax.transfer import jobs
from tests import run_folders

ROOT = pathlib.Path(__file__).parents[2]
LONG = {"epochs": 6, "eval.every": 2, "save_every": 1, "steps_per_dispatch": 1}


# What is reported


def test_a_second_interrupt_stops_at_once() -> None:
  before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
  at_the_end = pytest.raises(KeyboardInterrupt, match="the run is saved")
  with at_the_end, loop.interruption() as interrupted:
    assert not interrupted()
    os.kill(os.getpid(), signal.SIGINT)
    assert interrupted()
    with pytest.raises(KeyboardInterrupt):
      os.kill(os.getpid(), signal.SIGINT)
  assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize("came, says", [
    ((signal.SIGTERM,), None), ((signal.SIGINT,), "the run is saved"),
    ((signal.SIGTERM, signal.SIGINT), "the run is saved"), ((), None),
])
def test_ctrl_c_is_told_at_the_end_and_sigterm_is_not(
    came: tuple[int, ...], says: str | None
) -> None:
  expected = pytest.raises(KeyboardInterrupt, match=says) if says else contextlib.nullcontext()
  with expected, loop.interruption() as interrupted:
    for number in came:
      os.kill(os.getpid(), number)
    assert interrupted() == bool(came)


def test_ctrl_c_that_nobody_saved_for_has_no_words() -> None:
  with pytest.raises(KeyboardInterrupt) as stop, loop.interruption():
    os.kill(os.getpid(), signal.SIGINT)
  assert not stop.value.args


# Whole runs


class Result(NamedTuple):
  """What a run left behind, apart from times."""

  step: int
  state: TrainState
  networks: dict
  rows: list[dict]
  pictures: dict[str, bytes]


def newest(path: pathlib.Path) -> int:
  """The step of the newest checkpoint, -1 without one."""
  return max((int(p.name) for p in path.glob("checkpoints/*") if p.name.isdigit()), default=-1)


def read(path: pathlib.Path, config: ml_collections.ConfigDict) -> Result:
  objective = OBJECTIVES[config.objective]
  template, _ = jax.eval_shape(lambda: initial_state(
      models.build(config.model), config.model, objective, optimiser(config.optim),
      jax.random.PRNGKey(0),
  ))
  manager = checkpoints.open_states(path / "checkpoints")
  step, state = checkpoints.restore_state(manager, template)
  checkpoints.close(manager)
  networks = {p: checkpoints.restore_network(str(path), p) for p in objective.players}
  assert {info["step"] for _, info in networks.values()} == {step}
  pictures = {str(p.relative_to(path)): p.read_bytes() for p in path.glob("pictures/*/*.png")}
  variables = {player: arrays for player, (arrays, _) in networks.items()}
  return Result(step, state, variables, run_folders.rows(path), pictures)


def assert_same(found: Result, expected: Result) -> None:
  """Bit for bit."""
  assert found.step == expected.step
  chex.assert_trees_all_equal(found.state, expected.state)
  chex.assert_trees_all_equal(found.networks, expected.networks)
  assert found.rows == expected.rows
  assert found.pictures == expected.pictures


@pytest.fixture(scope="module")
def config(tiny: Callable) -> ml_collections.ConfigDict:
  config = tiny()
  config.update_from_flattened_dict(LONG)
  return config


@pytest.fixture(scope="module")
def straight(
    config: ml_collections.ConfigDict, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
  """A run that nothing stops."""
  path = tmp_path_factory.mktemp("straight")
  jobs.train(config, str(path))
  return path


@pytest.fixture(scope="module")
def expected(config: ml_collections.ConfigDict, straight: pathlib.Path) -> Result:
  return read(straight, config)


def test_a_run_leaves_what_it_should(expected: Result) -> None:
  assert expected.step == expected.state.step == 30
  assert [row["epoch"] for row in expected.rows] == [0, 1, 2, 3, 4, 6]
  assert [row["step"] for row in expected.rows] == [0, 5, 10, 15, 20, 30]
  rates = [row["rate"] for row in expected.rows]
  np.testing.assert_allclose(rates[:3], 2e-4, rtol=1e-6)
  np.testing.assert_allclose(rates[3:], 2e-4 * 0.01 ** (np.array([1, 2, 3]) / 3), rtol=1e-6)
  first, last = expected.rows[0], expected.rows[-1]
  for name in ("JD", "G", "E"):
    assert first[name] == pytest.approx(np.log(2), abs=1e-6) != last[name]
  assert (first["D_real"], first["D_fake"]) == (0.5, 0.5)
  assert all(last[f"grad_norm_{player}"] > 0 for player in "GED")
  assert len(expected.pictures) == 2 * 6


def saved(path: pathlib.Path) -> list[int]:
  """The steps of all checkpoints."""
  return sorted(int(folder.name) for folder in (path / "checkpoints").iterdir())


def test_the_same_run_gives_the_same_bits_however_seldom_it_saves(
    config: ml_collections.ConfigDict, straight: pathlib.Path, expected: Result,
    tmp_path: pathlib.Path,
) -> None:
  seldom = config.copy_and_resolve_references()
  seldom.save_seconds = 1e9
  jobs.train(seldom, str(tmp_path))
  assert_same(read(tmp_path, config), expected)
  assert (saved(straight), saved(tmp_path)) == ([25, 30], [20, 30])


def test_the_same_command_after_the_end_changes_nothing(
    config: ml_collections.ConfigDict, straight: pathlib.Path, expected: Result,
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture,
) -> None:
  """Of a run from before config.eval.best, too."""
  shutil.copytree(straight, tmp_path / "run")
  saved = json.loads((tmp_path / "run" / "config.json").read_text())
  del saved["eval"]["best"]
  (tmp_path / "run" / "config.json").write_text(json.dumps(saved))
  jobs.train(config, str(tmp_path / "run"))
  assert_same(read(tmp_path / "run", config), expected)
  found, finished, verdict = capsys.readouterr().out.splitlines()
  assert found.startswith("train: ")
  assert "is finished: its schedule ends at epoch 6." in finished
  assert verdict == ending.verdict(expected.rows, tmp_path / "run")


def test_a_run_may_stop_at_an_epoch_and_go_on(
    config: ml_collections.ConfigDict, expected: Result, tmp_path: pathlib.Path
) -> None:
  shorter = config.copy_and_resolve_references()
  shorter.stop_epoch = 2
  jobs.train(shorter, str(tmp_path))
  assert read(tmp_path, config).step == 10
  jobs.train(config, str(tmp_path))
  assert_same(read(tmp_path, config), expected)


def signal_at(monkeypatch: pytest.MonkeyPatch, place: str, call: int) -> None:
  """Sends this process SIGTERM at a call of a function, before it does its work."""
  owner = metrics.Judge if place == "reconstruction" else learner
  function, calls = getattr(owner, place), []
  def count(*args: object) -> object:
    calls.append(0)
    if len(calls) == call:
      os.kill(os.getpid(), signal.SIGTERM)
    return function(*args)
  monkeypatch.setattr(owner, place, count)


@pytest.mark.parametrize("place, call, step, rows", [
    ("advance", 12, 12, 3),  # within the third epoch
    ("reconstruction", 3, 10, 2),  # within the evaluation of epoch 2
    ("advance", 30, 30, 5),  # as the last epoch ends, before its evaluation
])
def test_sigterm_saves_and_the_same_command_goes_on(
    config: ml_collections.ConfigDict, expected: Result, tmp_path: pathlib.Path,
    place: str, call: int, step: int, rows: int,
) -> None:
  with pytest.MonkeyPatch.context() as patch:
    signal_at(patch, place, call)
    jobs.train(config, str(tmp_path))
  assert saved(tmp_path)[-1] == step and len(run_folders.rows(tmp_path)) == rows
  jobs.train(config, str(tmp_path))
  assert_same(read(tmp_path, config), expected)


@pytest.mark.parametrize("step, rows", [(12, 3), (9, 2)])  # the latter: the last before evaluation
def test_nan_stops_and_keeps_what_is_from_before(
    config: ml_collections.ConfigDict, expected: Result, tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch, step: int, rows: int,
) -> None:
  rate = Schedule.__call__
  def bad(schedule: Schedule, now: jax.Array) -> jax.Array:
    return rate(schedule, now) + jnp.log((now != step) - 0.0)
  with monkeypatch.context() as patch:
    patch.setattr(Schedule, "__call__", bad)
    with pytest.raises(FloatingPointError, match=rf"in params/[GED]/\S+ at step {step + 1};"):
      jobs.train(config, str(tmp_path))
  saved = read(tmp_path, config)
  assert saved.step == step // 5 * 5
  chex.assert_tree_all_finite(saved.state)
  assert saved.rows == expected.rows[:rows]
  assert max(int(path.name) for path in (tmp_path / "networks").iterdir()) <= step
  jobs.train(config, str(tmp_path))
  assert_same(read(tmp_path, config), expected)


def test_networks_are_there_before_their_row(
    config: ml_collections.ConfigDict, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  """Else a kill in between would leave a step that counts as evaluated, without its networks."""
  def killed(*_: object) -> None:
    raise KeyboardInterrupt
  with monkeypatch.context() as patch:
    patch.setattr(RunFolder, "write_row", killed)
    with pytest.raises(KeyboardInterrupt):
      jobs.train(config, str(tmp_path))
  assert [path.name for path in (tmp_path / "networks").iterdir()] == ["00000000"]


def test_moments_that_overflow_are_not_saved(
    config: ml_collections.ConfigDict, tmp_path: pathlib.Path
) -> None:
  """Losses and gradients stay finite, and weights stand still for ever after."""
  config = config.copy_and_resolve_references()
  config.optim.weight_decay = 1e38
  with pytest.raises(FloatingPointError, match=r"infinity in opt_state/\S+ at step 5;"):
    jobs.train(config, str(tmp_path))
  assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["00000000"]


def test_a_damaged_newest_checkpoint_falls_back(
    config: ml_collections.ConfigDict, straight: pathlib.Path, expected: Result,
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture,
) -> None:
  path = tmp_path / "run"
  shutil.copytree(straight, path)
  for file in (path / "checkpoints" / "00000030" / "state").rglob("*"):
    if file.is_file():
      os.truncate(file, file.stat().st_size // 2)
  jobs.train(config, str(path))
  assert "checkpoint of step 30 cannot be read" in caplog.text
  assert "resuming from step 25" in caplog.text
  assert (path / "checkpoints" / "00000030.damaged").is_dir()
  assert_same(read(path, config), expected)


def test_another_seed_starts_elsewhere(config: ml_collections.ConfigDict) -> None:
  def start(seed: int) -> TrainState:
    other = config.copy_and_resolve_references()
    other.seed = seed
    images = Split(np.zeros((300, 8, 8, 1), np.uint8), np.zeros(300, np.int32), 10)
    return learner.prepare(other, None, images, batches.assembler(other), []).start
  first, other = (start(seed).params for seed in (0, 1))
  chex.assert_trees_all_equal(start(0).params, first)
  for player in "GE":
    assert not np.array_equal(first[player]["fc1"]["kernel"], other[player]["fc1"]["kernel"])

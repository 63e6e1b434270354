"""Checkpoints: whole states bit for bit, damage, and networks by name, newest and best."""

import os
import pathlib
import re
import shutil
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from bigan_jax.runs import checkpoints, workdir

CONFIG = {"objective": "bigan", "eval": {"every": 5}}


class Moments(NamedTuple):
  mu: dict[str, Any]
  count: Any


def open_run(path: pathlib.Path) -> workdir.RunFolder:
  return workdir.open_run(str(path), CONFIG, best=("score", "max"))


def make_state(seed: int, width: int = 8) -> dict[str, Any]:
  values = np.random.default_rng(seed)
  weights = values.normal(size=(5, width)).astype(np.float32)
  return {
      "params": {"E": {"kernel": jnp.asarray(weights), "bias": np.full(3, -0.0, np.float32)}},
      "moments": Moments({"kernel": weights.astype(ml_dtypes.bfloat16)}, np.int32(seed)),
      "key": np.asarray([seed, 2**32 - 1], np.uint32), "flag": np.asarray([True, False]),
      "step": 2**40 + seed, "nothing": None, "empty": {}, "tiny": np.asarray(1e-45, np.float32)}


def assert_same(found: Any, expected: Any) -> None:
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
    b = np.asarray(b)
    assert isinstance(a, np.ndarray) and (a.dtype, a.shape) == (b.dtype, b.shape)
    assert a.tobytes() == b.tobytes()


def make_network(seed: int) -> dict[str, Any]:
  values = np.random.default_rng(seed)
  return {"params": {"layer": {"kernel": values.normal(size=(3, 4)).astype(np.float32)}},
          "statistics": {"mean": np.arange(4, dtype=np.float32)}}


def step_names(path: pathlib.Path) -> list[str]:
  return sorted(item.name for item in path.iterdir())


def test_a_state_comes_back_bit_for_bit_and_the_newest_two_stay(tmp_path):
  with open_run(tmp_path) as run:
    assert run.restore_state(make_state(0)) is None
    for step in (1, 20, 300):
      run.save_state(step, make_state(step))
    run.save_state(300, make_state(301))  # The same step again: a no-op.
  assert step_names(tmp_path / "checkpoints") == ["00000020", "00000300"]
  with open_run(tmp_path) as run:
    step, state = run.restore_state(jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), np.asarray(leaf).dtype), make_state(0)))
  assert step == 300
  assert_same(state, make_state(300))


def test_a_state_may_be_overwritten_while_it_is_saved(tmp_path):
  big = {"np": np.ones((500, 1000), np.float32), "jax": jnp.ones((500, 1000))}
  with open_run(tmp_path) as run:
    run.save_state(1, big)
    big["np"][...] = 7
    jax.block_until_ready(jax.jit(lambda x: x * 7, donate_argnums=0)(big["jax"]))
  with open_run(tmp_path) as run:
    restored = run.restore_state(big)[1]
  assert (restored["np"] == 1).all() and (restored["jax"] == 1).all()


def test_a_state_of_another_architecture_is_refused(tmp_path):
  with open_run(tmp_path) as run:
    run.save_state(4, make_state(4))
  wider = make_state(4, width=9)
  deeper = make_state(4)
  deeper["params"]["E"]["second"] = np.zeros(2, np.float32)
  shallower = make_state(4)
  del shallower["params"]["E"]["bias"]
  other_type = make_state(4) | {"flag": np.zeros(2, np.float32)}
  with open_run(tmp_path) as run:
    for template, sentence in (
        (wider, r"holds bfloat16\[5, 8\] as .*'kernel'.*configuration has bfloat16\[5, 9\]"),
        (deeper, r"holds nothing as \['params'\]\['E'\]\['second'\].* has float32\[2\]"),
        (shallower, r"holds float32\[3\] as \['params'\]\['E'\]\['bias'\].* has nothing"),
        (other_type, r"holds bool\[2\] as \['flag'\].* has float32\[2\]")):
      with pytest.raises(ValueError, match=f"checkpoint of step 4 .*{sentence}"):
        run.restore_state(template)
    assert run.restore_state(make_state(0))[0] == 4  # A refusal is not damage.


def largest(path: pathlib.Path) -> pathlib.Path:
  return max((file for file in path.rglob("*") if file.is_file()), key=lambda f: f.stat().st_size)


def cut_all_files(path: pathlib.Path) -> None:
  for file in path.rglob("*"):
    if file.is_file():
      os.truncate(file, file.stat().st_size // 2)


def empty_folder(path: pathlib.Path) -> None:
  shutil.rmtree(path)
  path.mkdir()


DAMAGES = {
    "cut files": cut_all_files,
    "cut data": lambda path: os.truncate(largest(path), largest(path).stat().st_size // 2),
    "no data": lambda path: largest(path).unlink(),
    "no database": lambda path: (path / "state" / "manifest.ocdbt").unlink(),
    "empty database": lambda path: (path / "state" / "manifest.ocdbt").write_bytes(b""),
    "no description": lambda path: (path / "state" / "_METADATA").unlink(),
    "garbage description": lambda path: (path / "state" / "_METADATA").write_bytes(b"\x8a{" * 99),
    "empty folder": empty_folder,
    "no state": lambda path: shutil.rmtree(path / "state"),
}


@pytest.fixture(name="two_states", scope="module")
def _two_states(tmp_path_factory) -> pathlib.Path:
  path = tmp_path_factory.mktemp("two_states")
  with open_run(path) as run:
    for step in (1, 2):
      run.save_state(step, {"w": np.random.default_rng(step).normal(size=(80, 90)), "b": step})
  return path


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_falls_back_and_says_so(tmp_path, two_states, damage, caplog, capfd):
  path = tmp_path / "run"
  shutil.copytree(two_states, path)
  template = {"w": np.zeros((80, 90)), "b": 0}
  DAMAGES[damage](path / "checkpoints" / "00000002")
  with open_run(path) as run:
    step, state = run.restore_state(template)
    assert step == 1 and state["b"] == 1
    warning, = (record.getMessage() for record in caplog.records
                if record.levelname == "WARNING" and "resuming" in record.getMessage())
    assert re.match(r"the checkpoint of step 2 cannot be read .*: resuming from step 1", warning)
    run.save_state(2, {"w": np.ones((80, 90)), "b": 22})
  with open_run(path) as run:
    step, state = run.restore_state(template)
  assert step == 2 and state["b"] == 22 and (state["w"] == 1).all()
  assert "Traceback" not in capfd.readouterr().err


def test_all_damaged_is_one_sentence_and_deletes_nothing(tmp_path, two_states):
  path = tmp_path / "run"
  shutil.copytree(two_states, path)
  for step in ("00000001", "00000002"):
    cut_all_files(path / "checkpoints" / step)
  with open_run(path) as run:
    with pytest.raises(OSError, match=r"none of the checkpoints in .*steps \[1, 2\]"):
      run.restore_state({"w": np.zeros((80, 90)), "b": 0})
  assert step_names(path / "checkpoints") == ["00000001", "00000002"]


def save_scores(path: pathlib.Path, scores: dict[int, dict[str, Any]], mode: str = "max") -> None:
  with workdir.open_run(str(path), CONFIG, best=("score", mode)) as run:
    for step, metrics in scores.items():
      run.save_networks(step, {"E": make_network(step), "G": make_network(-step % 97)}, metrics)


@pytest.mark.parametrize("mode,best", [("max", 20), ("min", 40)])
def test_newest_and_best_networks_stay_whatever_the_metric(tmp_path, mode, best):
  scores = {10: {"score": np.float32(2)}, 20: {"score": 3.0}, 30: {"score": np.nan},
            40: {"score": 1}, 50: {}, 60: {"score": -np.inf}, 70: {"score": np.inf},
            80: {"score": 2.0, "other": 9}}
  save_scores(tmp_path, dict(list(scores.items())[:4]), mode)
  save_scores(tmp_path, dict(list(scores.items())[4:]), mode)  # As after a restart.
  assert step_names(tmp_path / "networks") == [f"{best:08d}", "00000080"]
  for asked, step in (("latest", 80), ("best", best), (80, 80)):
    variables, info = checkpoints.restore_network(str(tmp_path), "E", asked)
    assert_same(variables, make_network(step))
    assert info["step"] == step and info["config"] == CONFIG
  assert checkpoints.restore_network(str(tmp_path), "G")[1]["metrics"] == {"score": 2.0, "other": 9}


def test_the_untrained_networks_are_never_the_best(tmp_path):
  save_scores(tmp_path, {0: {"score": 9.0}})
  with pytest.raises(ValueError, match="step 0 alone, which are never the best: train on"):
    checkpoints.restore_network(str(tmp_path), "E", "best")
  save_scores(tmp_path, {1: {"score": 5.0}, 2: {"score": 4.0}})
  assert step_names(tmp_path / "networks") == ["00000001", "00000002"]
  assert checkpoints.restore_network(str(tmp_path), "E", "best")[1]["step"] == 1


def test_networks_are_read_during_training_and_nothing_is_written(tmp_path):
  save_scores(tmp_path, {1: {"score": float("nan")}})
  before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
  variables, info = checkpoints.restore_network(str(tmp_path), "E")
  assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
  assert_same(variables, make_network(1))
  assert info["metrics"] == {"score": None}
  with open_run(tmp_path):
    assert_same(checkpoints.restore_network(str(tmp_path), "E")[0], variables)


def test_one_network_does_not_need_the_others(tmp_path):
  save_scores(tmp_path, {1: {}})
  shutil.rmtree(tmp_path / "networks" / "00000001" / "G")
  assert_same(checkpoints.restore_network(str(tmp_path), "E")[0], make_network(1))


def test_a_network_that_is_not_there_is_one_sentence(tmp_path):
  with pytest.raises(FileNotFoundError, match="holds no saved networks"):
    checkpoints.restore_network(str(tmp_path), "E")
  save_scores(tmp_path, {1: {"score": float("nan")}})
  with pytest.raises(ValueError, match=r"no network 'H' at step 1; it has \['E', 'G'\]"):
    checkpoints.restore_network(str(tmp_path), "H")
  for asked in (7, "newest"):
    with pytest.raises(ValueError, match=rf"no step {asked!r}; ask for .*\[1\]"):
      checkpoints.restore_network(str(tmp_path), "E", asked)
  with pytest.raises(ValueError, match="no network in .* has a finite metric to be"):
    checkpoints.restore_network(str(tmp_path), "E", "best")
  cut_all_files(tmp_path / "networks")
  with pytest.raises(OSError, match="network 'E' of step 1 in .* cannot be read"):
    checkpoints.restore_network(str(tmp_path), "E")


def test_unreadable_metrics_are_never_the_best_and_stop_nothing(tmp_path):
  save_scores(tmp_path, {1: {"score": 9.0}, 2: {"score": 5.0}})
  (tmp_path / "networks" / "00000001" / "info" / "metadata").write_bytes(b"\0" * 40)
  assert checkpoints.restore_network(str(tmp_path), "E", "best")[1]["step"] == 2
  save_scores(tmp_path, {3: {"score": 1.0}})
  assert step_names(tmp_path / "networks") == ["00000002", "00000003"]

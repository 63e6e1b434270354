"""The run folder: what it refuses, and how it survives a full disk and a kill."""

import errno
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bigan_jax.runs import checkpoints, workdir

CONFIG = {"objective": "bigan", "seed": 1, "eval": {"every": 5, "names": ["a", "b"]}}


def open_run(path: pathlib.Path) -> workdir.RunFolder:
  return workdir.open_run(str(path), CONFIG, best=("score", "max"))


def step_names(path: pathlib.Path) -> list[str]:
  return sorted(item.name for item in path.iterdir())


def test_config_is_written_and_the_same_one_opens_again(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  workdir.open_run("~/deep/run", CONFIG).close()
  path = tmp_path / "deep" / "run"
  assert json.loads((path / "config.json").read_text()) == CONFIG
  workdir.open_run(str(path), CONFIG | {"eval": {"every": 5, "names": ("a", "b")}}).close()


def test_another_config_is_refused_naming_every_field(tmp_path):
  open_run(tmp_path).close()
  other = {"objective": "gan", "eval": {"every": 5, "names": ["a"]}, "width": 3}
  with pytest.raises(ValueError) as error:
    workdir.open_run(str(tmp_path), other, free_to_change=["eval.every"])
  for part in ('objective is "bigan" there and "gan" here', "seed is 1 there and absent here",
               'eval.names is ["a", "b"] there and ["a"] here', "width is absent there and 3 here"):
    assert part in str(error.value)
  assert json.loads((tmp_path / "config.json").read_text()) == CONFIG
  open_run(tmp_path).close()  # The refusal left no lock behind.


def test_a_folder_can_be_checked_without_a_trace(tmp_path):
  workdir.check_run(str(tmp_path / "new"), CONFIG)
  assert not (tmp_path / "new").exists()
  open_run(tmp_path / "run").close()
  workdir.check_run(str(tmp_path / "run"), CONFIG)
  workdir.check_run(str(tmp_path / "run"), CONFIG | {"seed": 2}, free_to_change=["seed"])
  with pytest.raises(ValueError, match="belongs to another configuration: seed is 1 there and 2"):
    workdir.check_run(str(tmp_path / "run"), CONFIG | {"seed": 2})
  assert json.loads((tmp_path / "run" / "config.json").read_text()) == CONFIG
  with pytest.raises(ValueError, match="no config.json but other files"):
    workdir.check_run(str(tmp_path), CONFIG)


@pytest.mark.parametrize("free", ["eval.every", "eval"])
def test_free_fields_are_updated(tmp_path, free):
  open_run(tmp_path).close()
  changed = CONFIG | {"eval": {"every": 7, "names": ["a", "b"]}}
  workdir.open_run(str(tmp_path), changed, free_to_change=["seeds", "eval.eve", free]).close()
  assert json.loads((tmp_path / "config.json").read_text()) == changed
  with pytest.raises(ValueError, match="eval.every is 7 there and 5 here"):
    workdir.open_run(str(tmp_path), CONFIG, free_to_change=["eval.ever", "ev"])


def test_what_is_no_run_folder_is_refused(tmp_path):
  (tmp_path / "thesis.tex").write_text("precious")
  with pytest.raises(ValueError, match="no config.json but other files .thesis.tex."):
    open_run(tmp_path)
  assert step_names(tmp_path) == ["thesis.tex"]
  with pytest.raises(FileExistsError, match=r"cannot write to .*thesis.tex \(File exists\)"):
    open_run(tmp_path / "thesis.tex")
  with pytest.raises(ValueError, match="not a local path"):
    workdir.open_run("gs://bucket/run", CONFIG)


def test_a_damaged_config_is_refused(tmp_path):
  open_run(tmp_path).close()
  config = (tmp_path / "config.json").read_text()
  for damaged in (config[:20], "", "[]", "\0" * 30):
    (tmp_path / "config.json").write_text(damaged)
    with pytest.raises(ValueError, match="config.json is damaged"):
      open_run(tmp_path)


def test_an_unwritable_folder_is_refused(tmp_path, monkeypatch):
  def refuse(*unused):
    raise PermissionError(errno.EACCES, "Permission denied")
  monkeypatch.setattr(os, "open", refuse)
  with pytest.raises(PermissionError) as error:
    open_run(tmp_path)
  assert str(error.value).startswith(f"cannot write to {tmp_path} (Permission denied);")


def test_only_one_at_a_time(tmp_path):
  with open_run(tmp_path):
    with pytest.raises(BlockingIOError, match="another process is training in"):
      open_run(tmp_path)
  open_run(tmp_path).close()


@pytest.fixture(name="small_files")
def _small_files():
  """Lets no file grow over 200 kB: a real failure in every writer, the compiled ones included."""
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  set_limit = lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
  yield lambda: set_limit(200_000), lambda: set_limit(limits[0])
  set_limit(limits[0])


def test_a_state_that_the_disk_refuses_is_one_sentence_and_costs_nothing(tmp_path, small_files,
                                                                        capfd):
  shrink, widen = small_files
  big = {"w": np.random.default_rng(0).normal(size=(300, 300))}
  with open_run(tmp_path) as run:
    run.save_state(1, big)
    run.save_state(2, big)
    run.save_networks(2, {"E": big}, {})
    shrink()
    run.save_state(3, big)
    with pytest.raises(OSError, match=r"cannot write to .*checkpoints \(.*File too large"):
      run.save_state(4, big)
    with pytest.raises(OSError, match=r"cannot write to .*networks \(.*File too large"):
      run.save_networks(4, {"E": big}, {})
    assert step_names(tmp_path / "checkpoints") == ["00000001", "00000002"]
    assert step_names(tmp_path / "networks") == ["00000002"]
    run.save_state(5, big)
    with pytest.raises(OSError, match="cannot write to .*checkpoints"):
      run.close()
    widen()
  assert "Traceback" not in capfd.readouterr().err
  with open_run(tmp_path) as run:
    assert run.restore_state(big)[0] == 2
    run.save_state(3, big)
  assert step_names(tmp_path / "checkpoints") == ["00000002", "00000003"]
  assert (checkpoints.restore_network(str(tmp_path), "E")[0]["w"] == big["w"]).all()


def test_the_first_error_is_the_one_that_is_raised(tmp_path, small_files):
  with pytest.raises(RuntimeError, match="the real one"):
    with open_run(tmp_path) as run:
      run.save_state(0, {"w": np.zeros(1)})  # The first one is waited for.
      small_files[0]()
      run.save_state(1, {"w": np.random.default_rng(0).normal(size=(300, 300))})
      raise RuntimeError("the real one")


def test_a_full_disk_is_named(tmp_path, monkeypatch):
  def full(*unused):
    raise OSError(errno.ENOSPC, "No space left on device")
  sentence = f"the disk of {tmp_path} is full; what was saved before is complete"
  with open_run(tmp_path) as run:
    run.write_row({"step": 1})
    before = (tmp_path / "metrics.jsonl").read_bytes(), (tmp_path / "config.json").read_bytes()
    with monkeypatch.context() as patch:
      patch.setattr(os, "fsync", full)
      for write in (lambda: run.write_row({"step": 2}), lambda: run.rewind(0),
                    lambda: run.write_picture("x", 1, np.zeros((2, 2), np.uint8))):
        with pytest.raises(OSError) as error:
          write()
        assert str(error.value).startswith(sentence)
    run.write_row({"step": 3})
  with monkeypatch.context() as patch:
    patch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as error:
      workdir.open_run(str(tmp_path), CONFIG | {"seed": 2}, free_to_change=["seed"])
  assert str(error.value).startswith(sentence)
  rows, config = (tmp_path / "metrics.jsonl").read_bytes(), (tmp_path / "config.json").read_bytes()
  assert rows == before[0] + b'{"step": 3}\n' and config == before[1]
  assert not list((tmp_path / "pictures").rglob("*.*"))


WORKER = """
import sys
import numpy as np
from bigan_jax.runs import workdir
with workdir.open_run(sys.argv[1], {"seed": 1}, best=("score", "max")) as run:
  template = {"step": 0, "w": np.zeros((400, 500), np.float32)}
  step, state = run.restore_state(template) or (0, template)
  run.rewind(step)
  while True:
    step += 1
    values = np.random.default_rng(step).normal(size=(400, 500)).astype(np.float32)
    run.write_row({"step": step})
    run.save_networks(step, {"E": {"w": values}}, {"score": np.sin(step)})
    run.save_state(step, {"step": step, "w": values})
    print(step, flush=True)
"""


def start_worker(path: pathlib.Path) -> subprocess.Popen:
  return subprocess.Popen(
      [sys.executable, "-W", "error::DeprecationWarning", "-c", WORKER, str(path)],
      stdout=subprocess.PIPE, text=True, env=os.environ | {"JAX_PLATFORMS": "cpu"},
      cwd=pathlib.Path(__file__).parents[2])


def test_a_kill_at_any_moment_loses_at_most_the_save_in_progress(tmp_path):
  dice = random.Random(0)
  reached = {tmp_path / str(i): 0 for i in range(2)}
  for _ in range(2):
    workers = [start_worker(path) for path in reached]
    try:
      for path, worker in zip(reached, workers):
        first = int(worker.stdout.readline())
        assert reached[path] <= first <= reached[path] + 2  # It went on where it was killed.
        time.sleep(dice.uniform(0, 0.4))
        worker.kill()
        reached[path] = max(first, *map(int, worker.communicate()[0].split()), 0)
        assert worker.returncode == -signal.SIGKILL
        assert_whole(path, reached[path])
    finally:
      for worker in workers:
        worker.kill()
        worker.wait()
        worker.stdout.close()


def assert_whole(path: pathlib.Path, reached: int) -> None:
  template = {"step": 0, "w": np.zeros((400, 500), np.float32)}
  expect = lambda step: np.random.default_rng(step).normal(size=(400, 500)).astype(np.float32)
  with workdir.open_run(str(path), {"seed": 1}, best=("score", "max")) as run:
    restored = run.restore_state(template)
    step, state = restored or (0, None)
    assert step >= reached - 1 and (step == 0 or (state["w"] == expect(step)).all())
    run.rewind(step)
  rows = [json.loads(line)["step"] for line in (path / "metrics.jsonl").read_text().splitlines()]
  assert rows == list(range(1, step + 1))
  variables, info = checkpoints.restore_network(str(path), "E")
  assert (variables["w"] == expect(info["step"])).all() and info["step"] >= reached - 1
  assert not list(path.rglob("*.orbax-checkpoint-tmp"))
  assert not list((path / "checkpoints").glob("*.damaged"))

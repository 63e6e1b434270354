"""What is saved can be read, or is refused before anything is trained."""

import os
import pathlib

import numpy as np
import pytest

from bigan_jax.runs import checkpoints, workdir

STATE = {"w": np.float32([1, np.nan, -0.0]), "step": np.int32(3)}


@pytest.mark.parametrize("name", ["run [1]", "[x]", "a\\b", "a*", "what?", os.fsdecode(b"caf\xe9")])
def test_names_that_orbax_cannot_read_are_refused_at_once(
    tmp_path: pathlib.Path, name: str
) -> None:
  for open_it in (workdir.open_run, workdir.check_run):
    with pytest.raises(ValueError, match="in its name, by which checkpoints cannot be read"):
      open_it(str(tmp_path / name / "run"), {"seed": 1})
  assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a run", "a[b", "ünï", "a]", "{a}", "50%"])
def test_other_names_are_read_back(tmp_path: pathlib.Path, name: str) -> None:
  path = tmp_path / name
  with workdir.open_run(str(path), {"seed": 1}) as run:
    run.save_state(1, STATE)
    assert [item.name for item in (path / "checkpoints").iterdir()] == ["00000001"]  # No waiting.


def test_the_first_checkpoint_is_compared(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  restore = checkpoints.restore_state
  calls = []
  def bent(manager: object, template: dict) -> tuple[int, dict]:
    calls.append(restore(manager, template))
    step, state = calls[-1]
    return step, {**state, "w": state["w"] + 1}
  monkeypatch.setattr(checkpoints, "restore_state", bent)
  with workdir.open_run(str(tmp_path / "bad"), {"seed": 1}) as run:
    with pytest.raises(OSError, match=r"comes back with another \['w'\] than was saved"):
      run.save_state(1, STATE)
  monkeypatch.setattr(checkpoints, "restore_state",
                      lambda *args: calls.append(restore(*args)) or calls[-1])
  with workdir.open_run(str(tmp_path / "good"), {"seed": 1}) as run:
    run.save_state(1, STATE)
    run.save_state(2, STATE)
  assert [step for step, _ in calls] == [1, 1]  # Once a run.

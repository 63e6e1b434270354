"""Checkpoints of a run, by orbax alone: its whole state, to resume from, and its networks."""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import math
import os
import pathlib
import shutil
from typing import Any, NamedTuple

from absl import logging
import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore

from bigan_jax.machine import disk
from bigan_jax.runs import trees

PyTree = Any


class Best(NamedTuple):
  """What makes a network the best of its run: the metric's name and 'max' or 'min'."""

  metric: str
  mode: str


def open_states(folder: pathlib.Path) -> ocp.CheckpointManager:
  """A manager that writes states in the background and keeps the two newest."""
  return _open(folder, [ocp.checkpoint_managers.LatestN(2)], background=True)


def open_networks(folder: pathlib.Path, best: Best | None) -> ocp.CheckpointManager:
  """A manager that writes networks at once and keeps the newest and, if one is named, the best."""
  policies = [ocp.checkpoint_managers.LatestN(1)]
  if best is not None:
    if best.mode not in ("max", "min"):
      raise ValueError(f"the best {best.metric!r} is the 'max' or the 'min', not {best.mode!r}.")
    policies.append(_PreserveBest(folder, best))
  return _open(folder, policies, background=False)


def close(manager: ocp.CheckpointManager) -> None:
  """Waits for a save in the background; raises OSError if it failed."""
  with _writing(manager), contextlib.closing(manager):
    manager.wait_until_finished()


def save_state(manager: ocp.CheckpointManager, step: int, state: PyTree, wait: bool = False
               ) -> None:
  """Starts to write every array of `state`, or waits for the end of that; arrays may then change.

  A step that is already there is left as it is: the same run has the same state at the same step.

  Raises:
    OSError: the state before this one, or this one, could not be written; what was complete stays.
  """
  _save(manager, step, {"state": trees.flatten(state)}, {}, wait)


def restore_state(manager: ocp.CheckpointManager, template: PyTree) -> tuple[int, PyTree] | None:
  """The newest state that can be read, as numpy arrays in the structure of `template`.

  Steps that cannot be read are renamed to STEP.damaged, out of the way of a later save, once an
  older one was restored; nothing is deleted, because the reason may have been a passing one.

  Returns:
    (step, state), or None if nothing was saved yet.

  Raises:
    ValueError: the state has other arrays, shapes or types than the template.
    OSError: states were saved, but none can be read.
  """
  folder = pathlib.Path(manager.directory)
  failures: dict[int, Exception] = {}
  for step, path in reversed(_steps(folder).items()):
    try:
      arrays = _read_tree(path / "state")
    except Exception as error:  # Damage makes orbax raise anything from KeyError to ValueError.
      failures[step] = error
      continue
    state = trees.unflatten(template, arrays, f"the checkpoint of step {step} in {folder}")
    _set_aside(folder, failures, step)
    manager.reload()
    return step, state
  if failures:
    reason = disk.first_line(failures[max(failures)])
    raise OSError(
        f"none of the checkpoints in {folder} (steps {sorted(failures)}) can be read ({reason}); "
        "restore the folder from a copy or start again in another --workdir.")
  return None


def save_networks(manager: ocp.CheckpointManager, step: int, networks: Mapping[str, PyTree],
                  info: dict[str, Any]) -> None:
  """Writes each network as an item of its own, and `info` (plain JSON values) beside them.

  `best_step` and `restore_network` read info["metrics"] and info["best"]; the rest is the caller's.

  Raises:
    OSError: they could not be written; what was complete stays.
  """
  arrays = {name: jax.tree.map(np.asarray, variables) for name, variables in networks.items()}
  _save(manager, step, arrays, {"info": info})


def restore_network(workdir: str, name: str, step: str | int = "latest"
                    ) -> tuple[dict[str, Any], dict[str, Any]]:
  """One network of a run, without the others; needs no lock and writes nothing.

  Args:
    workdir: the run folder.
    name: the network, as it was named when it was saved: "E", "G", "D".
    step: "latest", "best" (by the metric that the run was told to keep), or a number, also as text.

  Returns:
    (variables as nested dict of numpy arrays, the info that was saved with them).

  Raises:
    FileNotFoundError: the run saved no network yet.
    ValueError: it has no such network or step.
    OSError: the network cannot be read.
  """
  folder = pathlib.Path(workdir).expanduser().absolute() / "networks"
  steps = _steps(folder)
  if not steps:
    raise FileNotFoundError(
        f"{workdir} holds no saved networks; train there until the first evaluation, or name "
        "another run folder.")
  path = steps[_choose_step(folder, step, list(steps))]
  names = sorted(item.name for item in path.iterdir() if item.is_dir() and item.name != "info")
  if name not in names:
    raise ValueError(f"{workdir} has no network {name!r} at step {int(path.name)}; it has {names}.")
  try:
    return _read_tree(path / name), _read_json(path / "info")
  except Exception as error:
    raise OSError(
        f"network {name!r} of step {int(path.name)} in {folder} cannot be read "
        f"({disk.first_line(error)}); ask for another of the steps {list(steps)}.") from error


def as_number(step: str | int) -> str | int:
  """The number that flags give as text; words as they are."""
  return int(step) if str(step).isdecimal() else step


def best_step(folder: pathlib.Path, best: Best) -> int | None:
  """The step with the best metric, the newest of equals; None if no step has a finite one.

  Never step 0, of untrained networks.
  """
  sign = 1.0 if best.mode == "max" else -1.0
  scores = {}
  for step, path in ((step, path) for step, path in _steps(folder).items() if step):
    with contextlib.suppress(Exception):  # Unreadable, missing or null: it cannot be the best.
      scores[step] = sign * _read_json(path / "info")["metrics"][best.metric]
  finite = {step: score for step, score in scores.items() if math.isfinite(score)}
  return max(finite, key=lambda step: (finite[step], step), default=None)


@dataclasses.dataclass
class _PreserveBest:
  """An orbax preservation policy by `best_step`, so that writer and readers mean the same step.

  orbax's own BestN lets NaN win and needs a metric in every checkpoint.
  """

  folder: pathlib.Path
  best: Best

  def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
    del context
    step = best_step(self.folder, self.best)
    return [checkpoint.step == step for checkpoint in checkpoints]


def _open(folder: pathlib.Path, policies: Sequence[Any], background: bool
          ) -> ocp.CheckpointManager:
  logging.get_absl_logger().addFilter(_is_worth_printing)
  folder.mkdir(exist_ok=True)
  _remove_half_written(folder)
  return ocp.CheckpointManager(folder, options=ocp.CheckpointManagerOptions(
      preservation_policy=ocp.checkpoint_managers.AnyPreservationPolicy(policies),
      step_format_fixed_length=8, enable_async_checkpointing=background, create=False, **_alone()))


def _alone() -> dict[str, Any]:
  """Options by which no process waits for another: one writes, and whoever wants to reads."""
  me = jax.process_index()
  return {"multiprocessing_options": ocp.options.MultiprocessingOptions(
      primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process{me}")}


def _save(manager: ocp.CheckpointManager, step: int, arrays: Mapping[str, PyTree],
          jsons: Mapping[str, Any], wait: bool = False) -> None:
  items = {name: ocp.args.StandardSave(tree) for name, tree in arrays.items()}
  items |= {name: ocp.args.JsonSave(value) for name, value in jsons.items()}
  with _writing(manager):
    manager.wait_until_finished()  # Here the error of the save before comes to light.
    if step not in manager.all_steps():
      manager.save(step, args=ocp.args.Composite(**items), force=True)
    if wait:
      manager.wait_until_finished()


@contextlib.contextmanager
def _writing(manager: ocp.CheckpointManager) -> Iterator[None]:
  """Gives a failed save back as one sentence, and its half-written files back to the disk."""
  folder = pathlib.Path(manager.directory)
  try:
    yield
  except (OSError, ValueError) as error:  # tensorstore reports a full disk as ValueError.
    _remove_half_written(folder)
    manager.reload()  # orbax already counts the failed step, and has forgotten an older one.
    raise disk.full_or_unwritable(folder, error) from error


def _remove_half_written(folder: pathlib.Path) -> None:
  for path in folder.glob("*.orbax-checkpoint-tmp"):
    shutil.rmtree(path, ignore_errors=True)


def _set_aside(folder: pathlib.Path, failures: Mapping[int, Exception], restored: int) -> None:
  for step, error in failures.items():
    path = _steps(folder)[step]
    aside = path.with_name(f"{path.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)
    logging.warning("the checkpoint of step %d cannot be read (%s): resuming from step %d; the "
                    "damaged one is now %s", step, disk.first_line(error), restored, aside)


def _steps(folder: pathlib.Path) -> dict[int, pathlib.Path]:
  """The complete steps on disk, in ascending order; unlike the manager's list it is never stale."""
  paths = folder.iterdir() if folder.is_dir() else ()
  return dict(sorted((int(path.name), path) for path in paths
                     if path.name.isdigit() and path.is_dir()))


def _choose_step(folder: pathlib.Path, step: str | int, steps: Sequence[int]) -> int:
  if step == "latest":
    return steps[-1]
  if step == "best":
    if list(steps) == [0]:
      raise ValueError(f"{folder} holds the networks of step 0 alone, which are never the best: "
                       "train on, or ask for 'latest'.")
    with contextlib.suppress(Exception):
      best = Best(*_read_json(_steps(folder)[steps[-1]] / "info")["best"])
      if (found := best_step(folder, best)) is not None:
        return found
    raise ValueError(f"no network in {folder} from after step 0 has a finite metric to be the best "
                     f"by; ask for 'latest' or one of the steps {list(steps)}.")
  step = as_number(step)
  if step not in steps:
    raise ValueError(f"{folder} has no step {step!r}; ask for 'latest', 'best' or one of "
                     f"{list(steps)}.")
  return int(step)


def _read_tree(path: pathlib.Path) -> Any:
  # orbax reads all arrays at once, and when one fails, the others print tracebacks about a closed
  # event loop. Reading the database one entry after the other first finds the damage in silence.
  base = {"driver": "file", "path": f"{path}{os.sep}"}
  database = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
  keys = database.list().result()
  if not keys:
    raise FileNotFoundError(f"{path} holds no arrays")
  for key in keys:
    database.read(key).result()
  return _read(path, ocp.StandardCheckpointHandler)


def _read_json(path: pathlib.Path) -> Any:
  return _read(path, ocp.JsonCheckpointHandler)


def _read(path: pathlib.Path, handler: type) -> Any:
  with ocp.Checkpointer(handler(**_alone()), **_alone()) as reader:
    return reader.restore(path)


def _is_worth_printing(record: Any) -> bool:
  """Drops orbax's progress lines, and its tracebacks of errors that come back as a sentence."""
  from_orbax = f"{os.sep}orbax{os.sep}" in record.pathname
  return not from_orbax or (record.levelno >= logging.converter.STANDARD_WARNING
                            and not record.exc_info)

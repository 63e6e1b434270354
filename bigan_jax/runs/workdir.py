"""The run folder: one configuration and one program own it, and write everything through it."""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import fcntl
import json
import os
import pathlib
from typing import Any

from absl import logging
import numpy as np

from bigan_jax.machine import disk, processes
from bigan_jax.runs import checkpoints, data_record, outputs, readback, records
from bigan_jax.settings.rules import BEFORE

PyTree = Any


class RunFolder:
  """The files of one run, which no other program trains in; made by `open_run`.

  Every method that writes raises OSError, in one sentence, if the disk refuses; what was complete
  before stays complete. Use it in a `with` statement or call `close`. Where several processes
  train together all of them call every method, but process 0 alone touches the files.
  """

  def __init__(self, path: pathlib.Path, config: dict[str, Any], best: checkpoints.Best | None,
               lock: int | None):
    self.path = path
    self.config = config
    self.best = best
    self._proven = False  # whether a state that this process saved was read back
    self._closing = contextlib.ExitStack()  # Every entry runs, last one first, even if one raises.
    if lock is None:  # Not process 0.
      return
    self._states = checkpoints.open_states(path / "checkpoints")
    self._networks = checkpoints.open_networks(path / "networks", best)
    self._records = records.Records(path)
    self._closing.callback(os.close, lock)
    self._closing.callback(self._records.close)
    self._closing.callback(checkpoints.close, self._networks)
    self._closing.callback(checkpoints.close, self._states)

  def save_state(self, step: int, state: PyTree) -> None:
    """Starts to save every array of `state`, which may be overwritten once this returns.

    The two newest are kept. A step that is there already is left as it is: the same run has the
    same state at the same step. A failure in the background is raised by the next save or `close`.
    Save it last in its step: whatever was written before is then there after a kill and a resume.

    The first one of a run is read back, whole, before this returns: OSError if it cannot be.
    """
    self._write(lambda: self._save_state(step, state))

  def _save_state(self, step: int, state: PyTree) -> None:
    first = not self._proven and not self._states.all_steps()
    checkpoints.save_state(self._states, step, state, wait=first)
    self._proven = True
    if first:
      readback.compare(state, checkpoints.restore_state(self._states, state)[1], self.path)

  def restore_state(self, template: PyTree) -> tuple[int, PyTree] | None:
    """The newest (step, state as numpy arrays) that can be read, or None if none was saved.

    Args:
      template: numpy or jax arrays.

    Raises:
      ValueError: the state does not fit the template's arrays, shapes and types.
      OSError: there are checkpoints, and none can be read.
    """
    step, state = None, template
    with processes.together():
      if processes.first():
        step, state = checkpoints.restore_state(self._states, template) or (step, state)
    step = processes.everyones(step)[0]
    return None if step is None else (step, processes.arrays_of_first(state))

  def save_networks(self, step: int, networks: Mapping[str, PyTree],
                    metrics: Mapping[str, float]) -> None:
    """Saves networks' variables by name, for `checkpoints.restore_network`; keeps newest and best.

    A metric that is NaN or infinite is saved as None and is never the best.
    """
    info = {"step": step, "config": self.config, "best": self.best and list(self.best),
            "metrics": {name: records.plain_value(value) for name, value in metrics.items()}}
    self._write(lambda: checkpoints.save_networks(self._networks, step, networks, info))

  def agree_on_data(self, found: dict[str, Any], accept_change: bool) -> None:
    """Writes data.json, by which a run knows its data again; see `data_record.agree`."""
    self._write(lambda: data_record.agree(self.path, found, accept_change))

  def write_row(self, row: Mapping[str, Any]) -> None:
    """Appends a row to metrics.jsonl, and its numbers to TensorBoard at row["step"].

    Values are numbers or text; NaN and infinity become null, because strict JSON has neither.

    Raises:
      ValueError: the row has no integer "step".
    """
    self._write(lambda: self._records.write_row(row))

  def has_row(self, step: int) -> bool:
    """Whether metrics.jsonl holds a row of this step."""
    return processes.everyones(processes.first() and self._records.has_row(step))[0]

  def rows(self) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, in their order."""
    return processes.everyones(self._records.read_rows() if processes.first() else None)[0]

  def write_picture(self, name: str, step: int, image: np.ndarray) -> None:
    """Writes pictures/NAME/STEP.png, and the same picture to TensorBoard.

    Args:
      name: what the picture shows, "samples" or the like.
      step: the training step.
      image: uint8, [H, W], or [H, W, C] with 1 (grey), 3 or 4 channels.
    """
    self._write(lambda: self._records.write_picture(name, step, image))

  def rewind(self, step: int) -> None:
    """Drops the rows after `step`, in TensorBoard too: a resumed run writes them again."""
    self._write(lambda: self._records.rewind(step))

  def close(self) -> None:
    """Waits for the state being saved, and lets other programs open the folder."""
    self._write(self._closing.close)

  def _write(self, work: Callable[[], None]) -> None:
    """Lets process 0 work; what the disk refuses it is raised on every process, in one sentence."""
    with processes.together(), disk.one_sentence(self.path):
      if processes.first():
        work()

  def __enter__(self) -> "RunFolder":
    return self

  def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
    if error is None:
      self.close()
      return
    try:  # Without the others, who may not have met the error.
      with disk.one_sentence(self.path):
        self._closing.close()
    except OSError as closing_error:
      logging.warning("%s", closing_error)  # The first error is the one to raise.


def open_run(workdir: str, config: dict[str, Any], free_to_change: Sequence[str] = (),
             best: tuple[str, str] | None = None) -> RunFolder:
  """Makes the run folder, or opens it again for the same configuration.

  Args:
    workdir: a local path; ~ is the home folder.
    config: nested dict of plain values; written to config.json.
    free_to_change: dotted names, "eval.every", of the fields (or groups) that may differ from those
      in config.json, and replace them.
    best: (metric, "max" or "min") by which the best networks are kept beside the newest.

  Raises:
    ValueError: the folder belongs to another configuration, is not a run folder, or has a name
      under which checkpoints cannot be read.
    OSError: it cannot be written, or another process trains in it.
  """
  path = local_path(workdir)
  readback.check_path(path)
  config = json.loads(json.dumps(config, allow_nan=False))  # As config.json will give it back.
  keep = checkpoints.Best(*best) if best else None
  with processes.together(), disk.one_sentence(path):
    if not processes.first():
      return RunFolder(path, config, keep, None)
    path.mkdir(parents=True, exist_ok=True)
    refuse_foreign(path)
    lock = _lock(path)
    try:
      _agree_on_config(path / "config.json", config, free_to_change)
      return RunFolder(path, config, keep, lock)
    except BaseException:
      os.close(lock)
      raise


def check_run(workdir: str, config: dict[str, Any], free_to_change: Sequence[str] = ()) -> None:
  """Raises what `open_run` would of a folder of another configuration, and writes nothing."""
  path = local_path(workdir)
  readback.check_path(path)
  with processes.together(), disk.one_sentence(path):
    if processes.first() and path.exists():
      refuse_foreign(path)
      check_config(path / "config.json", json.loads(json.dumps(config)), free_to_change)


def name_of(path: pathlib.Path) -> str:
  """A path as people type it: from the current folder on where it lies below that."""
  here = pathlib.Path.cwd()
  return str(path.relative_to(here) if path.is_relative_to(here) else path)


def local_path(workdir: str) -> pathlib.Path:
  """The absolute path; raises ValueError for an address such as gs://."""
  if "://" in workdir:
    raise ValueError(f"workdir {workdir} is not a local path; name a folder on this machine.")
  return pathlib.Path(workdir).expanduser().absolute()


def refuse_foreign(path: pathlib.Path) -> None:
  """Raises ValueError if a folder holds files but no config.json."""
  found = [item.name for item in outputs.items(path) if not item.name.startswith(".")]
  if found and "config.json" not in found:
    raise ValueError(f"{path} has no config.json but other files ({', '.join(found[:3])}): it is "
                     "not a run folder; choose an empty or new --workdir.")


def _lock(path: pathlib.Path) -> int:
  """Takes the folder's lock, which the system gives back whenever and however the process ends."""
  file = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    os.close(file)
    raise BlockingIOError(f"another process is training in {path}; wait for its end or choose "
                          "another --workdir.") from None
  except OSError as error:  # Some network and cloud drives have no locks.
    logging.warning("%s cannot be locked (%s): do not train in it twice at once", path, error)
  return file


def _agree_on_config(path: pathlib.Path, config: dict[str, Any], free: Sequence[str]) -> None:
  if check_config(path, config, free) != config:
    disk.write_atomically(path, json.dumps(config, indent=2).encode() + b"\n")


def check_config(
    path: pathlib.Path, config: dict[str, Any], free: Sequence[str]
) -> dict[str, Any] | None:
  """What is there, if anything; raises ValueError if it differs in what is not free to change."""
  saved = read_config(path) if path.exists() else None
  if saved is not None:
    here = _fields(config)
    there = {name: was for name, was in BEFORE.items() if name in here} | _fields(saved)
    differing = [name for name in sorted(there | here)
                 if _shown(there, name) != _shown(here, name)
                 and not any(f"{name}.".startswith(f"{field}.") for field in free)]
    if differing:
      each = "; ".join(f"{name} is {_shown(there, name)} there and {_shown(here, name)} here"
                       for name in differing)
      raise ValueError(f"{path.parent} belongs to another configuration: {each}; give the same "
                       "values or another --workdir.")
  return saved


def read_config(path: pathlib.Path) -> dict[str, Any]:
  """What a config.json holds; raises ValueError if it is damaged."""
  try:
    config = json.loads(path.read_bytes())
    reason = None if isinstance(config, dict) else "it is not a JSON object"
  except ValueError as error:
    reason = str(error)
  if reason is not None:
    raise ValueError(f"{path} is damaged ({reason}); restore it from a copy or choose another "
                     "--workdir.")
  return config


def _fields(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """{'a': {'b': 1}} as {'a.b': 1}; an empty dict counts as a value."""
  fields = {}
  for name, value in tree.items():
    nested = isinstance(value, dict) and value
    fields |= _fields(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
  return fields


def _shown(fields: Mapping[str, Any], name: str) -> str:
  return json.dumps(fields[name]) if name in fields else "absent"

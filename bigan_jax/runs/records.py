"""What a run writes down for people: rows of numbers, pictures, and both as TensorBoard events."""

from collections.abc import Mapping, Sequence
import io
import json
import math
import os
import pathlib
import time
from typing import Any

import numpy as np
from PIL import Image
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2, summary_pb2

from bigan_jax.machine import disk
from bigan_jax.settings import measures


class Records:
  """metrics.jsonl, pictures/ and events/ of one run folder."""

  def __init__(self, path: pathlib.Path):
    self._path = path
    self._rows = path / "metrics.jsonl"
    self._events: EventsWriter | None = None  # Made at the first event.
    self._first_event_step: int | None = None
    _keep_rows(self._rows, math.inf)

  def write_row(self, row: Mapping[str, Any]) -> None:
    """See `RunFolder.write_row`."""
    plain = {name: plain_value(value) for name, value in row.items()}
    step = plain.get("step")
    if not isinstance(step, int):
      raise ValueError(f"a row of metrics needs an integer 'step', not {step!r}.")
    scalars = [
        summary_pb2.Summary.Value(tag=name, simple_value=value, metadata=_metadata(name))
        for name, value in plain.items() if name != "step" and isinstance(value, (int, float))
    ]
    _append(self._rows, json.dumps(plain, allow_nan=False).encode() + b"\n")
    self._write_event(step, scalars)

  def has_row(self, step: int) -> bool:
    """See `RunFolder.has_row`."""
    return any(row["step"] == step for row in self.read_rows())

  def read_rows(self) -> list[dict[str, Any]]:
    """See `RunFolder.rows`."""
    return read_rows(self._rows)

  def write_picture(self, name: str, step: int, image: np.ndarray) -> None:
    """See `RunFolder.write_picture`."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
      raise ValueError(f"picture {name!r} is {image.dtype}{list(image.shape)}; give uint8 [H, W] "
                       "or [H, W, C].")
    png = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image).save(png, "PNG")
    folder = self._path / "pictures" / name
    folder.mkdir(parents=True, exist_ok=True)
    disk.write_atomically(folder / f"{step:08d}.png", png.getvalue())
    picture = summary_pb2.Summary.Image(
        height=image.shape[0], width=image.shape[1],
        colorspace=image.shape[2] if image.ndim == 3 else 1, encoded_image_string=png.getvalue())
    self._write_event(step, [summary_pb2.Summary.Value(tag=name, image=picture)])

  def rewind(self, step: int) -> None:
    """See `RunFolder.rewind`."""
    _keep_rows(self._rows, step)
    self._first_event_step = step + 1

  def close(self) -> None:
    """Closes the TensorBoard file."""
    if self._events is not None:
      self._events.close()

  def _write_event(self, step: int, values: Sequence[summary_pb2.Summary.Value]) -> None:
    # tensorboardX's SummaryWriter writes in a thread that a full disk kills, and then blocks.
    if self._events is None:
      (self._path / "events").mkdir(exist_ok=True)
      suffix = f".{time.time_ns()}"  # The name counts whole seconds, and would be overwritten.
      self._events = EventsWriter(str(self._path / "events" / "events"), suffix)
    if self._first_event_step is not None:  # TensorBoard hides what came before from here on.
      start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
      self._events.write_event(event_pb2.Event(
          wall_time=time.time(), step=self._first_event_step, session_log=start))
      self._first_event_step = None
    self._events.write_event(event_pb2.Event(
        wall_time=time.time(), step=step, summary=summary_pb2.Summary(value=values)))
    self._events.flush()


def read_rows(path: pathlib.Path) -> list[dict[str, Any]]:
  """Of a metrics.jsonl, without what is no row: a torn line of a kill or of a run under way."""
  lines = path.read_bytes().splitlines() if path.exists() else []
  return [json.loads(line) for line in lines if not math.isnan(_step_of(line))]


def _metadata(name: str) -> summary_pb2.SummaryMetadata | None:
  """What TensorBoard tells of a scalar beside its name."""
  description = measures.describe(name)
  return summary_pb2.SummaryMetadata(summary_description=description) if description else None


def plain_value(value: Any) -> Any:
  """A JSON value: one-element arrays as numbers, NaN and infinity as None, which JSON has not."""
  value = value.item() if hasattr(value, "item") else value
  if isinstance(value, (bool, int, str, type(None))):
    return value
  return float(value) if math.isfinite(value) else None


def _append(path: pathlib.Path, line: bytes) -> None:
  """Appends and forces to disk; a line that does not fit leaves nothing behind."""
  with open(path, "ab", buffering=0) as file:
    size = file.tell()
    try:
      rest = memoryview(line)
      while rest:
        rest = rest[file.write(rest):]
      os.fsync(file.fileno())
    except OSError:
      file.truncate(size)
      raise


def _keep_rows(path: pathlib.Path, last_step: float) -> None:
  """Drops later rows and what is no row, such as the torn last line that a kill leaves."""
  lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
  kept = [line for line in lines if line.endswith(b"\n") and _step_of(line) <= last_step]
  if kept != lines:
    disk.write_atomically(path, b"".join(kept))


def _step_of(line: bytes) -> float:
  try:
    return float(json.loads(line)["step"])
  except (ValueError, KeyError, TypeError):
    return math.nan  # Neither before nor after any step: the line is dropped.

"""Rows and pictures: strict JSON, TensorBoard, and what a resumed run drops."""

import json
import pathlib
import struct

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from PIL import Image
import pytest
from tensorboardX.proto import event_pb2

from bigan_jax.runs import workdir


def open_run(path: pathlib.Path) -> workdir.RunFolder:
  return workdir.open_run(str(path), {"seed": 1})


def read_events(path: pathlib.Path) -> list[event_pb2.Event]:
  events = []
  for file in sorted((path / "events").iterdir()):
    content = file.read_bytes()
    while content:
      size, = struct.unpack("<Q", content[:8])
      events.append(event_pb2.Event.FromString(content[12:12 + size]))
      content = content[16 + size:]
  return events


def test_rows_are_strict_json_and_tensorboard_scalars(tmp_path):
  with open_run(tmp_path) as run:
    run.write_row({"step": np.int64(3), "loss": jnp.float32(0.5), "nan": float("nan"),
                   "inf": np.float32("inf"), "half": ml_dtypes.bfloat16(1.5), "note": "x"})
    with pytest.raises(ValueError, match="integer 'step'"):
      run.write_row({"loss": 1.0})
  line, = (tmp_path / "metrics.jsonl").read_text().splitlines()
  def fail(text):
    raise AssertionError(text)
  assert json.loads(line, parse_constant=fail) == {
      "step": 3, "loss": 0.5, "nan": None, "inf": None, "half": 1.5, "note": "x"}
  event, = [event for event in read_events(tmp_path) if event.summary.value]
  assert event.step == 3
  assert {v.tag: v.simple_value for v in event.summary.value} == {"loss": 0.5, "half": 1.5}


def test_tensorboard_is_told_what_a_number_is(tmp_path):
  with open_run(tmp_path) as run:
    run.write_row({"step": 1, "JD": 0.5, "mine": 2.0})
    assert run.rows() == [{"step": 1, "JD": 0.5, "mine": 2.0}] and run.has_row(1)
  told = {v.tag: v.metadata.summary_description
          for event in read_events(tmp_path) for v in event.summary.value}
  assert told["JD"].startswith("joint discriminator loss") and told["mine"] == ""



def test_rewind_drops_later_rows_and_a_torn_last_line(tmp_path):
  rows = tmp_path / "metrics.jsonl"
  with open_run(tmp_path) as run:
    for step in (1, 2, 3, 4):
      run.write_row({"step": step})
  with open(rows, "ab") as file:
    file.write(b'{"step": 5, "lo')
  with open_run(tmp_path) as run:  # Without a rewind the torn line must not swallow the next row.
    run.write_row({"step": 6})
  assert [json.loads(line)["step"] for line in rows.read_text().splitlines()] == [1, 2, 3, 4, 6]
  with open_run(tmp_path) as run:
    run.rewind(2)
    run.write_row({"step": 3, "again": 1})
  assert [json.loads(line) for line in rows.read_text().splitlines()] == [
      {"step": 1}, {"step": 2}, {"step": 3, "again": 1}]
  restarts = [e.step for e in read_events(tmp_path)
              if e.session_log.status == event_pb2.SessionLog.START]
  assert restarts == [3]  # TensorBoard hides its events from this step on.


def test_pictures_are_written_as_they_are(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
  with open_run(tmp_path) as run:
    run.write_picture("samples", 12, pixels)
    run.write_picture("filters", 12, pixels[..., :1])
    run.write_picture("filters", 13, pixels[..., 0])
    for wrong in (pixels / 255, pixels[None]):
      with pytest.raises(ValueError, match=r"give uint8 \[H, W\]"):
        run.write_picture("samples", 13, wrong)
  read = lambda name: np.asarray(Image.open(tmp_path / "pictures" / name))
  assert (read("samples/00000012.png") == pixels).all()
  assert (read("filters/00000012.png") == pixels[..., 0]).all()
  assert (read("filters/00000013.png") == pixels[..., 0]).all()
  pictures = [v for event in read_events(tmp_path) for v in event.summary.value]
  assert [(v.tag, v.image.height, v.image.width) for v in pictures] == [
      ("samples", 6, 9), ("filters", 6, 9), ("filters", 6, 9)]

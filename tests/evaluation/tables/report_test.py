"""Tests of the report: everything of a run is inside one well-formed page."""

import html.parser
import json
import pathlib

import numpy as np
from PIL import Image
import pytest

from bigan_jax.evaluation import web
from bigan_jax.evaluation.tables import report

VOID = {"meta", "img", "input", "br"}


class Checker(html.parser.HTMLParser):
  """Collects text and pictures, and sees that every tag is closed in order."""

  def __init__(self) -> None:
    super().__init__()
    self.open, self.text, self.images = [], [], []

  def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
    if tag == "img":
      self.images.append(dict(attrs)["src"])
    if tag not in VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
    pass

  def handle_endtag(self, tag: str) -> None:
    assert self.open.pop() == tag

  def handle_data(self, data: str) -> None:
    self.text.append(data.strip())


def write_run(folder: pathlib.Path, rate: float) -> pathlib.Path:
  folder.mkdir(parents=True)
  (folder / "config.json").write_text(json.dumps({"optim": {"rate": rate}, "note": "<&>"}))
  rows = [{"step": i, "epoch": i, "JD": 0.7 - 0.1 * i, "NND": None} for i in range(3)]
  (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
  for step in (0, 2):
    path = folder / "pictures" / "samples" / f"{step:08d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), step, np.uint8)).save(path)
  return folder


def read(path: pathlib.Path, *runs: pathlib.Path) -> Checker:
  names = report.short_names(runs)
  path.write_text(report.page([report.read(*pair) for pair in zip(runs, names)]))
  checker = Checker()
  checker.feed(path.read_text())
  assert not checker.open
  return checker


def test_a_page_of_two_runs(tmp_path: pathlib.Path) -> None:
  one, two = write_run(tmp_path / "a" / "run", 0.125), write_run(tmp_path / "b" / "run", 0.25)
  found = read(tmp_path / "report.html", one, two)
  assert {"a/run", "b/run", "0.125", "0.25", "<&>", "samples (00000002)"} <= set(found.text)
  assert "distance to the nearest of all samples; lower is better" in found.text
  assert len(found.images) == 2 and found.open == []
  assert all(source.startswith("data:image/png;base64,") for source in found.images)
  at = found.text.index
  assert at("Where the configs differ") < at("optim.rate") < at("The other fields") < at("note")


def test_a_job_without_curves(tmp_path: pathlib.Path) -> None:
  (tmp_path / "config.json").write_text(json.dumps({"job": "linear_probe"}))
  (tmp_path / "results.csv").write_text("layer,linear %\nfc1,97.25\n")
  found = read(tmp_path / "report.html", tmp_path)
  assert {"results", "layer", "fc1", "97.25"} <= set(found.text) and "Curves" not in found.text


def test_no_number_is_lost_to_rounding_that_matters() -> None:
  assert [web.show(v) for v in (None, 0.6931472, 97.25, 1902592, "x")] == [
      "", "0.6931", "97.25", "1902592", "x"]


def test_bad_folders_are_named(tmp_path: pathlib.Path) -> None:
  with pytest.raises(ValueError, match="is no run folder: it has no config.json"):
    report.read(tmp_path, "x")
  (tmp_path / "config.json").write_text("{}")
  with pytest.raises(ValueError, match="nothing to show yet"):
    report.read(tmp_path, "x")
  with pytest.raises(ValueError, match="same run folder is given twice"):
    report.short_names([tmp_path, tmp_path])

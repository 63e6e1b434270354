"""Tests of the report: everything of a run is inside one well-formed page."""

import html.parser
import json
import os
import pathlib
import subprocess

import numpy as np
from PIL import Image
import pytest

from bigan_jax.evaluation import web
from bigan_jax.evaluation.tables import report, run_folders, run_pictures
from tests import browser

ROOT = pathlib.Path(__file__).parents[3]
VOID = {"meta", "img", "br", "input"}


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


def write_json(path: pathlib.Path, values: dict) -> pathlib.Path:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(values))
  return path.parent


def write_picture(path: pathlib.Path, pixels: np.ndarray) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path)


def write_run(folder: pathlib.Path, rate: float) -> pathlib.Path:
  write_json(folder / "config.json", {"job": "train", "optim": {"rate": rate}, "note": "<&>"})
  rows = [{"step": 5 * i, "epoch": i, "JD": 0.7 - 0.1 * i, "NND": None} for i in range(3)]
  (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
  for name in ("samples", "filters_E"):
    for step in (0, 10):
      path = folder / "pictures" / name / f"{step:08d}.png"
      write_picture(path, np.full((4, 40), step, np.uint8))
  return folder


def read(path: pathlib.Path, *runs: pathlib.Path) -> Checker:
  path.write_text(report.page(run_folders.read_all(runs)))
  checker = Checker()
  checker.feed(path.read_text())
  assert not checker.open
  return checker


def test_a_page_of_two_runs(tmp_path: pathlib.Path) -> None:
  one, two = write_run(tmp_path / "a" / "run", 0.125), write_run(tmp_path / "b" / "run", 0.25)
  found = read(tmp_path / "report.html", one, two)
  assert {"a/run", "b/run", "0.125", "0.25", "<&>", "samples: epoch 2, step 10"} <= set(found.text)
  assert "distance to the nearest of all samples; lower is better" in found.text
  assert len(found.images) == 2 * (2 + 1)  # Of filters the newest.
  assert all(source.startswith("data:image/png;base64,") for source in found.images)
  at = found.text.index
  assert at("Where the configs differ") < at("optim.rate") < at("The other fields") < at("note")


def test_a_run_under_way_or_killed(tmp_path: pathlib.Path) -> None:
  """A line that is not whole yet, and a table that is empty, are passed over."""
  run = write_run(tmp_path / "run", 0.5)
  (run / "mine.csv").touch()
  with open(run / "metrics.jsonl", "a") as file:
    file.write('{"step": 15, "epo')
  assert [row["step"] for row in run_folders.read(run, "run").rows] == [0, 5, 10]
  assert {"run", "0.5"} <= set(read(tmp_path / "report.html", run).text)


def test_a_job_without_curves(tmp_path: pathlib.Path) -> None:
  write_json(tmp_path / "config.json", {"job": "linear_probe"})
  (tmp_path / "results.csv").write_text("layer,linear %\nfc1,97.25\n")
  found = read(tmp_path / "report.html", tmp_path)
  assert {"results", "layer", "fc1", "97.25"} <= set(found.text) and "Curves" not in found.text


def write_jobs(runs: pathlib.Path) -> pathlib.Path:
  """A run beside jobs of its own, and of others; the run."""
  run = write_run(runs / "bigan" / "1-0", 0.5)
  place = runs / "bigan"
  for folder, encoder in (("linear/1-0", "/moved/1-0"), ("other/1-0", "/moved/2-0"),
                          ("probe", str(run)), ("relative", "bigan/1-0"), ("strange", "x/1-0")):
    write_json(place / folder / "config.json", {"job": "linear_probe", "encoder": encoder})
    table = "".join(f"row {i} of {folder},{i}\n" for i in range(250))
    (place / folder / "results.csv").write_text(f"layer,linear\nfc,{len(folder)}.5\n")
    (place / folder / "confusion_e.csv").write_text(f"class,0\n{table}")
  near = write_json(place / "near" / "config.json", {"job": "neighbours", "encoder": str(run)})
  write_json(near / "results.json", {"layers": {"e-": {"dim": 16, "same_class": 87.5}}})
  judged = runs / "scores" / "bigan" / "1-0"
  write_json(judged / "threshold.json", {})
  write_json(judged / "metrics.json", {"scores": {"pixels": {"AUROC": 0.875, "AUPR": 0.5}}})
  write_json(place / "empty" / "config.json", {"job": "linear_probe", "encoder": str(run)})
  (place / "foreign").mkdir()
  (place / "foreign" / "config.json").write_text("no JSON")
  return run


def test_jobs_beside_a_run(tmp_path: pathlib.Path) -> None:
  run = write_jobs(tmp_path / "runs")
  names = [str(path.relative_to(tmp_path / "runs")) for path in run_folders.beside(run)]
  assert names == ["bigan/linear/1-0", "bigan/near", "bigan/probe", "bigan/relative",
                   "scores/bigan/1-0"]
  found = read(tmp_path / "report.html", run, run.parent / "probe")
  heads = [text for text in found.text if ": " in text and text.split(": ")[1] in (
      "linear_probe", "neighbours", "anomaly")]
  assert heads == [
      "bigan/linear/1-0: linear_probe", "runs/bigan/near: neighbours",
      "runs/bigan/probe: linear_probe", "runs/bigan/relative: linear_probe",
      "scores/bigan/1-0: anomaly"]
  assert {"87.5", "AUROC", "0.875", "row 0 of probe"} <= set(found.text)
  assert found.text.count("confusion_e (the first 200 of 250 rows)") == 3
  assert "row 200 of probe" not in found.text and "row 0 of strange" not in found.text


def test_a_picture_of_any_height(tmp_path: pathlib.Path) -> None:
  """One of noise is too large for a PNG, and WebP knows no such height."""
  run = write_run(tmp_path / "run", 0.5)
  noise = np.random.RandomState(0).randint(0, 256, (20_000, 9, 3)).astype(np.uint8)
  write_picture(run / "pictures" / "samples" / "00000015.png", noise)
  assert sum("image/webp" in source for source in read(tmp_path / "a.html", run).images) == 1


def test_folders_that_may_not_be_read_are_passed_over(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  run, strange = write_jobs(tmp_path / "runs"), tmp_path / "runs" / "bigan" / "lost+found"
  strange.mkdir()
  is_file = pathlib.Path.is_file
  def refuse(path: pathlib.Path) -> bool:  # As of a folder of root's.
    if strange in path.parents:
      raise PermissionError(13, "Permission denied", str(path))
    return is_file(path)
  monkeypatch.setattr(pathlib.Path, "is_file", refuse)
  assert len(run_folders.beside(run)) == 5


def test_the_command(tmp_path: pathlib.Path, forked_python: pathlib.Path) -> None:
  run, out = write_jobs(tmp_path / "runs"), tmp_path / "page.html"
  done = subprocess.run(
      ["bash", "launch/report.sh", out, run], cwd=ROOT, capture_output=True, text=True, check=True,
      env=os.environ | {"PYTHON": str(forked_python)},
  )
  assert done.stdout.splitlines()[-1] == f"Wrote {out}, with 5 jobs found beside."
  assert "row 0 of probe" in out.read_text()


def test_a_browser_moves_through_time(tmp_path: pathlib.Path) -> None:
  run = write_jobs(tmp_path / "runs")
  noise = np.random.RandomState(0).randint(0, 256, (160, 900, 3)).astype(np.uint8)
  for step in range(0, 200, 5):  # Large ones, and many.
    write_picture(run / "pictures" / "samples" / f"{step:08d}.png", noise + np.uint8(step))
  read(tmp_path / "report.html", run)
  assert (tmp_path / "report.html").stat().st_size < 8_000_000
  with browser.open_page(tmp_path / "report.html") as page:
    fits = "document.documentElement.scrollWidth <= innerWidth"
    seen = "[...document.querySelectorAll('figure:first-of-type img')].filter(i => i.offsetWidth)"
    count = page.run("document.querySelectorAll('figure:first-of-type img').length")
    assert count == run_pictures.STEPS and page.run(fits)
    assert page.run(f"{seen}.map(i => i.alt)") == ["samples: step 195"]
    page.run("document.querySelector('figure input').focus()")
    page.press("Home")
    assert page.run(f"{seen}.map(i => [i.alt, i.naturalWidth])") == [
        ["samples: epoch 0, step 0", 900]]
    said = "document.querySelector('figcaption').innerText"
    assert page.run(said) == "samples: epoch 0, step 0"
    page.press("Right")
    assert page.run(f"{seen}.map(i => i.alt)") == [page.run(said)] == ["samples: epoch 2, step 10"]
    assert page.run("document.querySelectorAll('.curves svg').length") == 2
    page.resize(400)
    assert page.run(fits)
    assert page.run("document.querySelectorAll('details').forEach(d => { d.open = true; })") is None
    assert page.run(fits) and page.complaints() == []


def test_no_number_is_lost_to_rounding_that_matters() -> None:
  assert [web.show(v) for v in (None, 0.6931472, 97.25, 1902592, "x")] == [
      "", "0.6931", "97.25", "1902592", "x"]


def test_bad_folders_are_named(tmp_path: pathlib.Path) -> None:
  with pytest.raises(ValueError, match="is no run folder: it has no config.json"):
    run_folders.read(tmp_path, "x")
  (tmp_path / "config.json").write_text("{}")
  with pytest.raises(ValueError, match="nothing to show yet"):
    run_folders.read(tmp_path, "x")
  with pytest.raises(ValueError, match="same run folder is given twice"):
    run_folders.short_names([tmp_path, tmp_path])


def test_a_page_has_the_ending_of_one() -> None:
  assert web.named("a/b.HTML") == pathlib.Path("a/b.HTML")
  for name in ("runs/mine", "page.png"):  # The first is what one names who forgets the page.
    with pytest.raises(ValueError, match=f"^FILE={name} is no name of a page: give it the ending"):
      web.named(name, "FILE")

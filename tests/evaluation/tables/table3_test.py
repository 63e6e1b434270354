"""Tests of Table 3 from run folders."""

import csv
import json
import pathlib

import pytest

from bigan_jax.evaluation.tables import table2, table3

JOBS = {"detection": ("voc_detection", "mAP"), "segmentation": ("voc_segmentation", "mIU")}


def results(source: str, learner: str, task: str, percent: float, **fields: object) -> dict:
  job, score = JOBS.get(task, ("voc_classification", "mAP"))
  found = {"trained": task} if task not in JOBS else {}
  return {"job": job, "source": source, "learner": learner, "generalised": False, "frozen": 5,
          "train_images": 5011, **found, score: percent, **fields}


def write(folder: pathlib.Path, runs: list[dict]) -> None:
  for i, run in enumerate(runs):
    (folder / str(i)).mkdir()
    (folder / str(i) / "results.json").write_text(json.dumps(run))


def read(path: pathlib.Path) -> tuple[list[str], dict[str, list[str]]]:
  with open(path, newline="") as file:
    header, *rows = csv.reader(file)
  return header, {row[0]: row[1:] for row in rows}


def test_rows_and_columns(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
  write(tmp_path, [
      results("pretrained", "bigan", "fc8", 37.0), results("pretrained", "bigan", "fc8", 38.0),
      results("pretrained", "bigan", "fc6_8", 48.0), results("pretrained", "bigan", "all", 58.0),
      results("pretrained", "bigan", "detection", 45.0, train_images=240),
      results("pretrained", "bigan", "segmentation", 34.0),
      results("pretrained", "bigan", "all", 61.0, generalised=True),
      results("random", "", "all", 50.0), results("kmeans", "", "detection", 44.0),
      results("pretrained", "labels", "fc8", 70.0), results("pretrained", "gan", "fc6_8", 40.25),
      {"job": "frozen_layers", "source": "random", "all_crops": 9.0, "frozen": 1},
  ])
  table3.main(tmp_path)
  header, found = read(tmp_path / "table3.csv")
  columns = ["fc8", "fc6-8", "all", "detection", "segmentation"]
  assert header == ["layers of", *columns, "seeds", "training pictures",
                    *(f"paper {name}" for name in columns)]
  assert found["BiGAN"] == ["37.50 ± 0.50", "48.00", "58.00", "45.00", "34.00", "1/2", "240/5011",
                            "37.5", "48.7", "58.9", "45.7", "34.9"]
  assert found["BiGAN, generalised (paper: 112 x 112 E)"][2] == "61.00"
  assert found["Random"] == ["", "", "50.00", "", "", "1", "5011", *[""] * 5]
  assert found["Random (k-means)"][3] == "44.00" and found["Random (k-means)"][-5] == "32.0"
  assert found["Trained with labels"][0] == "70.00" and found["Trained with labels"][-1] == "48.0"
  assert found["Discriminator (D)"][1] == "40.25"
  assert found["Discriminator (D)"][-5:] == ["30.7", "40.5", "56.4", "", ""]
  assert found["Joint LR"] == [*[""] * 7, "37.1", "47.9", "56.5", "", ""]  # The paper's alone.
  assert "Autoencoder (l1)" not in found  # Neither ours nor the paper's.
  markdown = (tmp_path / "table3.md").read_text()
  assert capsys.readouterr().out == markdown
  *lines, blank, note = markdown.splitlines()
  assert len(lines) == len(found) + 2 and not blank
  assert {line.count("|") for line in lines} == {len(header) + 1}
  assert "interpolated linearly" in note and note.count(". ") == 0  # In one sentence.


def test_networks_of_segmentation_are_not_mixed(tmp_path: pathlib.Path) -> None:
  write(tmp_path, [
      results("pretrained", "bigan", "segmentation", 30.0, variant="fcn32s"),
      results("pretrained", "bigan", "segmentation", 32.0, variant="fcn8s"),
  ])
  table3.main(tmp_path)
  header, found = read(tmp_path / "table3.csv")
  assert header[4:7] == ["detection", "segmentation fcn32s", "segmentation fcn8s"]
  assert found["BiGAN"][3:6] == ["", "30.00", "32.00"]


@pytest.mark.parametrize("field, one, other", [
    ("epoch", 60, 255), ("side", 96, 227), ("canvas", [240, 320], [600, 1000]),
    ("test_split", "val", "test"), ("year", 2007, 2012), ("crops", 1, 10),
    ("train_images", 240, 5011), ("init", "gaussian", "plain"),
])
def test_only_repeats_are_averaged(
    tmp_path: pathlib.Path, field: str, one: object, other: object
) -> None:
  """Runs in different cells may differ, and so may seeds."""
  run = lambda task, seed, value: results(
      "pretrained", "bigan", task, 30.0, seed=seed, **{field: value}
  )
  write(tmp_path, [run("fc8", 0, one), run("fc8", 1, one), run("all", 0, other)])
  table3.main(tmp_path)
  (tmp_path / "3").mkdir()
  (tmp_path / "3" / "results.json").write_text(json.dumps(run("fc8", 2, other)))
  with pytest.raises(ValueError, match=f"bigan, fc8, are no repeats of each other, as {field} is"):
    table3.main(tmp_path)


def test_folders_of_table_2_may_hold_them_too(tmp_path: pathlib.Path) -> None:
  write(tmp_path, [
      results("random", "", "fc8", 9.0),
      {"source": "random", "learner": "", "frozen": 1, "all_crops": 48.0, "layers": ["conv1"],
       "generalised": False, "epoch": 90, "data": "fake"},
  ])
  table2.main(tmp_path)
  assert "| Random |  | 48.00 |" in (tmp_path / "table2.md").read_text()


def test_what_has_no_row_is_refused(tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match="No finished run folders"):
    table3.main(tmp_path)
  write(tmp_path, [results("pretrained", "mine", "fc8", 9.0)])
  with pytest.raises(ValueError, match="runs of mine, which the table has no row for"):
    table3.main(tmp_path)

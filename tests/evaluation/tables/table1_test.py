"""Tests of Table 1 from run folders."""

import csv
import json
import pathlib

import pytest

from bigan_jax.evaluation.tables import table1


def write(
    folder: pathlib.Path, name: str, *rows: dict[str, float], data: str = "mnist",
    references: int = 0, **classes: str
) -> None:
  """A run folder of the objective that its name begins with."""
  (folder / name).mkdir()
  config = {"objective": name.rpartition("-")[0], "eval": {"references": references},
            "data": {"name": data, "splits": "test", **classes}}
  (folder / name / "config.json").write_text(json.dumps(config))
  lines = "".join(json.dumps({"step": 0, **row}) + "\n" for row in rows)
  (folder / name / "metrics.jsonl").write_text(lines)


def test_the_last_evaluation_of_every_seed(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  write(tmp_path, "bigan-0", {"epoch": 0, "NNC_e-": 91.0}, {"epoch": 400, "NNC_e-": 97.5})
  write(tmp_path, "bigan-1", {"epoch": 200, "NNC_e-": 97.0, "NNC_e": 50.0})
  write(tmp_path, "gan-0", {"epoch": 400, "NNC_d": 97.3})
  table1.main(tmp_path)
  with open(tmp_path / "table1.csv", newline="") as file:
    rows = [list(row.values()) for row in csv.DictReader(file)]
  assert rows[:3] == [
      ["BiGAN", "97.25", "0.25", "2", "200/400", "97.39", "-0.14"],
      ["D", "97.30", "", "1", "400", "97.30", "+0.00"],
      ["LR", "", "", "0", "", "97.44", ""],
  ]
  assert [row[0] for row in rows] == ["BiGAN", "D", "LR", "JLR", "AE (l2)", "AE (l1)"]
  assert "| BiGAN | 97.25 | 0.25 | 2 | 200/400 |" in capsys.readouterr().out


def test_other_data_are_not_set_beside_the_paper(tmp_path: pathlib.Path) -> None:
  write(tmp_path, "bigan-0", {"epoch": 9, "NNC_e-": 91.0}, data="digits")
  table1.main(tmp_path)
  with open(tmp_path / "table1.csv", newline="") as file:
    rows = [list(row.values()) for row in csv.DictReader(file)]
  assert rows[0] == ["BiGAN", "91.00", "", "1", "9", "", ""] and rows[1][-2:] == ["", ""]
  write(tmp_path, "bigan-1", {"epoch": 9, "NNC_e-": 91.0}, data="digits", only_labels="3")
  with pytest.raises(ValueError, match='differ in data.only_labels, "" and "3": part their'):
    table1.main(tmp_path)


def test_runs_that_were_judged_otherwise_are_not_averaged(tmp_path: pathlib.Path) -> None:
  write(tmp_path, "bigan-0", {"epoch": 9, "NNC_e-": 91.0})
  write(tmp_path, "bigan-1", {"epoch": 9, "NNC_e-": 92.0}, references=5_000)
  with pytest.raises(ValueError, match="differ in eval.references, 0 and 5000: part their folders"):
    table1.main(tmp_path)


@pytest.mark.parametrize("name, row, said", [
    ("alad-0", {"NNC_e-": 91.0}, "runs of alad, which the table has no row for: move"),
    ("voc-0", {"mAP": 9.0}, "is no run of a feature learner: move it elsewhere"),
    ("gan-0", {"NND": 9.0}, "has no NNC_d, for want of classes: move it elsewhere"),
])
def test_what_is_no_row_is_refused(
    tmp_path: pathlib.Path, name: str, row: dict[str, float], said: str
) -> None:
  write(tmp_path, name, {"epoch": 9, **row})
  with pytest.raises(ValueError, match=said):
    table1.main(tmp_path)


def test_what_has_no_number_is_told(tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match="No run folders in .*: train some by launch/table1"):
    table1.main(tmp_path)
  write(tmp_path, "bigan-0")
  with pytest.raises(ValueError, match="bigan-0 has no evaluation yet: let it run on"):
    table1.main(tmp_path)

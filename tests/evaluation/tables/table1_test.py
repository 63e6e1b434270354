"""Tests of Table 1 from run folders."""

import csv
import json
import pathlib

import pytest

from bigan_jax.evaluation.tables import table1


def write(folder: pathlib.Path, name: str, *rows: dict[str, float]) -> None:
  """A run folder of the objective that its name begins with."""
  (folder / name).mkdir()
  config = {"objective": name.rpartition("-")[0]}
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


def test_what_has_no_number_is_told(tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match="No run folders in .*: train some by launch/table1"):
    table1.main(tmp_path)
  write(tmp_path, "bigan-0")
  with pytest.raises(ValueError, match="bigan-0 has no evaluation yet: let it run on"):
    table1.main(tmp_path)

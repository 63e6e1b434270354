"""Tests of Table 2 from run folders."""

import csv
import io
import json
import pathlib

import pytest

from bigan_jax.evaluation.tables import table2

CONVS = ["conv1", "conv2", "conv3", "conv4", "conv5"]


def results(source: str, learner: str, frozen: int, percent: float, **fields: object) -> dict:
  return {
      "source": source, "learner": learner, "frozen": frozen, "all_crops": percent,
      "layers": CONVS, "generalised": False, "epoch": 90, "data": "imagenet_presized", **fields,
  }


def write(folder: pathlib.Path, runs: list[dict]) -> None:
  for i, run in enumerate(runs):
    (folder / str(i)).mkdir()
    (folder / str(i) / "results.json").write_text(json.dumps(run))


def test_rows_and_columns(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(io, "text_encoding", lambda name, *_: name or "ascii")  # A locale's.
  write(tmp_path, [
      results("pretrained", "bigan", 1, 55.0), results("pretrained", "bigan", 1, 56.0),
      results("pretrained", "bigan", 5, 33.0),
      results("pretrained", "bigan", 2, 50.0, generalised=True),
      results("pretrained", "gan", 3, 40.0, generalised=True), results("random", "", 2, 41.5),
      results("kmeans", "", 4, 30.0), results("supervised", "", 0, 57.5),
      results("pretrained", "labels", 3, 57.0),
      {"job": "linear_probe"},
  ])
  table2.main(tmp_path)
  with open(tmp_path / "table2.csv", newline="", encoding="utf-8") as file:
    header, *rows = csv.reader(file)
  assert header == ["frozen up to", "nothing", *CONVS, "seeds", "epochs", "images",
                    *(f"paper {name}" for name in CONVS)]
  found = {row[0]: row[1:] for row in rows}
  assert found["BiGAN"] == ["", "55.50 ± 0.50", "", "", "", "33.00", "1/2", "90",
                            "imagenet_presized", "56.2", "54.4", "49.4", "43.9", "33.3"]
  assert found["BiGAN, generalised (paper: 112 x 112 E)"][2] == "50.00"
  assert found["Discriminator (D)"][3] == "40.00" and found["Discriminator (D)"][-5:] == [""] * 5
  assert found["Random"][2] == "41.50" and found["Random"][-1] == "12.0"
  assert found["Random (k-means)"][4] == "30.00"
  assert found["Trained with labels"][:4] == ["57.50", "", "", "57.00"]
  assert found["Wang & Gupta"][:6] == [""] * 6  # The paper's alone.
  assert "Joint LR" not in found
  markdown = (tmp_path / "table2.md").read_text("utf-8")
  assert capsys.readouterr().out == markdown and len(markdown.splitlines()) == len(rows) + 2
  assert {line.count("|") for line in markdown.splitlines()} == {len(header) + 1}


def test_perceptrons_have_no_numbers_of_the_paper() -> None:
  rows = table2.table([results("pretrained", "bigan", 2, 96.0, layers=["fc1", "fc2"])])
  assert rows == [
      ("frozen up to", "nothing", "fc1", "fc2", "seeds", "epochs", "images"),
      ("BiGAN", "", "", "96.00", "1", "90", "imagenet_presized"),
  ]


def test_networks_are_not_mixed(tmp_path: pathlib.Path) -> None:
  write(tmp_path, [results("random", "", 1, 9.0),
                   results("random", "", 1, 9.0, layers=["fc1", "fc2"])])
  with pytest.raises(ValueError, match="different networks, conv1, .* and fc1, fc2"):
    table2.main(tmp_path)


def test_what_has_no_row_is_refused(tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match="No finished run folders"):
    table2.main(tmp_path)
  write(tmp_path, [results("pretrained", "mine", 2, 40.0)])
  with pytest.raises(ValueError, match="has runs of mine, which the table has no row for: move"):
    table2.main(tmp_path)

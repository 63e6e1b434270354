"""Tests of the table of features of photos beside published numbers."""

import csv
import json
import pathlib
from typing import Any

import pytest

from bigan_jax.evaluation.tables import photos, published


def lines(network: str, column: str, accuracies: dict[str, float]) -> list[dict[str, Any]]:
  """Rows of results.json, one for each layer."""
  return [
      {"network": network, "layer": layer, "dim": 64, column: value,
       **({"200-NN vote": value - 10} if column == "linear" else {}), "chance": 10.0}
      for layer, value in accuracies.items()
  ]


def write(folder: pathlib.Path, place: str, rows: list[dict[str, Any]], **fields: object) -> None:
  (folder / place).mkdir(parents=True)
  results = {"data": "cifar10", "splits": "test", "train_images": 50_000, "judged_images": 10_000,
             "classes": 10, "epoch": 30, "last_hidden": "fc", "rows": rows, **fields}
  (folder / place / "results.json").write_text(json.dumps(results))


@pytest.fixture(name="folder")
def _folder(tmp_path: pathlib.Path) -> pathlib.Path:
  """Two seeds of BiGAN, one of D, and untrained networks."""
  folder = tmp_path / "cifar10" / "paper"
  untrained = [
      row for i in range(2)
      for row in lines(f"random_{i}", "linear", {"conv3": 50.0 + 2 * i, "e": 28.0})
  ]
  bigan = {"conv2": 57.0, "conv3": 58.0, "e-": 40.0, "e": 45.0, "conv3 pca64": 49.0,
           "e- pca64": 47.0, "D.conv1": 61.0}
  write(folder, "linear/bigan-0", untrained + lines("trained", "linear", bigan))
  again = lines("trained", "linear", {"conv3": 60.0, "e-": 42.0, "e": 45.5})
  write(folder, "linear/bigan-1", again)
  plain = lines("trained", "linear", {"conv1": 55.0, "conv4": 63.0, "e-": 64.0})
  write(folder, "linear/gan-0", plain, last_hidden="conv4")
  write(folder, "mlp/bigan-0", lines("trained", "mlp", {"conv3": 62.0, "e-": 61.0, "e": 52.0}))
  return folder


def read(path: pathlib.Path) -> list[dict[str, str]]:
  with open(path, newline="") as file:
    return list(csv.DictReader(file))


def test_ours_stand_beside_what_was_published(
    folder: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  photos.main(folder)
  table = read(folder / "photos.csv")
  ours = {(row["read-out"], row["features"]): list(row.values())[2:]
          for row in table if row["source"] == "here"}
  assert ours["MLP", "BiGAN"] == ["62.00", "61.00", "52.00", "", "10", "1", "30", "here"]
  assert ours["linear", "BiGAN"] == ["59.00 ± 1.00", "41.00 ± 1.00", "45.25 ± 0.25",
                                     "D.conv1 61.00", "10", "1/2", "30", "here"]
  assert ours["200-NN vote", "BiGAN"][0] == "49.00 ± 1.00"
  assert ours["linear of PCA to 64", "BiGAN"][:4] == ["49.00", "47.00", "", ""]
  assert ours["linear", "untrained network"] == ["51.00 ± 1.00", "", "28.00 ± 0.00", "", "10", "2",
                                                 "0", "here"]
  assert ours["linear", "Discriminator (D)"][:4] == ["64.00", "", "", "conv4 pooled 63.00"]
  assert ours["chance", ""][:3] == ["10.00"] * 3
  assert [row["read-out"] for row in table][-1] == "chance"

  theirs = [row for row in table if row["source"] != "here"]
  assert len(theirs) == len(published.CIFAR10)
  bigan = [row for row in theirs if row["features"] == "BiGAN"]
  assert [(row["conv"], row["fc"], row["code"]) for row in bigan] == [
      ("62.57", "62.74", "52.54"), ("56.40 ± 1.12", "38.42 ± 6.86", "44.90 ± 0.13"),
  ]
  assert {"77.90", "79.60", "82.80"} <= {row["best other layer"] for row in theirs}
  assert all(row["source"] and row["classes"] == "10" for row in theirs)
  text = (folder / "photos.md").read_text()
  assert capsys.readouterr().out == text and published.NOTE in text
  assert {line.count("|") for line in text.splitlines()[:-2]} == {len(photos.HEADER) + 1}


def test_a_set_of_ones_own_has_no_published_rows(folder: pathlib.Path) -> None:
  other = folder.parent.parent / "digits" / "paper"
  folder.parent.rename(other.parent)
  photos.main(other)
  assert {row["source"] for row in read(other / "photos.csv")} == {"here"}


def test_published_rows_of_tiny_imagenet_are_of_all_classes() -> None:
  rows, classes = published.SETS["tiny_imagenet"]
  assert photos.published_row(rows[3], classes) == (
      "MLP", "BiGAN", "24.38", "20.21", "13.06", "", "200", "", "", published.DIM
  )


@pytest.mark.parametrize("layer, names, column", [
    ("conv3", ("conv1", "conv3", "fc", "e"), "conv"), ("conv1", ("conv1", "conv3"), "other"),
    ("fc2", ("fc1", "fc2", "e"), "fc"), ("e", ("fc1", "e"), "code"), ("D.conv1", (), "other"),
])
def test_places_of_layers(layer: str, names: tuple[str, ...], column: str) -> None:
  assert photos.place(layer, names) == column


def test_what_cannot_be_one_table_is_refused(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match="Nothing is judged in .*: begin with launch/photos"):
    photos.main(tmp_path)
  write(folder, "linear/bigan-2", lines("trained", "linear", {"e": 45.5}), train_images=100)
  with pytest.raises(ValueError, match="not judged alike, as train_images is 100 and 50000"):
    photos.main(folder)
  write(folder, "mlp/gans-0", lines("trained", "mlp", {"e": 45.5}))
  with pytest.raises(ValueError, match="has runs of gans, which the table has no row for"):
    photos.main(folder)

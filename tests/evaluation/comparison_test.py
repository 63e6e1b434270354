"""Tests of the table that puts trained beside untrained networks, and of its plot."""

import pathlib

import numpy as np
from PIL import Image

from bigan_jax.evaluation import comparison


def row(network: str, layer: str, linear: float, vote: float) -> comparison.Row:
  return {"network": network, "layer": layer, "dim": 64, "linear": linear, "200-NN vote": vote,
          "l2": 1e-5, "chance": 10.0}


ROWS = [
    row("trained", "conv3", 60.0, 50.0), row("trained", "e", 45.0, 40.0),
    row("random_0", "conv3", 50.0, 41.0), row("random_0", "e", 27.0, 25.0),
    row("random_7", "conv3", 53.0, 40.0), row("random_7", "e", 28.0, 26.0),
]


def test_untrained_networks_stand_beside_the_trained_one() -> None:
  assert comparison.compared(ROWS) == [
      {"layer": "conv3", "dim": 64, "linear": 60.0, "linear untrained": 51.5, "linear spread": 1.5,
       "200-NN vote": 50.0, "200-NN vote untrained": 40.5, "200-NN vote spread": 0.5,
       "chance": 10.0},
      {"layer": "e", "dim": 64, "linear": 45.0, "linear untrained": 27.5, "linear spread": 0.5,
       "200-NN vote": 40.0, "200-NN vote untrained": 25.5, "200-NN vote spread": 0.5,
       "chance": 10.0},
  ]
  assert comparison.with_spreads(comparison.compared(ROWS))[0] == {
      "layer": "conv3", "dim": "64", "linear %": "60.00", "linear untrained %": "51.50 ± 1.50",
      "200-NN vote %": "50.00", "200-NN vote untrained %": "40.50 ± 0.50", "chance %": "10.00",
  }


def test_one_untrained_network_has_no_spread() -> None:
  line, _ = comparison.compared(ROWS[:4])
  assert line["linear untrained"] == 50.0 and "linear spread" not in line
  assert comparison.with_spreads([line])[0]["linear untrained %"] == "50.00"
  assert comparison.compared(ROWS[:2]) == []


def test_rows_as_texts_and_the_best_of_them() -> None:
  assert comparison.shown(ROWS[0]) == {
      "network": "trained", "layer": "conv3", "dim": "64", "linear %": "60.00",
      "200-NN vote %": "50.00", "l2": "1e-05", "chance": "10",
  }
  assert comparison.best(ROWS, "random_7", "linear")["linear"] == 53.0


def test_the_plot_shows_both(tmp_path: pathlib.Path) -> None:
  comparison.draw(tmp_path / "both.png", ROWS)
  comparison.draw(tmp_path / "again.png", ROWS)
  comparison.draw(tmp_path / "one.png", ROWS[:2])
  both, one = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("both", "one"))
  assert both.shape == (400, 1100, 4) and np.any(both != one)
  assert (tmp_path / "both.png").read_bytes() == (tmp_path / "again.png").read_bytes()

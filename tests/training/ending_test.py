"""Tests of the last words of a run: they hold its numbers, and only those that it has."""

import pathlib

import ml_collections
import pytest

from bigan_jax.training import ending

START = {"step": 0, "NND": 3.29, "EGr": 3.4, "EGr_b": 3.4}
END = {"step": 9, "NND": 1.3, "EGr": 2.04, "EGr_b": 3.0}


@pytest.mark.parametrize("first, last, expected", [
    (START, END, "reconstruction 0.68 of chance (1: the input is lost), samples 1.30 from the "
                 "pictures (before training 3.29)"),
    ({"step": 0, "NND": 3.29}, {"step": 9, "NND": 1.3},
     "samples 1.30 from the pictures (before training 3.29)"),
    (START, START, "reconstruction 1.00 of chance (1: the input is lost), samples 3.29 from the "
                   "pictures"),
    ({"step": 5, "NND": 2.0}, {"step": 9, "NND": 1.3}, "samples 1.30 from the pictures"),
    (START, END | {"EGr": None}, "samples 1.30 from the pictures (before training 3.29)"),
    (START, {"step": 9, "NND": None}, "no number of the last evaluation is finite"),
])
def test_the_verdict(
    first: dict, last: dict, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  monkeypatch.chdir(tmp_path)
  path = tmp_path / "runs" / "digits"
  assert ending.verdict([first, {"step": 1}, last], path) == (
      f"runs/digits: {expected}; pictures in runs/digits/pictures.")


@pytest.mark.parametrize("stop_epoch, remedy", [
    (25, "at epoch 25 of 400. To go on, give a later --config.stop_epoch, up to 400"),
    (400, "its schedule ends at epoch 400. A longer one needs --config.epochs=N and a new --work"),
    (0, "its schedule ends at epoch 400. A longer one needs --config.epochs=N and a new --work"),
])
def test_how_to_go_on(stop_epoch: int, remedy: str) -> None:
  config = ml_collections.ConfigDict({"epochs": 400, "stop_epoch": stop_epoch})
  said = ending.over(config, pathlib.Path("/runs/digits"))
  assert said.startswith("/runs/digits is finished: ") and remedy in said

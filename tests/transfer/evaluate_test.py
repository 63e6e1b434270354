"""Tests of what the supervised loop reports; frozen_layers_test.py stops and resumes it."""

import jax.numpy as jnp
import pytest

from bigan_jax.training import console
from bigan_jax.transfer import evaluate
from bigan_jax.transfer.supervised_step import HeadState


def state(step: int) -> HeadState:
  sums = {"loss": jnp.float32(6), "accuracy": jnp.float32(90)}
  return HeadState(jnp.int32(step), {}, {}, {}, sums)


def test_training_measures_are_means() -> None:
  assert evaluate.training_measures(state(0), 3) == {}
  found = evaluate.training_measures(state(8), 3)
  assert found == {"train_loss": 2.0, "train_accuracy": 30.0}


def test_a_row_stands_under_its_names(capsys: pytest.CaptureFixture) -> None:
  row = {"step": 50, "epoch": 5, "rate": 0.001, "train_loss": 1.25, "centre_crop": 81.6}
  console.Table().print(evaluate.shown(row), 8)
  names, values = capsys.readouterr().out.splitlines()
  assert names.split() == ["epoch", "rate", "train_loss", "centre_crop↑"]
  assert values.split() == ["5", "0.001", "1.25", "81.6"]
  assert len(names) == len(values)

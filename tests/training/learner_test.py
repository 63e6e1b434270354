"""Tests of what a feature learner reports of itself."""

import pathlib
import types

import ml_collections
import numpy as np
import pytest

from bigan_jax.training import learner
from bigan_jax.training.state import TrainState, optimiser
from bigan_jax.training.timetable import Timetable


def test_gradient_norms_are_root_mean_squares() -> None:
  """Of a constant gradient, after any number of steps, its norm."""
  tx = optimiser(ml_collections.ConfigDict(
      {"b1": 0.5, "b2": 0.9, "weight_decay": 0.0, "decay_shifts": False}
  ))
  params = {"a": {"kernel": np.zeros((2, 2), np.float32)}, "b": {"kernel": np.zeros(1, np.float32)}}
  grads = {"a": {"kernel": np.full((2, 2), 2.0)}, "b": {"kernel": np.full(1, 3.0)}}
  opt_state = tx.init(params)
  assert learner.gradient_norms(TrainState(0, {"E": params}, {"E": opt_state}), 0.9) == {}
  for _ in range(3):
    params, opt_state = tx.update(grads, opt_state, params, 0.1)
  found = learner.gradient_norms(TrainState(3, {"E": params}, {"E": opt_state}), 0.9)
  assert found == {"grad_norm_E": pytest.approx(5.0, rel=1e-5)}


@pytest.mark.parametrize("step", [10, 13])
def test_a_run_at_its_end_or_beyond_is_said_to_be_finished(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
  """Beyond: it was stopped within epoch 3, which has no row, and is to stop at epoch 2 now."""
  config = ml_collections.ConfigDict({"epochs": 6, "stop_epoch": 2})
  run = types.SimpleNamespace(path=pathlib.Path("/runs/a"), has_row=lambda step: step == 10)
  when = Timetable(5, 6, 2, evaluate_every=1, save_every=1, dispatch=5)
  said = []
  monkeypatch.setattr(learner.loop, "fit", lambda job, _: said.append(job.greeting(step)))
  programs = types.SimpleNamespace(close=None)
  training = learner.Training(config, run, (), when, None, programs, None, None, None)
  learner.train(training, lambda: True)
  assert said[0].startswith("/runs/a is finished: it stops at epoch 2 of 6.")

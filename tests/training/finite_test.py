"""Tests of what is said where training meets NaN, and of the search for where it began."""

import jax
import numpy as np
import pytest

from bigan_jax.training import finite, learner, parallel
from bigan_jax.training.train_step import Metrics

ONES, LOSS = np.ones(5), np.array([1, 1, 1, np.nan, np.nan])
STATE = {"params": {"D": np.ones((1, 2))}}  # replicated


def test_the_first_step_and_array_that_is_not_finite_is_named() -> None:
  good = {"loss": {"D": ONES, "G": ONES}, "grad_norm": {"D": {"fc1": ONES}}}
  finite.check_metrics(good, 100)
  bad = jax.tree.map(np.copy, good)
  bad["loss"]["G"][3:] = np.nan
  bad["grad_norm"]["D"]["fc1"][2:] = np.inf
  with pytest.raises(FloatingPointError, match="NaN or infinity in grad_norm/D/fc1 at step 102;"):
    finite.check_metrics(bad, 100)
  bad["loss"]["G"][2:] = np.nan
  with pytest.raises(FloatingPointError, match="NaN or infinity in loss/G at step 102;"):
    finite.check_metrics(bad, 100)


def test_the_array_of_a_state_is_named() -> None:
  finite.check_state(STATE, 7)
  with pytest.raises(FloatingPointError, match="NaN or infinity in params/D at step 7;"):
    finite.check_state({"params": {"D": np.array([1, np.nan])}}, 7)


class Recorded:
  """Programs that give the metrics they were made with, and record how they are called."""

  def __init__(self, **metrics: Metrics) -> None:
    self.calls = []
    made = {name: self._program(name, found) for name, found in metrics.items()}
    self.programs = parallel.Programs(**{"watch": None, **made}, calibrate=None, close=None)

  def _program(self, name: str, metrics: Metrics) -> parallel.Train:
    def run(state: dict, step: int, n: int) -> tuple[str, Metrics]:
      self.calls.append((name, state is STATE, step, n))
      return "new", metrics
    return run


def test_steps_that_meet_nan_are_taken_again_to_see_which_gradient_was_the_first() -> None:
  watched = {"loss": {"D": LOSS}, "grad_norm": {"D": {"fc1": np.array([1, 1, np.inf, 1, 1])}}}
  recorded = Recorded(train={"loss": {"D": LOSS}}, watch=watched)
  with pytest.raises(FloatingPointError, match="NaN or infinity in grad_norm/D/fc1 at step 102;"):
    learner.advance(recorded.programs, STATE, 100, 5)
  assert recorded.calls == [("train", True, 100, 5), ("watch", True, 100, 5)]


def test_rounded_otherwise_the_same_steps_may_go_well() -> None:
  recorded = Recorded(train={"loss": {"D": LOSS}}, watch={"loss": {"D": ONES}})
  with pytest.raises(FloatingPointError, match="NaN or infinity in loss/D at step 103;"):
    learner.advance(recorded.programs, STATE, 100, 5)


def test_weights_that_were_nan_before_are_named() -> None:
  """Of a gradient in the last step of a dispatch nothing else is left."""
  recorded = Recorded(train={"loss": {"D": LOSS}})
  with pytest.raises(FloatingPointError, match="NaN or infinity in params/D at step 100;"):
    learner.advance(recorded.programs, {"params": {"D": np.full((1, 2), np.nan)}}, 100, 5)
  assert len(recorded.calls) == 1


def test_steps_that_go_well_are_taken_once() -> None:
  recorded = Recorded(train={"loss": {"D": ONES}})
  assert learner.advance(recorded.programs, STATE, 100, 5)[0] == "new"
  assert recorded.calls == [("train", True, 100, 5)]

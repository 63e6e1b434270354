"""Tests of the mapped programs: neither devices nor the cut into dispatches matter."""

import logging
import pathlib
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.data import batches
from bigan_jax.data.splits import Split
from bigan_jax.models.layers import AXIS
from bigan_jax.training import feeds, parallel
from bigan_jax.training.calibration import Calibration
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import TrainState, initial_state, optimiser, schedule
from bigan_jax.training.train_step import Setup
from configs import digits
from tests import other_devices

ROOT = pathlib.Path(__file__).parents[2]
SIZE = 101  # An odd number of images: batches run across the end of a pass.
FIRST_STEP = 5  # The third step from here on, 7 * 16 = 112 images later, is in the second pass.
STEPS = 3


class Case(NamedTuple):
  """Programs on random images, and what they start from."""

  programs: parallel.Programs
  state: TrainState
  blank: Calibration

  def train(self, *dispatches: int) -> tuple[TrainState, list[dict]]:
    """The state, as numpy arrays, and the metrics after dispatches of so many steps each."""
    state, step, metrics = parallel.replicate(self.state), FIRST_STEP, []
    for n in dispatches:
      state, found = self.programs.train(state, step, n)
      metrics.append(found)
      step += n
    return jax.device_get(parallel.unreplicate(state)), metrics

  def calibrate(self, *dispatches: int) -> tuple[Calibration, list[dict]]:
    """The same of calibration."""
    carry, first, metrics = parallel.replicate(self.blank), 0, []
    params, rate = parallel.replicate(self.state.params), jnp.float32(2e-4)
    for n in dispatches:
      carry, found = self.programs.calibrate(params, carry, rate, first, n)
      metrics.append(found)
      first += n
    return jax.device_get(parallel.unreplicate(carry)), metrics


def prepare(variant: str) -> Case:
  """A small case that begins where D no longer answers zero to everything."""
  config = digits.get_config(variant)
  config.batch_size, config.model.latent_dim = 16, 5
  for player in "GED":
    config.model[player].width = 16
  objective, tx = OBJECTIVES[config.objective], optimiser(config.optim)
  rs = np.random.RandomState(0)
  images = rs.randint(256, size=(SIZE, 8, 8, 1)).astype(np.uint8)
  labels = rs.randint(10, size=SIZE).astype(np.int32)
  networks = models.build(config.model)
  state, stats = initial_state(networks, config.model, objective, tx, jax.random.PRNGKey(1))
  blur = lambda p: p + jnp.asarray(rs.normal(0, 0.1, p.shape), jnp.float32)
  state = state._replace(step=jnp.int32(FIRST_STEP), params=jax.tree.map(blur, state.params))
  setup = Setup(
      models.build(config.model, AXIS), objective, tx, schedule(config.optim, 2, 4),
      config.model.latent_dim, config.alternating, AXIS,
  )
  feed = feeds.place(Split(images, labels, 10), config.batch_size, batches.assembler(config))
  classifier = {"kernel": jnp.zeros((16, 10))}
  programs = parallel.programs(setup, feed, jax.random.PRNGKey(2))
  return Case(programs, state, Calibration(stats, classifier, tx.init(classifier)))


def results(variant: str) -> dict[str, np.ndarray]:
  """Every array, by its path, after training and after calibration: state, carry, metrics."""
  case = prepare(variant)
  found = {"train": case.train(STEPS), "calibrate": case.calibrate(STEPS)}
  leaves = jax.tree_util.tree_leaves_with_path(found)
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def save(variant: str, path: str) -> None:
  """For a process of its own, with other devices."""
  np.savez(path, **results(variant))


@pytest.mark.parametrize("devices, variant", [
    (8, "bigan"), (2, "alad,recipe=official"),  # most shares, and fewest
])
def test_several_devices_give_the_result_of_one(
    devices: int, variant: str, forked_python: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  other_devices.call(forked_python, devices, __name__, "save", variant, tmp_path / "found.npz")
  assert jax.device_count() == 1
  expected = results(variant)
  with np.load(tmp_path / "found.npz") as found:
    assert set(found) == set(expected)
    kinds = ("params", "opt_state", "batch_stats", "classifier", "loss")
    assert all(any(kind in name for name in expected) for kind in kinds)
    for name, array in expected.items():
      np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.fixture(scope="module")
def case() -> Case:
  return prepare("bigan")


def test_training_moves_every_array(case: Case) -> None:
  """So that the comparisons in this file compare something."""
  state, _ = case.train(STEPS)
  assert state.step == FIRST_STEP + STEPS
  before = jax.tree_util.tree_leaves_with_path((case.state.params, case.state.opt_state))
  after = jax.tree.leaves((state.params, state.opt_state))
  for (path, old), new in zip(before, after, strict=True):
    assert not np.array_equal(old, new), jax.tree_util.keystr(path)


def test_each_program_is_compiled_once(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
  """The state that a dispatch returns must not look different from the one that it was given."""
  jax.clear_caches()
  case = prepare("bigan")
  compiled = []
  with jax.log_compiles(), caplog.at_level(logging.WARNING):
    for run in (case.train, case.calibrate):
      for dispatches in ((1,), (1, 1)):
        caplog.clear()
        run(*dispatches)
        compiled.append(sum("Compiling jit(_fun)" in r.message for r in caplog.records))
  assert compiled == [1, 0, 1, 0]


def test_the_same_steps_may_be_taken_again_and_watched(case: Case) -> None:
  state = parallel.replicate(case.state)
  new, metrics = case.programs.train(state, FIRST_STEP, STEPS)
  again, watched = case.programs.watch(state, FIRST_STEP, STEPS)
  assert set(metrics) == {"loss"} and set(watched) == {"loss", "grad_norm"}
  chex.assert_trees_all_close(again, new, rtol=1e-5, atol=1e-6)
  chex.assert_trees_all_close(watched["loss"], metrics["loss"], rtol=1e-5)
  norms = jax.tree.leaves(watched["grad_norm"])
  assert len(norms) == len(jax.tree.leaves(case.state.params))
  assert all(norm.shape == (STEPS,) and np.isfinite(norm).all() for norm in norms)


def test_calibration_counts_its_steps(case: Case) -> None:
  carry, metrics = case.calibrate(STEPS)
  counts = [sums["count"] for stats in carry.batch_stats.values() for sums in stats.values()]
  assert counts == [STEPS] * 3  # A normalised layer each in G, E and D.
  assert np.abs(carry.classifier["kernel"]).max() > 0
  assert set(metrics[0]["loss"]) == {"D", "G", "E"} and set(metrics[0]["accuracy"]) == {
      "real", "fake"
  }

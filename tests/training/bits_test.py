"""Programs that differ agree in every bit, as users compile them (conftest.AS_USED)."""

from collections.abc import Callable, Iterator
import multiprocessing
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.models.layers import AXIS
from bigan_jax.training import feeds, parallel
from bigan_jax.training.calibration import Calibration
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import initial_state, optimiser, schedule
from bigan_jax.training.train_step import Setup
from bigan_jax.transfer import jobs
from tests.training import feeds_test, loop_test

FIRST, STEPS = 1, 4  # The second batch runs across the end of a pass.
folder = feeds_test.folder


@pytest.fixture(scope="module")
def both(folder: pathlib.Path) -> feeds_test.Both:
  """Of pictures that are cut out at random; those of one size are the run's below."""
  return feeds_test.load(feeds_test.make_config("unequal", folder))


def outcome(both: feeds_test.Both, feed: feeds.Feed, trained: tuple[int, ...],
            calibrated: tuple[int, ...]) -> dict:
  """All that training and calibration leave behind, cut into dispatches of so many steps."""
  config = both.config
  objective, tx = OBJECTIVES[config.objective], optimiser(config.optim)
  networks = models.build(config.model)
  state, stats = initial_state(networks, config.model, objective, tx, jax.random.PRNGKey(1))
  setup = Setup(
      models.build(config.model, AXIS), objective, tx, schedule(config.optim, 2, 4),
      config.model.latent_dim, config.alternating, AXIS,
  )
  programs = parallel.programs(setup, feed, jax.random.PRNGKey(2))
  state = parallel.replicate(state._replace(step=jnp.int32(FIRST)))
  classifier = {"kernel": jnp.zeros((16, both.split.num_classes))}
  carry = parallel.replicate(Calibration(stats, classifier, tx.init(classifier)))
  losses, rate = [], jnp.float32(2e-4)
  for first, n in starts(FIRST, trained):
    state, metrics = programs.train(state, first, n)
    losses.append(metrics)
  params = parallel.replicate(parallel.unreplicate(state).params)
  for first, n in starts(0, calibrated):
    carry, _ = programs.calibrate(params, carry, rate, first, n)
  programs.close()
  found = jax.device_get(parallel.unreplicate({"state": state, "carry": carry}))
  return {**found, "losses": jax.tree.map(lambda *parts: np.concatenate(parts), *losses)}


def starts(first: int, dispatches: tuple[int, ...]) -> Iterator[tuple[int, int]]:
  """(first step, steps) of each."""
  return zip(np.cumsum((first, *dispatches)).tolist(), dispatches)


def test_neither_streams_nor_the_cut_into_dispatches_change_a_bit(both: feeds_test.Both) -> None:
  expected = outcome(both, both.place("resident"), (STEPS,), (2,))
  found = outcome(both, both.place("2 workers"), (STEPS - 1, 1), (1, 1))
  chex.assert_trees_all_equal(found, expected)
  assert not multiprocessing.active_children()


def test_a_streamed_run_is_the_resident_one(tiny: Callable, tmp_path: pathlib.Path) -> None:
  """From its first evaluation to its last."""
  config = tiny()
  config.update_from_flattened_dict({**loop_test.LONG, "epochs": 2})
  for name, resident_gb in (("resident", 1), ("streamed", 1e-9)):
    config.data.resident_gb = resident_gb
    jobs.train(config, str(tmp_path / name))
  loop_test.assert_same(*(
      loop_test.read(tmp_path / name, config) for name in ("resident", "streamed")
  ))

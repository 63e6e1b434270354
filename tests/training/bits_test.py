"""Programs that differ agree in every bit, as users compile them (conftest.AS_USED)."""

from collections.abc import Callable
import multiprocessing
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax import models
from bigan_jax.models.layers import AXIS
from bigan_jax.training import feeds, parallel
from bigan_jax.training.calibration import Calibration
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import initial_state, optimiser, schedule
from bigan_jax.training.train_step import Setup
from bigan_jax.transfer import jobs
from tests.training import feeds_test, loop_test, parallel_test

STEPS = 4  # from step 1 on; the second batch runs across the end of a pass
folder, both = feeds_test.folder, feeds_test.both


def test_the_cut_into_dispatches_changes_no_bit() -> None:
  """Nor where they are unequal, which the streamed training below has."""
  case = parallel_test.prepare("bigan")
  state, metrics = case.train(parallel_test.STEPS)
  cut_state, cut_metrics = case.train(1, 1, 1)
  chex.assert_trees_all_equal(cut_state, state)
  joined = jax.tree.map(lambda *parts: np.concatenate(parts), *cut_metrics)
  chex.assert_trees_all_equal(joined, metrics[0])
  chex.assert_trees_all_equal(case.calibrate(1, 1, 1)[0], case.calibrate(parallel_test.STEPS)[0])


def outcome(both: feeds_test.Both, feed: feeds.Feed, dispatches: tuple[int, ...]) -> dict:
  """All that training and calibration leave behind, from step 1 on."""
  config = both.config
  objective, tx = OBJECTIVES[config.objective], optimiser(config.optim)
  networks = models.build(config.model)
  state, stats = initial_state(networks, config.model, objective, tx, jax.random.PRNGKey(1))
  setup = Setup(
      models.build(config.model, AXIS), objective, tx, schedule(config.optim, 2, 4),
      config.model.latent_dim, config.alternating, AXIS,
  )
  programs = parallel.programs(setup, feed, jax.random.PRNGKey(2))
  state = parallel.replicate(state._replace(step=jnp.int32(1)))
  classifier = {"kernel": jnp.zeros((16, both.split.num_classes))}
  carry = parallel.replicate(Calibration(stats, classifier, tx.init(classifier)))
  losses = []
  for first, n in zip(np.cumsum((1, *dispatches)).tolist(), dispatches):
    state, metrics = programs.train(state, first, n)
    losses.append(metrics["loss"]["D"])
  rate = jnp.float32(2e-4)
  carry, averages = programs.calibrate(parallel.replicate(
      parallel.unreplicate(state).params), carry, rate, 0, 2)
  programs.close()
  found = {"state": state, "carry": carry, "averages": averages}
  return jax.device_get(parallel.unreplicate({**found, "averages": {}})) | {
      "averages": averages, "losses": np.concatenate(losses)
  }


def test_streamed_training_is_the_resident_one_bit_for_bit(both: feeds_test.Both) -> None:
  expected = outcome(both, both.place("resident"), (STEPS,))
  kind, dispatches = ("0 workers", (3, 1)) if both.stored.shape else ("2 workers", (STEPS,))
  chex.assert_trees_all_equal(outcome(both, both.place(kind), dispatches), expected)
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

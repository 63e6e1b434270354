"""Tests of a modern training step: averages, rates, spectral vectors and views in the state."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.data.batch import Batch
from bigan_jax.models import spectral
from bigan_jax.training import augment, learner, modern, train_step
from bigan_jax.training.state import TrainState, initial_state, optimiser
from bigan_jax.training.train_step import Setup
from configs import cifar10

KEY = jax.random.PRNGKey(0)
X = jax.random.uniform(jax.random.PRNGKey(1), (4, 8, 8, 3), minval=-1)


def config(**changes: Any) -> Any:
  """recipe=modern at a size that compiles in seconds."""
  found = cifar10.get_config("bigan,recipe=modern")
  found.update_from_flattened_dict({
      "model.image_shape": (8, 8, 3), "model.encoder_shape": (8, 8, 3), "model.latent_dim": 3,
      "model.G.width": 2, "model.E.width": 2, "model.D.width": 2, "model.E.hidden": 4,
      "model.D.hidden": 4, **changes,
  })
  return found


def start(**changes: Any) -> tuple[Setup, TrainState]:
  """A setup and its state, D's output layers moved away from zero."""
  given = config(**changes)
  tx, objective = optimiser(given.optim), modern.objective(given)
  networks = models.build(given.model)
  state, _ = initial_state(networks, given.model, objective, tx, KEY, bool(given.average))
  blur = lambda w: w + 0.1 * np.random.RandomState(0).standard_normal(w.shape).astype(np.float32)
  state = state._replace(params={**state.params, "D": jax.tree.map(blur, state.params["D"])})
  setup = Setup(networks, objective, tx, lambda step: jnp.float32(0.01), given.model.latent_dim,
                factors=(("E", given.optim.E_rate_factor),), decay=given.average,
                views=learner.views(given))
  return setup, state


@functools.cache
def stepped(factor: float = 1.0, views: bool = True) -> tuple[TrainState, TrainState]:
  """(before, after) one step on an unchanging batch."""
  setup, state = start(**{"optim.E_rate_factor": factor, "views": views})
  step = jax.jit(functools.partial(train_step.train_step, setup))
  return state, step(state, Batch(X, X), KEY)[0]


def moves(states: tuple[TrainState, TrainState], player: str) -> np.ndarray:
  before, after = (jax.tree.leaves(state.params[player]) for state in states)
  return np.concatenate([np.ravel(new - old) for old, new in zip(before, after, strict=True)])


def test_only_e_has_another_rate() -> None:
  one, four = stepped(), stepped(4.0)
  np.testing.assert_allclose(moves(four, "E"), 4 * moves(one, "E"), rtol=1e-3, atol=1e-6)
  for player in "GD":
    np.testing.assert_array_equal(moves(four, player), moves(one, player))


def test_means_follow_what_is_trained() -> None:
  before, after = stepped()
  assert set(after.average) == {"E", "G"}
  for old, new, mean in zip(*map(jax.tree.leaves, (
      before.average["E"], after.params["E"], after.average["E"]
  )), strict=True):
    np.testing.assert_allclose(mean, 0.1 * old + 0.9 * new, rtol=1e-5, atol=1e-7)
  late = train_step.mean_of({"E": 1.0}, {"E": 2.0}, jnp.int32(10**6), 0.999)
  assert float(late["E"]) == pytest.approx(1.001)


def test_vectors_go_on_by_one_power_step() -> None:
  before, after = stepped()
  expected = spectral.advance(before.params["D"], before.vectors["D"])
  for name, layer in expected.items():
    np.testing.assert_allclose(after.vectors["D"][name]["u"], layer["u"], rtol=1e-5, atol=1e-6)


def test_what_is_judged_is_the_mean_and_d_as_it_is_applied() -> None:
  _, state = stepped()
  judged = state.judged()
  assert judged["E"] is state.average["E"] and judged["G"] is state.average["G"]
  network = models.build(config().model).D
  z = jnp.zeros((4, 3))
  tested, _ = network.apply({"params": judged["D"]}, X, z)
  trained, _ = network.apply(
      {"params": state.params["D"], spectral.COLLECTION: state.vectors["D"]}, X, z, train=True
  )
  np.testing.assert_allclose(tested, trained, rtol=1e-4, atol=1e-5)


def test_e_and_d_see_views_of_their_own() -> None:
  views, alone = stepped(), stepped(views=False)
  assert not np.allclose(moves(views, "E"), moves(alone, "E"), atol=1e-4)
  draws = augment.draw(KEY, 4, None)
  assert draws.shape == (4, 3, augment.DRAWS)
  assert len({float(draw) for draw in draws[:, :, 0].ravel()}) == 12


def test_the_paper_s_state_has_neither_vectors_nor_means() -> None:
  given = cifar10.get_config("bigan")
  objective, tx = modern.objective(given), optimiser(given.optim)
  networks = models.build(given.model)
  state, _ = jax.eval_shape(lambda: initial_state(networks, given.model, objective, tx, KEY))
  assert (state.vectors, state.average) == ({}, {}) and learner.views(given) is None

"""Tests of a modern training step: averages, rates, singular vectors, views, and what is drawn."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.data.batch import Batch
from bigan_jax.models import spectral
from bigan_jax.training import augment, learner, train_step
from bigan_jax.training.calibration import Calibration, calibration_step
from bigan_jax.training.state import TrainState, initial_state
from bigan_jax.training.train_step import Run, Setup
from configs import cifar10
from tests import modern_parts

KEY = jax.random.PRNGKey(0)
X = jax.random.uniform(jax.random.PRNGKey(1), (4, 8, 8, 3), minval=-1)
Z = jax.random.uniform(jax.random.PRNGKey(2), (4, 3), minval=-1)


def config(argument: str = "bigan", **changes: Any) -> ml_collections.ConfigDict:
  """At a size that compiles in seconds."""
  found = modern_parts.take(cifar10.get_config(argument))
  found.update_from_flattened_dict({
      "model.image_shape": (8, 8, 3), "model.encoder_shape": (8, 8, 3), "model.latent_dim": 3,
      "model.G.width": 2, "model.E.width": 2, "model.D.width": 2, "model.E.hidden": 4,
      "model.D.hidden": 4, **changes,
  })
  return found


def start(given: ml_collections.ConfigDict) -> tuple[Setup, TrainState, dict]:
  """A setup, its state, D's output layers moved away from zero, and batch statistics."""
  networks = models.build(given.model)
  setup = learner.setup_of(given, 1)._replace(
      networks=networks, axis_name=None, rate=lambda step: jnp.float32(0.01)
  )
  state, stats = initial_state(
      networks, given.model, setup.objective, setup.tx, KEY, bool(given.average)
  )
  blur = lambda w: w + 0.1 * np.random.RandomState(0).standard_normal(w.shape).astype(np.float32)
  state = state._replace(params={**state.params, "D": jax.tree.map(blur, state.params["D"])})
  return setup, state, stats


@functools.cache
def stepped(
    argument: str = "bigan", **changes: Any
) -> tuple[TrainState, TrainState, dict]:
  """(before, after, metrics) of one step on an unchanging batch."""
  setup, state, _ = start(config(argument, **dict(changes)))
  step = jax.jit(functools.partial(train_step.train_step, setup))
  return state, *step(state, Batch(X, X), KEY)


def moves(found: tuple[TrainState, TrainState, dict], player: str) -> np.ndarray:
  before, after = (jax.tree.leaves(state.params[player]) for state in found[:2])
  return np.concatenate([np.ravel(new - old) for old, new in zip(before, after, strict=True)])


def test_only_e_has_another_rate() -> None:
  four, one = stepped(), stepped(**{"optim.E_rate_factor": 1.0})
  np.testing.assert_allclose(moves(four, "E"), 4 * moves(one, "E"), rtol=1e-3, atol=1e-6)
  for player in "GD":
    np.testing.assert_array_equal(moves(four, player), moves(one, player))


def test_means_follow_what_is_trained() -> None:
  before, after, _ = stepped()
  assert set(after.average) == {"E", "G"}
  for old, new, mean in zip(*map(jax.tree.leaves, (
      before.average["E"], after.params["E"], after.average["E"]
  )), strict=True):
    np.testing.assert_allclose(mean, 0.1 * old + 0.9 * new, rtol=1e-5, atol=1e-7)
  late = train_step.mean_of({"E": 1.0}, {"E": 2.0}, jnp.int32(10**6), 0.999)
  assert float(late["E"]) == pytest.approx(1.001)


def test_vectors_go_on_by_one_power_step() -> None:
  before, after, _ = stepped()
  expected = spectral.advance(before.params["D"], before.vectors["D"])
  chex.assert_trees_all_close(after.vectors["D"], expected, rtol=1e-5, atol=1e-6)


def test_what_is_judged_is_the_mean_and_d_as_it_is_applied() -> None:
  _, state, _ = stepped()
  judged, networks = state.judged(), models.build(config().model)
  assert judged["E"] is state.average["E"] and judged["G"] is state.average["G"]
  tested, _ = networks.D.apply({"params": judged["D"]}, X, Z)
  trained = Run(networks, state.params, vectors=state.vectors)("D", X, Z)
  np.testing.assert_allclose(tested, trained, rtol=1e-4, atol=1e-5)
  plain, _ = networks.D.apply({"params": state.params["D"]}, X, Z)
  assert not np.allclose(tested, plain, rtol=0.1)


def test_e_and_d_see_views_of_their_own() -> None:
  views, alone = stepped(), stepped(views=False)
  assert not np.allclose(moves(views, "E"), moves(alone, "E"), atol=1e-4)
  draws = augment.draw(KEY, 4)
  assert draws.shape == (4, 3, augment.DRAWS)
  assert len({float(draw) for draw in draws[:, :, 0].ravel()}) == 12


def test_a_stochastic_code_is_drawn_in_training() -> None:
  """Around its mean, by the spread; its mean where there is no noise, so in calibration too."""
  setup, state, _ = start(config(**{"model.E.stochastic": True}))
  run, batch = train_step.shown(setup, state, Batch(X, X), KEY)
  logits, activations = run.apply("E", (batch.x_encoder,))
  drawn = logits + activations["spread"] * run.noise
  np.testing.assert_allclose(run.encode(batch.x_encoder), np.tanh(drawn / 2), rtol=1e-5)
  still = run._replace(noise=None).encode(batch.x_encoder)
  np.testing.assert_allclose(still, np.tanh(logits / 2), rtol=1e-5)
  assert run.noise.shape == (4, 3) and len(set(np.ravel(run.noise).tolist())) == 12
  found = stepped(**{"model.E.stochastic": True})
  before, after = (state.params["E"]["out_spread"]["kernel"] for state in found[:2])
  assert np.abs(after - before).min() > 0


def test_e_is_asked_how_pictures_were_turned() -> None:
  """Its loss grows by the weighted cross-entropy; nobody else's does."""
  asked, alone = stepped(**{"model.E.rotation": 2.0}), stepped()
  more = asked[2]["loss"]["E"] - alone[2]["loss"]["E"]
  np.testing.assert_allclose(more, 2 * np.log(4), rtol=0.2)  # It does not know yet.
  fc = [state.params["E"]["fc"]["kernel"] for state in (asked[1], alone[1])]
  assert np.abs(fc[0] - fc[1]).max() > 1e-3
  for player in "GD":
    np.testing.assert_allclose(moves(asked, player), moves(alone, player), atol=1e-6)


def test_turns_are_those_of_the_whole_batch() -> None:
  """Device 1 of two goes on where device 0 ends."""
  setup, state, _ = start(config(**{"model.E.rotation": 1.0}))
  turns = jax.vmap(
      lambda x: train_step.shown(setup._replace(axis_name="i"), state, Batch(x, x), KEY)[0].turns,
      axis_name="i",
  )(X[:, :, :].reshape(2, 2, 8, 8, 3))
  assert turns.tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("objective", ["bigan", "latent_regressor"])
def test_normal_latents_are_not_squashed(objective: str) -> None:
  setup, state, _ = start(config(objective, **{"model.latents": "normal"}))
  run, _ = train_step.shown(setup, state, Batch(X, X), KEY)
  logits, activations = run.apply("E", (X,))
  np.testing.assert_array_equal(run.encode(X), logits)
  np.testing.assert_allclose(run.regress(X, Z), np.mean((logits - Z) ** 2) / 2, rtol=1e-5)
  z = train_step.draw_latents(setup, KEY, 4000)
  assert 2.5 < np.abs(z).max() and np.std(z) == pytest.approx(1, abs=0.05)
  assert np.mean(z) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("argument", [
    "gan", "latent_regressor", "joint_latent_regressor",
])
def test_baselines_take_a_modern_step(argument: str) -> None:
  before, after, metrics = stepped(argument)
  assert set(after.average) == set(before.params) - {"D"}
  for player, loss in metrics["loss"].items():
    assert np.isfinite(loss) and np.abs(moves((before, after, {}), player)).max() > 0


def test_calibration_is_of_what_is_judged() -> None:
  """Statistics of the averaged E; scores in parts are counted as pairs are."""
  setup, state, stats = start(config())
  state = state._replace(average=jax.tree.map(lambda a: a + 0.1, state.average))
  step = jax.jit(functools.partial(calibration_step, setup))
  carry, metrics = step(
      state.judged(), 0.01, Calibration(stats, {}, {}), Batch(X, X), jnp.zeros(4, jnp.int32), KEY
  )
  _, seen = setup.networks.E.apply(
      {"params": state.average["E"], "batch_stats": stats["E"]}, X, train=True,
      mutable=["batch_stats"],
  )
  chex.assert_trees_all_close(carry.batch_stats["E"], seen["batch_stats"], rtol=1e-4, atol=1e-5)
  assert carry.batch_stats["D"] == {} and set(metrics["loss"]) == {"D", "G", "E"}
  assert all(0 <= share <= 1 and share * 12 % 1 < 1e-5 for share in metrics["accuracy"].values())


def test_the_paper_s_state_has_neither_vectors_nor_means() -> None:
  given = cifar10.get_config("bigan")
  setup = learner.setup_of(given, 1)
  state, _ = jax.eval_shape(lambda: initial_state(
      models.build(given.model), given.model, setup.objective, setup.tx, KEY
  ))
  assert (state.vectors, state.average) == ({}, {}) and setup.views is None
  assert state.judged() == state.params

"""Tests of the training step: who learns from what, when; and of the calibration step."""

from collections.abc import Callable, Sequence
import functools
import re

import chex
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.data.batch import Batch
from bigan_jax.training import calibration, train_step
from bigan_jax.training.calibration import Calibration
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import Optimiser, Schedule, TrainState, initial_state
from bigan_jax.training.train_step import Run, Setup

MODEL = ml_collections.ConfigDict({
    "family": "mlp", "latent_dim": 3, "image_shape": (4, 4, 1), "encoder_shape": (4, 4, 1),
    "value_range": (0.0, 1.0), "G": {"width": 8}, "E": {"width": 8}, "D": {"width": 8},
})
TX = Optimiser(b1=0.5, b2=0.999, weight_decay=2.5e-5, decay_shifts=False)
# Rates so large that it shows where a player sees another's new parameters.
RATE = Schedule(1.0, 0.01, steps_per_epoch=100, constant_epochs=1, decay_epochs=1)
KEY = jax.random.key(0)


def batch(seed: int = 0) -> Batch:
  x = jax.random.uniform(jax.random.key(seed), (6, 4, 4, 1))
  return Batch(x, x)


def latents(seed: int = 0) -> jax.Array:
  return jax.random.uniform(jax.random.key(seed), (6, 3), minval=-1)


@functools.cache
def begin(objective: str, **options: int) -> tuple[Setup, TrainState, dict]:
  """A setup, its initial state and its zeroed batch statistics."""
  setup = Setup(models.build(MODEL), OBJECTIVES[objective], TX, RATE, latent_dim=3, **options)
  init = functools.partial(initial_state, setup.networks, MODEL, setup.objective, TX)
  return setup, *jax.jit(init)(KEY)


def away_from_zero(params: dict) -> dict:
  """Parameters at which every layer has a say, D's output layers included."""
  leaves, tree = jax.tree.flatten(params)
  rs = np.random.RandomState(1)
  return tree.unflatten([np.float32(0.3 * rs.standard_normal(w.shape)) for w in leaves])


def moved(new: dict, old: dict) -> set[str]:
  """The players with any parameter changed."""
  return {p for p in old if not all(
      np.array_equal(a, b) for a, b in zip(jax.tree.leaves(new[p]), jax.tree.leaves(old[p])))}


def assert_trees_close(found: chex.ArrayTree, expected: chex.ArrayTree) -> None:
  chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-6)


@functools.cache
def gradients_of(objective: str) -> Callable[..., tuple[tuple[dict, dict], dict]]:
  """(params, batch, z) -> train_step's own (losses, gradients), and {loss: {player: gradient}}."""
  setup = begin(objective)[0]
  def both(params: dict, batch: Batch, z: jax.Array) -> tuple[tuple[dict, dict], dict]:
    losses = lambda params: setup.objective.losses(Run(setup.networks, params), batch, z)
    run = Run(setup.networks, params)
    return train_step.gradients(setup, run, batch, z), jax.jacrev(losses)(params)
  return jax.jit(both)


@functools.cache
def step_of(objective: str, **options: int) -> Callable[..., tuple[TrainState, dict]]:
  """(state, batch) -> train_step's result; fails where it is traced a second time."""
  setup = begin(objective, **options)[0]
  def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict]:
    return train_step.train_step(setup, state, batch, KEY)
  return jax.jit(chex.assert_max_traces(step, n=1))


@pytest.mark.parametrize("name", ["bigan", "gan", "latent_regressor"])
def test_losses_start_at_ln_2(name: str) -> None:
  """D is zero, so certain of nothing (reference section 0)."""
  (losses, _), _ = gradients_of(name)(begin(name)[1].params, batch(), latents())
  players = [p for p in losses if p != "E" or name == "bigan"]  # a regressor's E answers to z alone
  for player in players:
    np.testing.assert_allclose(losses[player], np.log(2), rtol=1e-6, err_msg=player)


def test_at_first_only_the_output_of_d_learns() -> None:
  (_, grads), _ = gradients_of("bigan")(begin("bigan")[1].params, batch(), latents())
  learning = {
      f"{player}/{layer}" for player, layers in grads.items() for layer in layers
      if np.any(layers[layer]["kernel"])
  }
  assert learning == {"D/out", "D/out_z"}


# {loss: the networks in whose parameters it has a gradient}; each player follows its own alone.
REACH = {
    "bigan": {"D": "GED", "G": "GED", "E": "GED"},
    "gan": {"D": "GD", "G": "GD"},
    "latent_regressor": {"D": "GD", "G": "GD", "E": "GE"},
    "joint_latent_regressor": {"D": "GD", "G": "GED", "E": "GED"},
    "autoencoder_l2": {"G": "GE", "E": "GE"},  # l1: the same but for the norm
    "alad": {
        **{player: ("G", "E", player) for player in ("D", "D_xx", "D_zz")},
        "G": ("G", "E", "D", "D_xx", "D_zz"), "E": ("G", "E", "D", "D_xx", "D_zz"),
    },
}


@pytest.mark.parametrize("name", REACH)
def test_who_learns_from_what(name: str) -> None:
  params = away_from_zero(begin(name)[1].params)
  (_, own), every = gradients_of(name)(params, batch(), latents())
  reach = {
      loss: {p for p in by_player if any(np.any(g) for g in jax.tree.leaves(by_player[p]))}
      for loss, by_player in every.items()
  }
  assert reach == {loss: set(players) for loss, players in REACH[name].items()}
  assert_trees_close(own, {p: every[p][p] for p in own})


def test_regression_shapes_the_generator_only_jointly() -> None:
  params = away_from_zero(begin("latent_regressor")[1].params)
  gan, apart, joint = (
      gradients_of(name)({p: params[p] for p in players}, batch(), latents())[0][1]
      for name, players in (
          ("gan", "GD"), ("latent_regressor", "GED"), ("joint_latent_regressor", "GED"))
  )
  assert_trees_close(apart["G"], gan["G"])
  assert_trees_close(joint["E"], jax.tree.map(lambda g: g / 4, apart["E"]))
  assert np.abs(joint["G"]["fc1"]["kernel"] - apart["G"]["fc1"]["kernel"]).max() > 1e-3


def test_updates_are_simultaneous() -> None:
  """Every player's new parameters follow from the old ones of all."""
  setup, state, _ = begin("bigan")
  state = state._replace(params=away_from_zero(state.params), step=jnp.int32(150))
  new, metrics = step_of("bigan", norms=True)(state, batch())
  z = train_step.draw_latents(setup, jax.random.fold_in(KEY, 150), 6)
  (losses, grads), _ = gradients_of("bigan")(state.params, batch(), z)
  expected = jax.jit(lambda state, grads: {
      p: TX.update(grads[p], state.opt_state[p], state.params[p], 0.01) for p in grads
  })(state, grads)
  for player in "GED":
    assert_trees_close((new.params[player], new.opt_state[player]), expected[player])
    np.testing.assert_allclose(metrics["loss"][player], losses[player], rtol=1e-5)
  np.testing.assert_allclose(metrics["grad_norm"]["D"]["fc1"]["kernel"],
                             np.linalg.norm(grads["D"]["fc1"]["kernel"]), rtol=1e-4)
  assert new.step == 151


def test_fresh_latents_at_every_step_and_the_same_at_the_same_step() -> None:
  state = begin("bigan")[1]
  state = state._replace(params=away_from_zero(state.params))
  ends = [step_of("bigan")(state._replace(step=jnp.int32(t)), batch()) for t in (0, 1, 2, 1)]
  losses = [float(metrics["loss"]["D"]) for _, metrics in ends]
  assert len(set(losses)) == 3
  chex.assert_trees_all_equal(ends[1], ends[3])


def test_alternating_updates() -> None:
  state, step, turns = begin("bigan")[1], step_of("bigan", discriminator_steps=2), []
  for _ in range(6):
    new, _ = step(state, batch())
    turns.append("".join(sorted(moved(new.params, state.params))))
    assert moved(new.opt_state, state.opt_state) == set(turns[-1])
    state = new
  assert turns == ["D", "D", "EG", "D", "D", "EG"]


def test_two_batches_judged_at_once_as_if_apart() -> None:
  setup, state, _ = begin("bigan")
  run = Run(setup.networks, away_from_zero(state.params))
  pairs = (batch(1).x, latents(1)), (3 * batch(2).x, latents(2))
  for together, pair in zip(run.judge(*pairs), pairs, strict=True):
    np.testing.assert_allclose(together, run("D", *pair), rtol=1e-4, atol=1e-6)


@functools.cache
def calibration_of(objective: str) -> Callable[..., tuple[Calibration, dict]]:
  """(params, carry, batch, labels, key) -> calibration_step's result."""
  return jax.jit(lambda params, *args: calibration.calibration_step(
      begin(objective)[0], params, 1e-3, *args))


def calibrated(objective: str, images: Batch, key: jax.Array, times: int = 1) -> dict:
  """Batch statistics after `times` passes over the same images and latents."""
  _, state, stats = begin(objective)
  params, carry = away_from_zero(state.params), Calibration(stats, {}, {})
  for _ in range(times):
    carry, _ = calibration_of(objective)(params, carry, images, jnp.zeros(6, jnp.int32), key)
  assert carry.classifier == {} and carry.opt_state == {}
  return carry.batch_stats


@pytest.mark.parametrize("name, by_images, by_latents", [
    ("bigan", "ED", "G"), ("gan", "D", "G"), ("latent_regressor", "ED", "G"),
    ("autoencoder_l2", "GE", ""), ("alad", ("E", "D", "D_xx"), ("G", "D_zz"))])
def test_what_each_network_is_calibrated_on(
    name: str, by_images: Sequence[str], by_latents: Sequence[str]
) -> None:
  """E and D on real images alone, G on z; where G is only shown codes, on these (reference 6)."""
  stats = calibrated(name, batch(0), KEY)
  assert moved(calibrated(name, batch(1), KEY), stats) == set(by_images)
  assert moved(calibrated(name, batch(0), jax.random.key(1)), stats) == set(by_latents)


def test_calibration_accumulates() -> None:
  once, thrice = (calibrated("bigan", batch(), KEY, times) for times in (1, 3))
  assert once["G"]["fc2_bn"]["count"] == 1
  assert_trees_close(thrice, jax.tree.map(lambda a: 3 * a, once))
  setup, state, _ = begin("bigan")
  E = away_from_zero(state.params)["E"]
  _, hidden = setup.networks.E.apply({"params": E}, batch().x, train=True)
  before_norm = np.asarray(hidden["fc1"] @ E["fc2"]["kernel"])
  np.testing.assert_allclose(once["E"]["fc2_bn"]["mean"], before_norm.mean(axis=0), rtol=1e-5)
  np.testing.assert_allclose(once["E"]["fc2_bn"]["var"], before_norm.var(axis=0, ddof=1), rtol=1e-5)


def test_classifier_of_calibration() -> None:
  """From zero, Adam's first step moves each weight by the rate, against its gradient."""
  setup, state, stats = begin("bigan")
  params = away_from_zero(state.params)
  classifier = {"kernel": jnp.zeros((8, 2))}
  labels = jnp.array([0, 1, 0, 1, 1, 1])
  carry = Calibration(stats, classifier, TX.init(classifier))
  carry, _ = calibration_of("bigan")(params, carry, batch(), labels, KEY)
  _, hidden = setup.networks.E.apply({"params": params["E"]}, batch().x, train=True)
  gradient = hidden["fc2"].T @ (0.5 - jax.nn.one_hot(labels, 2)) / 6
  np.testing.assert_allclose(carry.classifier["kernel"], -1e-3 * jnp.sign(gradient), rtol=1e-3)


def test_metrics_of_calibration() -> None:
  _, state, stats = begin("bigan")
  _, undecided = calibration_of("bigan")(
      state.params, Calibration(stats, {}, {}), batch(), jnp.zeros(6, jnp.int32), KEY
  )
  assert undecided["accuracy"] == {"real": 0.5, "fake": 0.5}
  np.testing.assert_allclose(list(undecided["loss"].values()), np.log(2), rtol=1e-6)
  real, fake = jnp.array([1.0, -1.0, 2.0, 3.0]), jnp.array([-5.0, 0.0, 2.0, 1.0])
  assert calibration.accuracies(real, fake) == {"real": 0.75, "fake": 0.375}


@pytest.mark.parametrize("objective", sorted({*OBJECTIVES} - {"alad"}))  # Its networks are BiGAN's.
def test_bfloat16_is_near_float32_and_what_must_stay_wide_does(objective: str) -> None:
  setup, state, _ = begin(objective)
  params = away_from_zero(state.params)
  step = jax.jit(lambda precision: train_step.train_step(
      setup._replace(precision=precision), state._replace(params=params), batch(), KEY
  ), static_argnums=0)
  exact, near = step("float32"), step("bfloat16")
  assert {str(leaf.dtype) for leaf in jax.tree.leaves(near)} == {"float32", "int32"}
  for player, loss in exact[1]["loss"].items():
    difference = abs(near[1]["loss"][player] - loss) / abs(loss)
    assert 0 < difference < 0.05


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_products_are_traced_at_the_chosen_precision(precision: str) -> None:
  setup, state, blank = begin("bigan")
  setup = setup._replace(precision=precision)
  text = str(jax.make_jaxpr(functools.partial(train_step.train_step, setup))(state, batch(), KEY))
  found = set(re.findall(r"precision=\(?(?:Precision\.|DotAlgorithmPreset\.)?(\w+)", text))
  assert found == {{"float32": "HIGHEST", "tf32": "HIGH", "bfloat16": "DEFAULT"}[precision]}

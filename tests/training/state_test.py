"""Tests of the schedule, the optimiser (against a plain Adam and optax's) and the first state."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from bigan_jax import models
from bigan_jax.training import state as states
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import Optimiser, Schedule
from configs import imagenet_highres

TX = Optimiser(b1=0.5, b2=0.999, weight_decay=2.5e-5, decay_shifts=True)
PARAMS = {
    "conv": {"kernel": np.float32([[0.3, -2.0], [0.0, 1e-3]])},
    "conv_bn": {"scale": np.float32([1.0, 0.7]), "bias": np.float32([0.5, -0.2])},
}


@pytest.mark.parametrize("epoch, rate", [  # reference section 5, 200 + 200 epochs
    (0, 2e-4), (199, 2e-4), (200, 1.9545e-4), (299, 2e-5), (399, 2e-6)])
def test_schedule_of_mnist(epoch: int, rate: float) -> None:
  schedule = Schedule(2e-4, 0.01, steps_per_epoch=391, constant_epochs=200, decay_epochs=200)
  for step in (391 * epoch, 391 * epoch + 390):
    np.testing.assert_allclose(schedule(step), rate, rtol=2e-5)
    np.testing.assert_allclose(jax.jit(schedule.__call__)(jnp.int32(step)), rate, rtol=2e-5)


def test_a_rate_that_warms_up() -> None:
  """By equal steps to the full one, and no further."""
  cold = Schedule(2e-4, 0.01, steps_per_epoch=10, constant_epochs=6, decay_epochs=6)
  warm = jax.jit(cold._replace(warmup_epochs=5).__call__)
  for step, share in ((0, 1 / 50), (1, 2 / 50), (24, 1 / 2), (49, 1), (50, 1), (80, 1), (119, 1)):
    np.testing.assert_allclose(warm(jnp.int32(step)), share * cold(step), rtol=2e-5)


@pytest.mark.parametrize("epochs, halves", [(400, (200, 200)), (5, (3, 2)), (1, (1, 0))])
def test_schedule_of_a_config(epochs: int, halves: tuple[int, int]) -> None:
  optim = ml_collections.ConfigDict({"rate": 1e-3, "final_factor": 0.1, "warmup_epochs": 0})
  schedule = states.schedule(optim, epochs, steps_per_epoch=7)
  assert schedule == Schedule(1e-3, 0.1, 7, *halves)
  optim.warmup_epochs = 5  # at most half of the constant ones
  warm = schedule._replace(warmup_epochs=min(5, halves[0] // 2))
  assert states.schedule(optim, epochs, steps_per_epoch=7) == warm
  np.testing.assert_allclose(schedule(7 * epochs - 1), 1e-4 if halves[1] else 1e-3, rtol=1e-6)


def test_optimiser_of_a_config() -> None:
  optim = ml_collections.ConfigDict(TX._asdict())
  assert states.optimiser(optim) == TX


def adam(w: np.ndarray, grads: list[np.ndarray], rates: list[float], decay: float) -> np.ndarray:
  """Adam with coupled l2 in float64, as the authors' code has it."""
  w, m, v = np.float64(w), 0.0, 0.0
  for t, (g, rate) in enumerate(zip(grads, rates), start=1):
    g = g + decay * w
    m = 0.5 * m + 0.5 * g
    v = 0.999 * v + 0.001 * g**2
    w = w - rate * (m / (1 - 0.5**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
  return w


def random_steps(count: int) -> tuple[list[dict], list[float]]:
  """Gradients like PARAMS, from large to smaller than the decay; and rates."""
  rs = np.random.RandomState(0)
  draw = lambda w: np.float32(rs.standard_normal(w.shape) * 10.0 ** rs.randint(-7, 2, w.shape))
  return [jax.tree.map(draw, PARAMS) for _ in range(count)], list(np.linspace(1e-3, 1e-4, count))


def updated(tx: Optimiser, grads: list[dict], rates: list[float]) -> dict:
  params, opt_state, update = PARAMS, tx.init(PARAMS), jax.jit(tx.update)
  for g, rate in zip(grads, rates, strict=True):
    params, opt_state = update(g, opt_state, params, rate)
  return params


def assert_trees_close(found: dict, expected: dict) -> None:
  """Equal to float32's precision; 1e-7 is a ten-thousandth of a step."""
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), found, expected)


@pytest.mark.parametrize("decay_shifts", [True, False])
def test_optimiser_is_adam_with_coupled_l2(decay_shifts: bool) -> None:
  grads, rates = random_steps(5)
  decay = {"conv": {"kernel": 0.01}, "conv_bn": {"scale": 0.0, "bias": 0.01 * decay_shifts}}
  by_hand = jax.tree.map(lambda w, d, *g: adam(w, g, rates, d), PARAMS, decay, *grads)
  tx = TX._replace(weight_decay=0.01, decay_shifts=decay_shifts)
  assert_trees_close(updated(tx, grads, rates), by_hand)


def test_optimiser_is_optax_s_chain() -> None:
  grads, rates = random_steps(5)
  params = PARAMS
  mask = {"conv": {"kernel": True}, "conv_bn": {"scale": False, "bias": True}}
  chain = optax.inject_hyperparams(lambda rate: optax.chain(
      optax.add_decayed_weights(2.5e-5, mask), optax.adam(rate, b1=0.5, b2=0.999, eps=1e-8)
  ))(rate=0.0)
  opt_state = chain.init(params)
  for g, rate in zip(grads, rates, strict=True):
    opt_state.hyperparams["rate"] = rate
    updates, opt_state = chain.update(g, opt_state, params)
    params = optax.apply_updates(params, updates)
  assert_trees_close(updated(TX, grads, rates), params)


@pytest.mark.parametrize("decay_shifts", [True, False])
def test_decay_alone_moves_what_is_decayed_by_a_whole_step(decay_shifts: bool) -> None:
  """Gradients of zero: the l2 term, however small, is all that Adam normalises (reference 5)."""
  zeros = jax.tree.map(np.zeros_like, PARAMS)
  new = updated(TX._replace(decay_shifts=decay_shifts), [zeros], [2e-4])
  step = jax.tree.map(lambda n, w: n - w, new, PARAMS)
  kernel = PARAMS["conv"]["kernel"]
  np.testing.assert_allclose(step["conv"]["kernel"][0], -2e-4 * np.sign(kernel[0]), rtol=2e-3)
  np.testing.assert_allclose(
      step["conv_bn"]["bias"], -2e-4 * decay_shifts * np.sign(PARAMS["conv_bn"]["bias"]), rtol=2e-3
  )
  np.testing.assert_array_equal(step["conv_bn"]["scale"], 0)
  assert step["conv"]["kernel"][1, 0] == 0


def test_initial_state() -> None:
  model = ml_collections.ConfigDict({
      "family": "mlp", "latent_dim": 3, "image_shape": (4, 4, 1), "encoder_shape": (4, 4, 1),
      "value_range": (0.0, 1.0), "G": {"width": 8}, "E": {"width": 8}, "D": {"width": 8},
  })
  def init(objective: str) -> tuple[states.TrainState, dict]:
    key = jax.random.key(0)
    return states.initial_state(models.build(model), model, OBJECTIVES[objective], TX, key)

  state, batch_stats = init("bigan")
  assert state.step.dtype == jnp.int32 and state.step == 0
  assert set(state.params) == set(state.opt_state) == set(batch_stats) == set("GED")
  assert not any(np.any(a) for a in jax.tree.leaves((state.opt_state, batch_stats)))
  assert set(init("gan")[0].params) == set("GD")
  assert "fc2_z" in state.params["D"] and "fc2_z" not in init("gan")[0].params["D"]
  jax.tree.map(np.testing.assert_array_equal, state, init("bigan")[0])


@pytest.mark.parametrize("objective", ["bigan", "gan"])
def test_the_blank_classifier_is_of_what_the_judged_network_sees(objective: str) -> None:
  """Generalised, E sees 112 pixels and D 64."""
  config = imagenet_highres.get_config(objective)
  networks, chosen = models.build(config.model), OBJECTIVES[objective]
  variables = jax.eval_shape(
      lambda key: models.initialise(networks, config.model, chosen.players, chosen.joint, key),
      jax.random.PRNGKey(0),
  )
  params = {player: arrays["params"] for player, arrays in variables.items()}
  found = states.blank_classifier(config.model, networks, chosen, params, 10)
  side = {"bigan": 7, "gan": 4}[objective]
  assert found["kernel"].shape == (side * side * 256, 10) and not found["kernel"].any()
  assert states.blank_classifier(config.model, networks, chosen, params, 0) == {}

"""Tests of the losses by hand, and of what each objective shows to whom."""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.data.batch import Batch
from bigan_jax.models import latents
from bigan_jax.training import objectives
from bigan_jax.training.objectives import OBJECTIVES

REAL, FAKE = np.array([1.0, -2.0, 0.5]), np.array([0.2, 3.0, -1.0])  # D's logits
LOGITS = np.array([[0.4, -1.0], [2.0, 0.1], [-0.3, 0.0]])  # E's
Z = np.array([[0.1, -0.9], [0.5, 0.2], [-0.4, 0.8]])
X, X_ENCODER, MADE = (np.full((3, 2, 2, 1), fill) for fill in (0.75, 0.5, 0.25))

with_and_without_jit = pytest.mark.parametrize("compiled", [jax.jit, lambda f: f], ids=["jit", ""])


def sigmoid(a: np.ndarray) -> np.ndarray:
  return 1 / (1 + np.exp(-a))


def cross_entropy(p: np.ndarray, target: np.ndarray | float) -> float:
  return -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p))


class Script:
  """Stands for the networks: fixed outputs, and a record of what was asked of whom."""

  def __init__(self) -> None:
    self.calls = []

  def __call__(self, name: str, *inputs: jax.Array) -> jax.Array:
    self.calls.append((name, inputs))
    return jnp.asarray({"E": LOGITS, "G": MADE}[name])

  def encode(self, x: jax.Array) -> jax.Array:
    return jnp.tanh(self("E", x) / 2)

  def regress(self, x: jax.Array, z: jax.Array) -> jax.Array:
    return latents.reconstruction_error(self("E", x), z)

  def judge(self, real: tuple, fake: tuple, name: str = "D") -> tuple[jax.Array, jax.Array]:
    self.calls.append((f"judge by {name}", (real, fake)))
    return jnp.asarray(REAL), jnp.asarray(FAKE)


JUDGED = (cross_entropy(sigmoid(REAL), 1) + cross_entropy(sigmoid(FAKE), 0)) / 2
OPPOSITE = (cross_entropy(sigmoid(REAL), 0) + cross_entropy(sigmoid(FAKE), 1)) / 2
FOOLED = cross_entropy(sigmoid(FAKE), 1)
REGRESSED = cross_entropy(sigmoid(LOGITS), (Z + 1) / 2)
BY_HAND = {  # reference section 4
    "bigan": {"D": JUDGED, "G": OPPOSITE, "E": OPPOSITE},
    "gan": {"D": JUDGED, "G": FOOLED},
    "latent_regressor": {"D": JUDGED, "G": FOOLED, "E": REGRESSED},
    "joint_latent_regressor": {
        "D": JUDGED, "G": FOOLED + REGRESSED / 4, "E": FOOLED + REGRESSED / 4
    },
    "autoencoder_l2": dict.fromkeys("GE", np.sqrt(4 * 0.5**2)),
    "autoencoder_l1": dict.fromkeys("GE", 4 * 0.5),
    "alad": dict.fromkeys(("D", "D_xx", "D_zz"), JUDGED) | dict.fromkeys("GE", 3 * OPPOSITE),
}
CODE = np.tanh(LOGITS / 2)
ASKED = {
    "bigan": [("E", (X_ENCODER,)), ("G", (Z,)), ("judge by D", ((X, CODE), (MADE, Z)))],
    "gan": [("G", (Z,)), ("judge by D", ((X,), (MADE,)))],
    "latent_regressor": [("G", (Z,)), ("judge by D", ((X,), (MADE,))), ("E", (MADE,))],
    "autoencoder_l2": [("E", (X_ENCODER,)), ("G", (CODE,))],
}
TWINS = functools.partial(np.concatenate, axis=1)
ASKED["alad"] = [
    ("E", (X_ENCODER,)), ("G", (Z,)), ("judge by D", ((X, CODE), (MADE, Z))),
    ("G", (CODE,)), ("judge by D_xx", ((TWINS([X, X]),), (TWINS([X, MADE]),))),
    ("E", (MADE,)), ("judge by D_zz", ((TWINS([Z, Z]),), (TWINS([Z, CODE]),))),
]
ASKED["joint_latent_regressor"] = ASKED["latent_regressor"]
ASKED["autoencoder_l1"] = ASKED["autoencoder_l2"]


@with_and_without_jit
@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_by_hand(name: str, compiled: Callable[[Any], Any]) -> None:
  losses = compiled(lambda batch, z: OBJECTIVES[name].losses(Script(), batch, z))
  found = losses(Batch(X, X_ENCODER), Z)
  assert set(found) == set(OBJECTIVES[name].players) == set(BY_HAND[name])
  for player, loss in BY_HAND[name].items():
    np.testing.assert_allclose(found[player], loss, rtol=1e-6, err_msg=player)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_each_network_is_shown(name: str) -> None:
  script = Script()
  OBJECTIVES[name].losses(script, Batch(X, X_ENCODER), Z)
  players, inputs = zip(*script.calls)
  expected_players, expected_inputs = zip(*ASKED[name])
  assert players == expected_players
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), inputs, expected_inputs)


@with_and_without_jit
def test_value_and_its_gradient_by_hand(compiled: Callable[[Any], Any]) -> None:
  value = compiled(jax.value_and_grad(objectives.value, argnums=(0, 1)))
  found, (real, fake) = value(jnp.array(REAL), jnp.array(FAKE))
  np.testing.assert_allclose(found, -2 * JUDGED, rtol=1e-6)
  np.testing.assert_allclose(real, (1 - sigmoid(REAL)) / 3, rtol=1e-6)
  np.testing.assert_allclose(fake, -sigmoid(FAKE) / 3, rtol=1e-6)


@with_and_without_jit
def test_inverse_value_and_generator_loss_by_hand(compiled: Callable[[Any], Any]) -> None:
  inverse = compiled(jax.value_and_grad(objectives.inverse_value, argnums=(0, 1)))
  found, (real, fake) = inverse(jnp.array(REAL), jnp.array(FAKE))
  np.testing.assert_allclose(found, -2 * OPPOSITE, rtol=1e-6)
  np.testing.assert_allclose(real, -sigmoid(REAL) / 3, rtol=1e-6)
  np.testing.assert_allclose(fake, (1 - sigmoid(FAKE)) / 3, rtol=1e-6)
  found, fake = compiled(jax.value_and_grad(objectives.generator_loss))(jnp.array(FAKE))
  np.testing.assert_allclose(found, FOOLED, rtol=1e-6)
  np.testing.assert_allclose(fake, (sigmoid(FAKE) - 1) / 3, rtol=1e-6)


def test_losses_of_a_certain_discriminator_are_finite() -> None:
  """From logits: a probability would round to 0 or 1 (D's loss is 0.0003 in the released model)."""
  certain, wrong = jnp.array([200.0]), jnp.array([-200.0])
  assert objectives.value(certain, wrong) == 0
  assert objectives.inverse_value(certain, wrong) == -400
  assert jax.grad(objectives.inverse_value)(certain, wrong) == -1
  assert objectives.generator_loss(wrong) == 200


def test_reconstruction_norms_by_hand() -> None:
  x = jnp.array([[3.0, -4.0], [0.0, 0.0]]).reshape(2, 1, 2, 1)
  y = jnp.zeros_like(x)
  np.testing.assert_allclose(objectives.l2_error(x, y), (5 + 1e-4) / 2, rtol=1e-6)
  np.testing.assert_allclose(objectives.l1_error(x, y), 7 / 2, rtol=1e-6)
  gradient = jax.grad(objectives.l2_error)(x, y).reshape(2, 2)
  np.testing.assert_allclose(gradient, [[0.3, -0.4], [0, 0]], rtol=1e-6)  # finite at x = y

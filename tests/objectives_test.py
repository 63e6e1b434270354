"""Tests of the losses by hand, and of what each objective shows to whom."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax import latents, objectives
from bigan_jax.objectives import OBJECTIVES, Batch

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

  def judge(self, real: tuple, fake: tuple) -> tuple[jax.Array, jax.Array]:
    self.calls.append(("judge", (real, fake)))
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
}
CODE = np.tanh(LOGITS / 2)
ASKED = {
    "bigan": [("E", (X_ENCODER,)), ("G", (Z,)), ("judge", ((X, CODE), (MADE, Z)))],
    "gan": [("G", (Z,)), ("judge", ((X,), (MADE,)))],
    "latent_regressor": [("G", (Z,)), ("judge", ((X,), (MADE,))), ("E", (MADE,))],
    "autoencoder_l2": [("E", (X_ENCODER,)), ("G", (CODE,))],
}
ASKED["joint_latent_regressor"] = ASKED["latent_regressor"]
ASKED["autoencoder_l1"] = ASKED["autoencoder_l2"]


@with_and_without_jit
@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_and_inputs_by_hand(name: str, compiled: Callable[[Any], Any]) -> None:
  objective, scripts = OBJECTIVES[name], []
  def losses() -> dict[str, jax.Array]:
    scripts.append(Script())
    return objective.losses(scripts[-1], Batch(jnp.asarray(X), jnp.asarray(X_ENCODER)), jnp.asarray(Z))

  found = compiled(losses)()
  assert set(found) == set(objective.players)
  for player, loss in BY_HAND[name].items():
    assert found[player].shape == ()
    np.testing.assert_allclose(found[player], loss, rtol=1e-6, err_msg=player)
  calls = jax.tree.map(np.asarray, scripts[0].calls, is_leaf=lambda a: hasattr(a, "aval"))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), *shown(calls, ASKED[name]))

"""Tests of the hinge game: losses by hand, and which player is pulled where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.training import modern, objectives
from configs import cifar10

REAL = jnp.array([[2.0, -0.5, 0.0], [0.5, 3.0, -2.0]])
FAKE = jnp.array([[-2.0, 0.5, 1.0], [-0.5, 0.0, 0.25]])


def test_the_hinge_by_hand() -> None:
  hinge = modern.LOSSES["hinge"]
  real = (0 + 1.5 + 1 + 0.5 + 0 + 3) / 2
  fake = (0 + 1.5 + 2 + 0.5 + 1 + 1.25) / 2
  assert float(modern.discriminator_loss(hinge, REAL, FAKE)) == pytest.approx(real + fake)
  assert float(modern.total(hinge.others, FAKE)) == pytest.approx(-float(FAKE.sum()) / 2)


def test_the_logistic_game_is_the_paper_s_but_for_the_half() -> None:
  logistic, real, fake = modern.LOSSES["logistic"], REAL[:, 0], FAKE[:, 0]
  np.testing.assert_allclose(
      modern.discriminator_loss(logistic, real, fake), -objectives.value(real, fake), rtol=1e-6
  )
  inverse = modern.total(logistic.others, -real) + modern.total(logistic.others, fake)
  np.testing.assert_allclose(inverse, -objectives.inverse_value(real, fake), rtol=1e-6)


def test_e_lowers_and_g_raises_their_pairs() -> None:
  hinge = modern.LOSSES["hinge"]
  inverse = lambda real, fake: (
      modern.total(hinge.others, -real) + modern.total(hinge.others, fake)
  )
  up, down = jax.grad(inverse, argnums=(0, 1))(REAL, FAKE)
  assert (np.asarray(up) == 0.5).all() and (np.asarray(down) == -0.5).all()


@pytest.mark.parametrize("argument, changes, same", [
    ("bigan", {}, True), ("gan", {}, True), ("bigan,recipe=modern", {}, True),
    ("autoencoder_l2", {}, True), ("bigan", {"loss": "hinge"}, False),
    ("gan", {"loss": "hinge"}, False), ("bigan", {"model.D.unary": True}, False),
])
def test_section_3_is_left_for_hinges_and_parts_alone(
    argument: str, changes: dict, same: bool
) -> None:
  config = cifar10.get_config(argument)
  config.update_from_flattened_dict(changes)
  known = objectives.OBJECTIVES[config.objective]
  found = modern.objective(config)
  assert (found.losses is known.losses) == same
  assert found._replace(losses=None) == known._replace(losses=None)

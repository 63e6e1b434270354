"""Tests of narrowed numbers: kernels and inputs alone, and only for bfloat16."""

import jax
import jax.numpy as jnp
import pytest

from bigan_jax import models
from bigan_jax.models import precision
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.train_step import Run
from configs import cifar10, digits, imagenet
from tests import modern_parts

PARAMS = {
    "fc1": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
    "bn": {"scale": jnp.ones(2), "bias": jnp.ones(2)},
}


def test_only_kernels_and_their_biases_are_narrowed() -> None:
  narrow = precision.narrow_kernels(PARAMS, "bfloat16")
  types = {layer: {str(leaf.dtype) for leaf in narrow[layer].values()} for layer in narrow}
  assert types == {"fc1": {"bfloat16"}, "bn": {"float32"}}


@pytest.mark.parametrize("name", ["float32", "tf32"])
def test_others_leave_everything_as_it_is(name: str) -> None:
  assert precision.narrow_kernels(PARAMS, name) == PARAMS
  assert precision.narrow_input(PARAMS["bn"]["bias"], name) is PARAMS["bn"]["bias"]


@pytest.mark.parametrize("config", [
    digits.get_config(), imagenet.get_config(), modern_parts.take(cifar10.get_config()),
])
def test_every_large_activation_is_of_the_narrow_type(config: object) -> None:
  """A float32 array that slipped in would widen all that follows, and cost twice the time."""
  networks, objective = models.build(config.model), OBJECTIVES["bigan"]
  init = lambda key: models.initialise(networks, config.model, objective.players, True, key)
  variables = jax.eval_shape(init, jax.random.PRNGKey(0))
  inputs = {
      "G": [(4, config.model.latent_dim)], "E": [(4, *config.model.encoder_shape)],
      "D": [(4, *config.model.image_shape), (4, config.model.latent_dim)],
  }
  for player, shapes in inputs.items():
    params = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), variables[player]["params"])
    narrow = precision.narrow_kernels(params, "bfloat16")
    arrays = [jnp.zeros(shape, jnp.bfloat16) for shape in shapes]
    apply = lambda *xs, network=getattr(networks, player), narrow=narrow: network.apply(
        {"params": narrow}, *xs, train=True)
    output, activations = jax.eval_shape(apply, *arrays)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves((output, activations))} == {"bfloat16"}
    run = Run(networks, {player: params}, "bfloat16")
    wide = jax.eval_shape(lambda *xs, run=run, player=player: run(player, *xs), *arrays)
    assert wide.dtype == jnp.float32

"""Tests of merged batch norm: the same features, without statistics."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.models import alexnet, mlp
from bigan_jax.transfer import head, merging

WIDTHS = (8, 16, 16, 16, 16)


def randomised(network: nn.Module, x: jax.Array) -> dict:
  """Variables with gains, shifts and statistics that do something."""
  rs = np.random.RandomState(0)
  def draw(path: tuple, array: jax.Array) -> jax.Array:
    name = path[-1].key
    if name == "count":
      return jnp.full((), 7.0)
    low, high = {"mean": (-7, 7), "var": (2, 20), "scale": (-2, 2), "bias": (-1, 1)}.get(
        name, (-0.3, 0.3)
    )
    return jnp.asarray(rs.uniform(low, high, array.shape), jnp.float32)
  shapes = jax.eval_shape(lambda: network.init(jax.random.PRNGKey(0), x))
  return jax.tree_util.tree_map_with_path(draw, shapes)


def with_rest(network: nn.Module, layers: dict, x: jax.Array) -> dict:
  """The layers and, for the rest, zeros."""
  shapes = jax.eval_shape(lambda: network.init(jax.random.PRNGKey(0), x))["params"]
  zeros = jax.tree.map(lambda a: jnp.zeros(a.shape), shapes)
  assert {n: jax.tree.map(np.shape, layers[n]) for n in layers} == {
      n: jax.tree.map(np.shape, zeros[n]) for n in layers
  }
  return {**zeros, **layers}


@pytest.mark.parametrize("player", [
    alexnet.Encoder(5, WIDTHS), alexnet.Encoder(5, WIDTHS, first_bn=False),
    alexnet.Encoder(5, WIDTHS, stochastic=True), alexnet.Discriminator(WIDTHS),
    alexnet.Discriminator(WIDTHS, norm="spectral"), mlp.Encoder(5, 16), mlp.Discriminator(16),
], ids=["E", "E of the authors' code", "stochastic E", "D", "D with biases", "perceptron E",
        "perceptron D"])
def test_no_feature_changes(player: nn.Module) -> None:
  x = jax.random.uniform(jax.random.PRNGKey(1), (6, 20, 20, 3), minval=-1)
  variables = randomised(player, x)
  layers = merging.merge(variables)
  network = head.AlexNet(4, WIDTHS, (8, 8)) if "conv1" in layers else head.Perceptron(4, (16, 16))
  assert tuple(layers) == network.layers[:len(layers)]
  with jax.default_matmul_precision("float32"):
    _, expected = jax.jit(player.apply)(variables, x)
    _, found = jax.jit(network.apply)({"params": with_rest(network, layers, x)}, x)
  for name, activation in expected.items():
    assert np.abs(activation).max() > 0.1
    np.testing.assert_allclose(found[name], activation, rtol=0, atol=1e-4)
    error = np.abs(found[name] - activation).max() / np.abs(activation).max()
    assert error < 1e-5, name


def test_biases_are_those_of_the_mathematics() -> None:
  """Without the quirk of reference section 9."""
  variables = {
      "params": {"fc1": {"kernel": np.array([[2.0, 3.0]])},
                 "fc2": {"kernel": np.array([[2.0], [4.0]])},
                 "fc2_bn": {"scale": np.array([3.0]), "bias": np.array([0.5])},
                 "out": {"kernel": np.ones((1, 9))}},
      "batch_stats": {"fc2_bn": {"count": 2.0, "mean": np.array([6.0]), "var": np.array([8.0])}},
  }
  layers = merging.merge(variables)
  assert list(layers) == ["fc1", "fc2"]
  np.testing.assert_allclose(layers["fc1"]["bias"], [0, 0])
  np.testing.assert_allclose(layers["fc2"]["kernel"], [[3.0], [6.0]])  # gain 3 / 2
  np.testing.assert_allclose(layers["fc2"]["bias"], [0.5 - 3 * 1.5])
  assert layers["fc2"]["bias"].dtype == np.float32


def test_statistics_are_needed(made_up: Callable, tiny: Callable) -> None:
  _, variables = made_up(tiny())
  variables["E"]["batch_stats"]["fc2_bn"]["count"] = jnp.zeros(())
  with pytest.raises(ValueError, match="batch norm of fc2 has no statistics: calibrate"):
    merging.merge(variables["E"])

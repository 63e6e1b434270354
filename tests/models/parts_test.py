"""Tests of D in parts, and of a D without batch norm: sizes, what each part sees, its scores."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.models import alexnet, dcgan, dim
from tests.models import dim_test

KEY, X, Z = dim_test.KEY, dim_test.X, dim_test.Z
small = functools.partial(dim.Discriminator, width=2, hidden=6)
D = small(norm="spectral", unary=True)


@functools.cache
def drawn() -> chex.ArrayTree:
  """Parameters that leave no part without effect."""
  rs = np.random.RandomState(0)
  draw = lambda a: (rs.uniform(0.5, 1.5, a.shape) * rs.choice([-1, 1], a.shape)).astype(a.dtype)
  return jax.tree.map(draw, dim_test.shapes(D, X.shape, Z.shape)[0])


@jax.jit
def judge(x: jax.Array, z: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
  return D.apply({"params": drawn()}, x, z, train=True)


def test_sizes_in_parts() -> None:
  parts = dim.Discriminator(hidden=512, unary=True)
  params, (scores, activations) = dim_test.shapes(parts, (2, 32, 32, 3), (2, 64))
  assert scores.shape == (2, 3) and parts.feature_layer == "conv3"
  assert activations["conv3"].shape == (2, 4, 4, 256) and activations["fc2"].shape == (2, 512)
  assert params["fc"]["kernel"].shape == (4 * 4 * 256, 512)
  assert params["fc_z"]["kernel"].shape == params["z2"]["kernel"].shape == (512, 512)
  larger = dcgan.Discriminator(hidden=512, unary=True)
  _, (_, activations) = dim_test.shapes(larger, (2, 64, 64, 3), (2, 64))
  assert activations["conv4"].shape == (2, 4, 4, 512)


def test_z_does_not_drown_x_in_parts() -> None:
  """Where it meets F(x) its weights are as any; elsewhere they are 25 times as large."""
  for unary, expected in ((True, 0.02), (False, 0.5)):
    D = dcgan.Discriminator(width=2, hidden=64, unary=unary)
    params = jax.jit(D.init)(KEY, jnp.zeros((2, 16, 16, 3)), jnp.zeros((2, 64)))["params"]
    assert float(jnp.std(params["fc_z"]["kernel"])) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("unary, inputs, columns", [
    (True, 2, (3,)), (False, 2, ()), (False, 1, ()),
])
def test_scores(unary: bool, inputs: int, columns: tuple[int, ...]) -> None:
  _, (scores, _) = dim_test.shapes(small(unary=unary), *(X.shape, Z.shape)[:inputs])
  assert scores.shape == (3, *columns)


def test_each_score_is_of_its_part() -> None:
  scores, activations = judge(X, Z)
  other_z, seen = judge(X, Z[::-1])
  other_x, _ = judge(X[::-1], Z)
  same = lambda a, b: [bool(jnp.allclose(a[:, i], b[:, i], rtol=1e-5)) for i in range(3)]
  assert same(scores, other_z) == [False, True, False]
  assert same(scores, other_x) == [False, False, True]
  for layer in ("conv1", "conv2", "conv3"):  # the trunk
    np.testing.assert_array_equal(activations[layer], seen[layer])


def test_batch_norm_or_biases() -> None:
  hidden = {"conv1", "conv2", "conv3", "z1", "z2", "fc", "fc2"}
  outputs = {"out", "out_x", "out_z"}
  normed, _ = dim_test.shapes(small(unary=True), X.shape, Z.shape)
  norms = {name for name in normed if name.endswith("_bn")}
  assert norms == {f"{name}_bn" for name in hidden - {"conv1"}}
  assert not any("bias" in normed[name] for name in hidden)
  params, _ = dim_test.shapes(D, X.shape, Z.shape)
  assert set(params) == hidden | outputs | {"fc_z"}
  assert {name for name in params if "bias" in params[name]} == hidden


@pytest.mark.parametrize("network", [
    small(norm="spectral"), dcgan.Discriminator(2, norm="spectral"),
    alexnet.Discriminator((2, 2, 2, 2, 2), norm="spectral"),
])
def test_kernels_that_are_divided_are_not_zero_at_first(network: Any) -> None:
  """As the output's are with batch norm: nothing can be divided by 0."""
  inputs = (X,) if isinstance(network, alexnet.Discriminator) else (X, Z)
  params = jax.jit(network.init)(KEY, *inputs)["params"]
  assert {name for name in params if name.endswith("_bn")} == set()
  assert all(np.any(layer["kernel"]) for layer in params.values())
  assert all(("bias" in params[name]) == name.startswith(("conv", "fc")) or name.endswith("_z")
             for name in params)


@pytest.mark.parametrize("network, layer", [
    (dim.Encoder(5, width=2, hidden=6, stochastic=True, rotation=1.0), "fc"),
    (alexnet.Encoder(5, (2, 2, 2, 2, 2), stochastic=True, rotation=0.5), "conv5"),
])
def test_an_encoder_tells_spread_and_turns_in_training_alone(network: Any, layer: str) -> None:
  variables = jax.jit(network.init)(KEY, X)
  (logits, activations), _ = network.apply(variables, X, train=True, mutable=["batch_stats"])
  h = activations[layer].reshape(3, -1)
  spread = np.log1p(np.exp(h @ variables["params"]["out_spread"]["kernel"]))
  np.testing.assert_allclose(activations["spread"], spread, rtol=1e-4)
  turns = h @ variables["params"]["out_turns"]["kernel"]
  np.testing.assert_allclose(activations["turns"], turns, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(logits, h @ variables["params"]["out"]["kernel"], rtol=1e-4, atol=1e-6)
  _, (output, tested) = dim_test.shapes(network.clone(stochastic=False, rotation=0.0), X.shape)
  assert output.shape == (3, 5) and not {"spread", "turns"} & set(tested)
  found = jax.eval_shape(lambda: network.apply(variables, X))
  assert found[0].shape == (3, 5) and not {"spread", "turns"} & set(found[1])

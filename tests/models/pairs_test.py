"""Tests of the D in parts: sizes, what each part sees, its scores, and its norms."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.models import pairs

KEY = jax.random.key(0, impl="rbg")  # compiles faster than the default
X = jax.random.uniform(jax.random.key(1), (3, 16, 16, 3), minval=-1)
Z = jax.random.uniform(jax.random.key(2), (3, 5), minval=-1)
D = pairs.Discriminator(width=2, hidden=6)


def shapes(network: pairs.Discriminator, *inputs: tuple[int, ...]) -> tuple:
  """(parameters, (output, activations)) as shapes, in training mode."""
  arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
  output, variables = jax.eval_shape(
      lambda *args: network.init_with_output(KEY, *args, train=True), *arrays
  )
  return variables["params"], output


@functools.cache
def drawn() -> chex.ArrayTree:
  """Parameters that leave no part without effect."""
  rs = np.random.RandomState(0)
  draw = lambda a: (rs.uniform(0.5, 1.5, a.shape) * rs.choice([-1, 1], a.shape)).astype(a.dtype)
  return jax.tree.map(draw, shapes(D, X.shape, Z.shape)[0])


@jax.jit
def judge(x: jax.Array, z: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
  return D.apply({"params": drawn()}, x, z, train=True)


def test_sizes() -> None:
  params, (scores, activations) = shapes(pairs.Discriminator(), (2, 32, 32, 3), (2, 64))
  assert scores.shape == (2, 3)
  assert activations["trunk"].shape == (2, 4 * 4 * 256) and activations["joint2"].shape == (2, 512)
  assert params["joint1"]["kernel"].shape == (4 * 4 * 256 + 512, 512)
  _, (_, larger) = shapes(pairs.Discriminator(), (2, 64, 64, 3), (2, 64))
  assert larger["conv4"].shape == (2, 4, 4, 512)


@pytest.mark.parametrize("network, inputs, columns", [
    (D, 2, (3,)), (pairs.Discriminator(unary=False), 2, ()), (D, 1, ()),
])
def test_scores(network: pairs.Discriminator, inputs: int, columns: tuple[int, ...]) -> None:
  _, (scores, _) = shapes(network, *(X.shape, Z.shape)[:inputs])
  assert scores.shape == (3, *columns)


def test_alone_d_has_the_trunk_and_no_more() -> None:
  params, _ = shapes(D, X.shape)
  assert set(params) == {"conv1", "conv2", "out_x"}


def test_each_score_is_of_its_part() -> None:
  scores, activations = judge(X, Z)
  other_z, seen = judge(X, Z[::-1])
  other_x, _ = judge(X[::-1], Z)
  same = lambda a, b: [bool(jnp.allclose(a[:, i], b[:, i], rtol=1e-5)) for i in range(3)]
  assert same(scores, other_z) == [False, True, False]
  assert same(scores, other_x) == [False, False, True]
  np.testing.assert_array_equal(activations["trunk"], seen["trunk"])


def test_batch_norm_takes_the_place_of_biases() -> None:
  params, _ = shapes(pairs.Discriminator(norm="batch"), X.shape, Z.shape)
  assert set(params["conv1"]) == {"kernel", "bn"}
  params, _ = shapes(D, X.shape, Z.shape)
  assert set(params["conv1"]) == {"kernel", "bias"}

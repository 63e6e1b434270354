"""Tests of Deep InfoMax's encoder and the D to match: sizes, initial values, and where z enters."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.models import dcgan, dim
from bigan_jax.settings.photos import photos_of_32

Network = dim.Encoder | dcgan.Discriminator
KEY = jax.random.key(0, impl="rbg")  # compiles faster than the default
X = jax.random.uniform(jax.random.key(1), (3, 16, 16, 3), minval=-1)
Z = jax.random.uniform(jax.random.key(2), (3, 5), minval=-1)
D = dim.Discriminator(width=2, hidden=6)


def shapes(network: Network, *inputs: tuple[int, ...]) -> tuple[chex.ArrayTree, tuple]:
  """(parameters, (output, activations)) as shapes, in training mode."""
  arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
  output, variables = jax.eval_shape(
      lambda *args: network.init_with_output(KEY, *args, train=True), *arrays
  )
  return variables["params"], output


@functools.cache
def drawn() -> chex.ArrayTree:
  """Parameters of D that leave no part without effect."""
  rs = np.random.RandomState(0)
  draw = lambda a: (rs.uniform(0.5, 1.5, a.shape) * rs.choice([-1, 1], a.shape)).astype(a.dtype)
  return jax.tree.map(draw, shapes(D, X.shape, Z.shape)[0])


@functools.partial(jax.jit, static_argnames="batches")
def judge(x: jax.Array, z: jax.Array, batches: int = 1) -> tuple[jax.Array, dict[str, jax.Array]]:
  return D.apply({"params": drawn()}, x, z, train=True, batches=batches)


@pytest.mark.parametrize("first_bn, norms", [(True, 2_944), (False, 2_816)])
def test_the_encoder_is_that_of_the_tables(first_bn: bool, norms: int) -> None:
  params, (logits, activations) = shapes(dim.Encoder(64, first_bn=first_bn), (2, 32, 32, 3))
  weights = 3_072 + 131_072 + 524_288 + 4_194_304 + 65_536  # conv1 to conv3, fc, out
  assert sum(a.size for a in jax.tree.leaves(params)) == weights + norms
  assert logits.shape == (2, 64)
  assert {name: a.shape[1:] for name, a in activations.items()} == {
      "conv1": (16, 16, 64), "conv2": (8, 8, 128), "conv3": (4, 4, 256), "fc": (1024,)
  }


def test_the_regressors_code_starts_at_zero() -> None:
  network = dim.Encoder(5, width=2, hidden=6, out_stddev=0.0)
  logits, _ = jax.jit(lambda: network.init_with_output(KEY, X, train=True)[0])()
  np.testing.assert_array_equal(logits, np.zeros((3, 5)))


def test_the_discriminator_is_as_the_encoder() -> None:
  params, (logits, activations) = shapes(dim.Discriminator(), (2, 32, 32, 3), (2, 64))
  assert logits.shape == (2,) and activations["conv3"].shape[1:] == (4, 4, 256)
  assert params["fc_z"]["kernel"].shape == (64, 1024) and "conv1_z" not in params
  alone, _ = shapes(dim.Discriminator(), (2, 32, 32, 3))
  assert not any(name.endswith("_z") for name in alone)


def test_alads_judge_of_twins_has_maps_alone() -> None:
  D_xx = models.build(photos_of_32("alad").model).D_xx
  params, (logits, activations) = shapes(D_xx, (2, 64, 32, 3))
  assert logits.shape == (2,) and set(activations) == {"conv1", "conv2", "conv3"}
  assert params["out"]["kernel"].shape == (8 * 4 * 256, 1)


@pytest.mark.parametrize("output", [True, False])
def test_the_output_takes_z_by_the_paper_alone(output: bool) -> None:
  params, _ = shapes(dim.Discriminator(z_output=output), (2, 32, 32, 3), (2, 64))
  assert ("out_z" in params) == output


def test_z_enters_every_hidden_layer_but_the_first() -> None:
  _, before = judge(X, Z)
  _, after = judge(X, Z[::-1])
  same = {name: bool(jnp.array_equal(before[name], after[name])) for name in before}
  assert same == {"conv1": True, "conv2": False, "conv3": False, "fc": False}


def test_stacked_batches_are_judged_each_by_its_own_statistics() -> None:
  other = X[::-1] * 0.5
  together, _ = judge(jnp.concatenate([X, other]), jnp.concatenate([Z, Z]), batches=2)
  apart = jnp.concatenate([judge(X, Z)[0], judge(other, Z)[0]])
  np.testing.assert_allclose(together, apart, rtol=1e-4)

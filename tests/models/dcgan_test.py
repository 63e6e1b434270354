"""Tests of the convolutional G and D: sizes, initial values, geometry, and where z enters."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.models import dcgan

Network = dcgan.Generator | dcgan.Discriminator
KEY = jax.random.key(0, impl="rbg")  # compiles faster than the default
X = jax.random.uniform(jax.random.key(1), (3, 32, 32, 3), minval=-1)
Z = jax.random.uniform(jax.random.key(2), (3, 5), minval=-1)
G = dcgan.Generator((32, 32, 3), value_range=(-1.0, 3.0), width=4, z_skip=True)
D = dcgan.Discriminator(width=4)


def shapes(network: Network, *inputs: tuple[int, ...]) -> tuple[chex.ArrayTree, tuple]:
  """(parameters, (output, activations)) as shapes, in training mode."""
  arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
  output, variables = jax.eval_shape(
      lambda *args: network.init_with_output(KEY, *args, train=True), *arrays
  )
  return variables["params"], output


def count(params: chex.ArrayTree) -> int:
  return sum(a.size for a in jax.tree.leaves(params))


@functools.cache
def drawn(network: Network, *inputs: tuple[int, ...]) -> chex.ArrayTree:
  """Parameters that leave no part without effect."""
  rs = np.random.RandomState(0)
  draw = lambda a: jnp.asarray(rs.uniform(0.5, 1.5, a.shape) * rs.choice([-1, 1], a.shape), a.dtype)
  return jax.tree.map(draw, shapes(network, *inputs)[0])


def changed(params: chex.ArrayTree, **kernels: jax.Array | float) -> chex.ArrayTree:
  """The parameters with some kernels replaced, by arrays or by one number."""
  new = {name: jnp.asarray(kernel, jnp.float32) for name, kernel in kernels.items()}
  full = {name: jnp.broadcast_to(k, params[name]["kernel"].shape) for name, k in new.items()}
  return {**params, **{name: {"kernel": kernel} for name, kernel in full.items()}}


@functools.partial(jax.jit, static_argnames=("network", "batches"))
def apply(
    network: Network, params: chex.ArrayTree, *inputs: jax.Array, **batches: int
) -> tuple[jax.Array, dict[str, jax.Array]]:
  return network.apply({"params": params}, *inputs, train=True, **batches)


def judge(x: jax.Array, z: jax.Array, **kernels: jax.Array | float) -> tuple:
  """D's (logits, activations) with some kernels replaced."""
  return apply(D, changed(drawn(D, X.shape, Z.shape), **kernels), x, z)


def test_generator_sizes() -> None:
  params, (x, activations) = shapes(dcgan.Generator((64, 64, 3), z_skip=True), (2, 200))
  assert count(params) == 6_050_880
  assert x.shape == (2, 64, 64, 3)
  assert {name: a.shape[1:] for name, a in activations.items()} == {
      "fc1": (8192,), "deconv2": (8, 8, 256), "deconv3": (16, 16, 128), "deconv4": (32, 32, 64),
  }
  params, _ = shapes(dcgan.Generator((64, 64, 3)), (2, 200))
  assert count(params) == 6_050_880 - 200 * (256 + 128 + 64)


def test_discriminator_sizes() -> None:
  params, (logits, activations) = shapes(
      dcgan.Discriminator(z_output=False), (2, 64, 64, 3), (2, 200)
  )
  assert count(params) == 4_494_784
  assert logits.shape == (2,)
  assert {name: a.shape[1:] for name, a in activations.items()} == {
      "conv1": (32, 32, 64), "conv2": (16, 16, 128), "conv3": (8, 8, 256), "conv4": (4, 4, 512),
  }
  assert dcgan.Discriminator().feature_layer in activations
  assert count(shapes(dcgan.Discriminator(), (2, 64, 64, 3), (2, 200))[0]) == 4_494_784 + 200
  assert count(shapes(dcgan.Discriminator(), (2, 64, 64, 3))[0]) == 4_315_584


@pytest.mark.parametrize("side, fc1", [(8, 64), (32, 256), (128, 1024)])
def test_generator_of_other_sizes_keeps_the_last_hidden_width(side: int, fc1: int) -> None:
  _, (x, activations) = shapes(dcgan.Generator((side, side, 1)), (2, 10))
  assert x.shape == (2, side, side, 1)
  assert activations["fc1"].shape == (2, 4 * 4 * fc1)


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 32, 3), (4, 4, 3), (96, 96, 3)])
def test_generator_refuses_sizes_that_doubling_does_not_reach(shape: tuple[int, int, int]) -> None:
  with pytest.raises(ValueError, match=f"{shape[0]} x {shape[1]}.*square of 8, 16, 32, 64 or 128"):
    shapes(dcgan.Generator(shape), (2, 10))


def test_initial_values() -> None:
  networks = {
      "G": dcgan.Generator((64, 64, 3), width=16, z_skip=True), "D": dcgan.Discriminator(width=16)
  }
  inputs = {"G": (Z,), "D": (X, Z)}
  params = {
      f"{player}/{name}": layer for player, network in networks.items()
      for name, layer in jax.jit(network.init)(KEY, *inputs[player])["params"].items()
  }
  for name, layer in params.items():
    if name.endswith("_bn"):
      np.testing.assert_array_equal(layer["scale"], 1, err_msg=name)
      np.testing.assert_array_equal(layer["bias"], 0, err_msg=name)
    elif name.startswith("D/out"):
      np.testing.assert_array_equal(layer["kernel"], 0, err_msg=name)
    else:
      stddev = 0.5 if name.endswith("_z") else 0.02  # 0.02 * 5 * 5 (reference section 0)
      assert set(layer) == {"kernel"}
      tolerance = 4 / np.sqrt(2 * layer["kernel"].size)  # four standard errors
      np.testing.assert_allclose(np.std(layer["kernel"]), stddev, rtol=tolerance, err_msg=name)


def test_projections_into_D_can_start_more_quietly() -> None:
  params = jax.jit(dcgan.Discriminator(width=16, z_stddev=0.1).init)(KEY, X, Z)["params"]
  for name in ("conv2_z", "conv3_z", "conv4_z"):
    kernel = params[name]["kernel"]
    tolerance = 4 / np.sqrt(2 * kernel.size)
    np.testing.assert_allclose(np.std(kernel), 0.1, rtol=tolerance, err_msg=name)
  np.testing.assert_array_equal(params["out_z"]["kernel"], 0)


def test_the_ends_have_no_batch_norm() -> None:
  norms = lambda params: {name for name in params if name.endswith("_bn")}
  assert norms(shapes(D, X.shape)[0]) == {"conv2_bn", "conv3_bn", "conv4_bn"}
  assert norms(shapes(G, Z.shape)[0]) == {"fc1_bn", "deconv2_bn", "deconv3_bn"}


def test_a_convolution_is_centred_on_every_second_pixel_from_the_first() -> None:
  centre = jnp.zeros((5, 5, 3, 4)).at[2, 2].set(1)
  conv1 = judge(X, Z, conv1=centre)[1]["conv1"]
  summed = X[:, ::2, ::2].sum(-1, keepdims=True)
  expected = jnp.broadcast_to(jnp.where(summed > 0, summed, 0.2 * summed), conv1.shape)
  np.testing.assert_allclose(conv1, expected, rtol=1e-5, atol=1e-6)


def test_a_deconvolution_writes_every_second_pixel_from_the_first() -> None:
  centre = jnp.zeros((5, 5, 3, 4)).at[2, 2].set(1)
  x, activations = apply(G, changed(drawn(G, Z.shape), deconv4=centre), Z)
  summed = activations["deconv3"].sum(-1, keepdims=True)
  expected = jnp.broadcast_to(4 * jax.nn.sigmoid(summed) - 1, (3, 16, 16, 3))
  np.testing.assert_allclose(x[:, ::2, ::2], expected, rtol=1e-5)
  np.testing.assert_array_equal(x[:, 1::2], 1)  # the middle of the value range
  np.testing.assert_array_equal(x[:, :, 1::2], 1)


def test_first_layer_of_the_generator_is_rows_columns_channels() -> None:
  small = dcgan.Generator((8, 8, 1), width=2)
  kernel = jnp.zeros((5, 5, 1, 2)).at[2, 2, 0].set(jnp.array([1.0, 10.0]))
  x, activations = apply(small, changed(drawn(small, Z.shape), deconv2=kernel), Z)
  maps = activations["fc1"].reshape(3, 4, 4, 2)
  expected = 2 * jax.nn.sigmoid(maps[..., 0] + 10 * maps[..., 1]) - 1
  np.testing.assert_allclose(x[:, ::2, ::2, 0], expected, atol=1e-5)


def test_z_enters_g_at_every_hidden_layer_where_it_skips() -> None:
  cut = changed(drawn(G, Z.shape), fc1=0)
  reached = lambda params: {
      name for name, a in apply(G, params, Z)[1].items() if not np.allclose(a, a[:1], atol=1e-3)
  }
  assert reached(cut) == {"deconv2", "deconv3"}
  assert reached(changed(cut, deconv2_z=0)) == {"deconv3"}
  assert reached(changed(cut, deconv2_z=0, deconv3_z=0)) == set()
  projections = {name for name in cut if name.endswith("_z")}
  assert projections == {"deconv2_z", "deconv3_z"}
  without = shapes(dcgan.Generator((32, 32, 3)), Z.shape)[0]
  assert not {name for name in without if name.endswith("_z")}


def moved(**kernels: float) -> set[str]:
  """Which of D's layers z reaches."""
  (out, hidden), (other_out, other) = (judge(X, z, **kernels) for z in (Z, -Z))
  pairs = {"out": (out, other_out), **{name: (hidden[name], other[name]) for name in hidden}}
  return {name for name, (a, b) in pairs.items() if not np.allclose(a, b, atol=1e-3)}


def test_z_enters_d_at_every_layer_after_the_first() -> None:
  projections = ["conv2_z", "conv3_z", "conv4_z", "out_z"]
  layers = ["conv2", "conv3", "conv4", "out"]
  none = dict.fromkeys(projections, 0.0)
  assert moved(**none, out=1.0) == set()
  for i, name in enumerate(projections[:3]):
    del none[name]
    assert moved(**none, out=1.0) == {*layers[i:]}
    none[name] = 0.0
  assert moved(**{**none, "out_z": 1.0}) == {"out"}


def test_projections_of_d() -> None:
  projections = lambda params: {name for name in params if name.endswith("_z")}
  hidden = {"conv2_z", "conv3_z", "conv4_z"}
  assert projections(shapes(D, X.shape, Z.shape)[0]) == hidden | {"out_z"}
  official = dcgan.Discriminator(width=4, z_output=False)
  assert projections(shapes(official, X.shape, Z.shape)[0]) == hidden
  assert projections(shapes(D, X.shape)[0]) == set()


def test_stacked_batches_are_normalised_apart() -> None:
  params = changed(drawn(D, X.shape, Z.shape), out=1.0)
  x, z = (X, X**2 + 0.3), (Z, 0.5 * Z)
  stacked = apply(D, params, jnp.concatenate(x), jnp.concatenate(z), batches=2)[0]
  apart = [apply(D, params, *pair)[0] for pair in zip(x, z, strict=True)]
  np.testing.assert_allclose(stacked, jnp.concatenate(apart), rtol=1e-3, atol=1e-2)

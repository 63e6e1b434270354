"""Tests of AlexNet as E and as D: sizes, initial values, geometry, and its groups."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.models import alexnet

Network = alexnet.Encoder | alexnet.Discriminator
KEY = jax.random.key(0, impl="rbg")  # compiles faster than the default
X = jax.random.uniform(jax.random.key(1), (3, 32, 32, 3), minval=-1)
WIDTHS = (2, 4, 6, 8, 4)
E = alexnet.Encoder(latent_dim=5, widths=WIDTHS)
D = alexnet.Discriminator(widths=WIDTHS)


def shapes(network: Network, *inputs: tuple[int, ...]) -> tuple[chex.ArrayTree, tuple]:
  """(parameters, (output, activations)) as shapes, in training mode."""
  arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
  output, variables = jax.eval_shape(
      lambda *args: network.init_with_output(KEY, *args, train=True), *arrays
  )
  return variables["params"], output


def count(params: chex.ArrayTree) -> int:
  return sum(a.size for a in jax.tree.leaves(params))


def drawn(network: Network) -> chex.ArrayTree:
  """Parameters that leave no part without effect."""
  rs = np.random.RandomState(0)
  draw = lambda a: jnp.asarray(rs.uniform(0.5, 1.5, a.shape) * rs.choice([-1, 1], a.shape), a.dtype)
  return jax.tree.map(draw, shapes(network, X.shape)[0])


@functools.partial(jax.jit, static_argnames=("network", "batches"))
def apply(
    network: Network, params: chex.ArrayTree, x: jax.Array, **batches: int
) -> tuple[jax.Array, dict[str, jax.Array]]:
  return network.apply({"params": params}, x, train=True, **batches)


@pytest.mark.parametrize("side, maps, parameters", [
    (64, (16, 8, 4, 4, 4), 3_154_464), (112, (28, 14, 7, 7, 7), 4_844_064),
])
def test_encoder_sizes(side: int, maps: tuple[int, ...], parameters: int) -> None:
  params, (logits, activations) = shapes(
      alexnet.Encoder(200, first_bn=False), (2, side, side, 3)
  )
  assert count(params) == parameters
  assert logits.shape == (2, 200)
  assert {name: a.shape[1:] for name, a in activations.items()} == {
      f"conv{i}": (n, n, width)
      for i, n, width in zip(range(1, 6), maps, (96, 256, 384, 384, 256), strict=True)
  }
  assert alexnet.Encoder.feature_layer == "conv5"
  with_first_bn, _ = shapes(alexnet.Encoder(200), (2, side, side, 3))
  assert count(with_first_bn) == parameters + 2 * 96


def test_discriminator_sizes() -> None:
  params, (logits, activations) = shapes(alexnet.Discriminator(), (2, 64, 64, 3))
  assert count(params) == 3_154_464 + 2 * 96 - 200 * 4096 + 4096
  assert logits.shape == (2,)
  assert activations[alexnet.Discriminator.feature_layer].shape == (2, 4, 4, 256)


def test_batch_norm_of_each_recipe() -> None:
  norms = lambda params: {name for name in params if name.endswith("_bn")}
  later = {"conv2_bn", "conv3_bn", "conv4_bn", "conv5_bn"}
  assert norms(shapes(E, X.shape)[0]) == later | {"conv1_bn"}
  official = alexnet.Encoder(5, WIDTHS, first_bn=False)
  assert norms(shapes(official, X.shape)[0]) == later


def test_initial_values() -> None:
  widths = (16, 32, 32, 32, 32)
  networks = {"E": alexnet.Encoder(100, widths), "D": alexnet.Discriminator(widths)}
  params = {
      f"{player}/{name}": layer for player, network in networks.items()
      for name, layer in jax.jit(network.init)(KEY, X)["params"].items()
  }
  for name, layer in params.items():
    if name.endswith("_bn"):
      np.testing.assert_array_equal(layer["scale"], 1, err_msg=name)
      np.testing.assert_array_equal(layer["bias"], 0, err_msg=name)
    elif name == "D/out":
      np.testing.assert_array_equal(layer["kernel"], 0)
    else:
      assert set(layer) == {"kernel"}
      tolerance = 4 / np.sqrt(2 * layer["kernel"].size)  # four standard errors
      np.testing.assert_allclose(np.std(layer["kernel"]), 0.02, rtol=tolerance, err_msg=name)


def test_regressors_encoder_may_start_at_zero() -> None:
  params = jax.jit(alexnet.Encoder(5, WIDTHS, out_stddev=0).init)(KEY, X)["params"]
  np.testing.assert_array_equal(params["out"]["kernel"], 0)


def test_conv1_is_centred_on_every_fourth_pixel_from_the_first() -> None:
  network = alexnet.Encoder(5, WIDTHS, first_bn=False)
  params = drawn(network)
  params["conv1"]["kernel"] = jnp.zeros((11, 11, 3, 2)).at[5, 5].set(1)
  conv1 = apply(network, params, X)[1]["conv1"]
  summed = X[:, ::4, ::4].sum(-1, keepdims=True)
  expected = jnp.broadcast_to(jnp.where(summed > 0, summed, 0.2 * summed), conv1.shape)
  np.testing.assert_allclose(conv1, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number, grouped", [(2, True), (3, False), (4, True), (5, True)])
def test_groups_see_only_their_half(number: int, grouped: bool) -> None:
  """The first half of the layer below is changed; batch norm does not mix channels."""
  below, layer = f"conv{number - 1}", f"conv{number}"
  params = drawn(E)
  _, before = apply(E, params, X)
  channels = before[below].shape[-1]
  first_half = jnp.arange(channels) < channels // 2
  kernel = params[below]["kernel"]
  params[below]["kernel"] = jnp.where(first_half, kernel[::-1], kernel)
  _, after = apply(E, params, X)
  changed = np.any(np.abs(after[layer] - before[layer]) > 1e-3, axis=(0, 1, 2))
  features = len(changed)
  expected = np.arange(features) < features // 2 if grouped else np.ones(features, bool)
  np.testing.assert_array_equal(changed, expected)


def test_activations_are_those_before_pooling() -> None:
  _, activations = apply(E, drawn(E), X)
  assert [activations[f"conv{i}"].shape[1] for i in range(1, 6)] == [8, 4, 2, 2, 2]
  assert min(float(a.min()) for a in activations.values()) < 0  # leaky


def test_stacked_batches_are_normalised_apart() -> None:
  params = drawn(D)
  batches = X, X**2 + 0.3
  stacked = apply(D, params, jnp.concatenate(batches), batches=2)[0]
  apart = [apply(D, params, x)[0] for x in batches]
  np.testing.assert_allclose(stacked, jnp.concatenate(apart), rtol=1e-3, atol=1e-2)


def test_discriminator_refuses_z() -> None:
  with pytest.raises(ValueError, match="without z: use family 'dcgan'"):
    shapes(D, X.shape, (3, 5))

"""Tests of the networks that layers are transferred to."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax.transfer import head

SMALL = head.AlexNet(3, (4, 4, 4, 4, 4), (8, 6))


def shapes(network: head.AlexNet, side: int) -> dict:
  x = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
  params = jax.eval_shape(network.init, jax.random.PRNGKey(0), x)["params"]
  return {name: layer["kernel"].shape for name, layer in params.items()}


def test_without_padding_it_is_caffes_alexnet() -> None:
  """Reference section 9: 227 pixels end in 6 x 6 maps after pool5."""
  network = head.AlexNet(1000, padded=False)
  x = jax.ShapeDtypeStruct((1, 227, 227, 3), jnp.float32)
  variables = jax.eval_shape(network.init, jax.random.PRNGKey(0), x)
  _, activations = jax.eval_shape(network.apply, variables, x)
  assert {n: a.shape[1:] for n, a in activations.items()} == {
      "conv1": (55, 55, 96), "conv2": (27, 27, 256), "conv3": (13, 13, 384),
      "conv4": (13, 13, 384), "conv5": (13, 13, 256), "fc6": (4096,), "fc7": (4096,),
  }
  sizes = {n: l["kernel"].shape for n, l in variables["params"].items()}
  assert tuple(sizes) == network.layers
  assert (sizes["fc6"], sizes["fc8"]) == ((6 * 6 * 256, 4096), (4096, 1000))
  assert sum(a.size for a in jax.tree.leaves(variables)) == 60_965_224  # as Caffe counts them


@pytest.mark.parametrize("side, inputs", [(64, 2 * 2 * 256), (112, 4 * 4 * 256)])
def test_with_padding_it_continues_the_encoder(side: int, inputs: int) -> None:
  assert shapes(head.AlexNet(10), side)["fc6"] == (inputs, 4096)
  assert shapes(head.AlexNet(10, pool5=False), 64)["fc6"] == (4 * 4 * 256, 4096)


def test_dropout_is_of_each_image_and_layer() -> None:
  keys = jax.random.split(jax.random.PRNGKey(0), 200)
  x = jnp.ones((200, 50))
  dropped = head.dropout(x, keys, 0.25, 6)
  assert set(np.unique(dropped)) == {0, np.float32(1 / 0.75)}
  assert float(jnp.mean(dropped)) == pytest.approx(1, abs=0.02)
  np.testing.assert_array_equal(head.dropout(x[:7], keys[50:57], 0.25, 6), dropped[50:57])
  assert np.any(head.dropout(x, keys, 0.25, 7) != dropped)
  np.testing.assert_array_equal(head.dropout(x, None, 0.25, 6), x)


def test_only_fc6_and_fc7_drop_out() -> None:
  x = jax.random.normal(jax.random.PRNGKey(0), (4, 12, 12, 3))
  variables = jax.jit(SMALL.init)(jax.random.PRNGKey(1), x)
  keys, apply = jax.random.split(jax.random.PRNGKey(2), 4), jax.jit(SMALL.apply)
  test, train = apply(variables, x), apply(variables, x, keys)
  for name in ("conv1", "conv5", "fc6"):
    np.testing.assert_allclose(test[1][name], train[1][name], rtol=1e-5, atol=1e-6)
  assert np.abs(test[1]["fc7"] - train[1]["fc7"]).max() > 1e-3
  assert test[0].shape == (4, 3)


def model(**fields: object) -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict({
      "family": "alexnet", "widths": (4, 4, 4, 4, 4), "hidden": (8, 6), "dropout": 0.5,
      "padded": True, "pool5": True, "image_shape": (9, 9, 3), **fields,
  })


def test_build_takes_what_the_config_says() -> None:
  assert head.build(model(), 3) == SMALL
  assert head.build(model(family="mlp", widths=(7, 5)), 3) == head.Perceptron(3, (7, 5))
  assert head.Perceptron(3, (7, 5)).layers == ("fc1", "fc2", "out")


@pytest.mark.parametrize("side, pool5, layer", [(66, True, "conv5"), (34, False, "conv2"),
                                                (10, False, "conv1")])
def test_images_that_vanish_are_refused(side: int, pool5: bool, layer: str) -> None:
  small = model(padded=False, pool5=pool5, image_shape=(side, side, 3))
  with pytest.raises(ValueError, match=f"Images of {side} pixels .* nothing is left after {layer}"):
    head.build(small, 3)
  small.image_shape = (side + 1, side + 1, 3)
  if layer != "conv1":
    assert shapes(head.build(small, 3), side + 1)["fc6"][0] == 4

"""Tests of networks in test mode: fixed statistics, whatever the block."""

from collections.abc import Callable
import functools
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.data import preprocess
from bigan_jax.data.batch import Batch
from bigan_jax.data.batches import Views
from bigan_jax.evaluation import frozen
from bigan_jax.models import Networks

RS = np.random.RandomState(0)
IMAGES = RS.randint(256, size=(frozen.BLOCK + 40, 8, 8, 1)).astype(np.uint8)


def view(images: jax.Array) -> Batch:
  x = preprocess.to_native(images, (0.0, 1.0))
  return Batch(x, x)


class Frozen(NamedTuple):
  """Networks, and {player: variables}."""

  networks: Networks
  variables: dict[str, chex.ArrayTree]


@pytest.fixture(name="made", params=["paper", "official"])
def _made(tiny: Callable, made_up: Callable, request: pytest.FixtureRequest) -> Frozen:
  return Frozen(*made_up(tiny(f"latent_regressor,recipe={request.param}")))


def describe(
    network: nn.Module, variables: chex.ArrayTree, views: Views, sees: str, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """All blocks in one."""
  outputs, features = zip(*frozen.describe(network, variables, views, sees, images), strict=True)
  assert all(len(block) == frozen.BLOCK for block in outputs[:-1])
  return np.concatenate(outputs), np.concatenate(features)


def encode_by_hand(variables: chex.ArrayTree, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """E in numpy: the output, and the features after the normalised layer."""
  params, sums = variables["params"], variables["batch_stats"]["fc2_bn"]
  mean, var = sums["mean"] / sums["count"], sums["var"] / sums["count"]
  rectify = lambda x: np.maximum(x, 0.2 * x)
  fc1 = rectify((images / 255.0).reshape(len(images), -1) @ params["fc1"]["kernel"])
  features = rectify((fc1 @ params["fc2"]["kernel"] - mean) / np.sqrt(var + 1e-8))
  return features @ params["out"]["kernel"], features


def test_statistics_are_the_calibrated_ones(made: Frozen) -> None:
  """Reference section 6: test mode uses sum / count of means and of variances."""
  variables = jax.tree.map(np.asarray, made.variables["E"])
  found = describe(made.networks.E, variables, view, "x_encoder", IMAGES[:50])
  for ours, by_hand in zip(found, encode_by_hand(variables, IMAGES[:50]), strict=True):
    np.testing.assert_allclose(ours, by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("player", ["G", "E", "D"])
def test_test_mode_changes_no_variable_and_is_not_training_mode(made: Frozen, player: str) -> None:
  network, variables = getattr(made.networks, player), made.variables[player]
  inputs = jnp.asarray(RS.uniform(size=(30, 5))) if player == "G" else view(IMAGES[:30]).x
  output, changed = network.apply(variables, inputs, mutable=["batch_stats", "params"])
  chex.assert_trees_all_equal(changed, variables)
  np.testing.assert_allclose(frozen.apply(network, variables, inputs), output[0], atol=1e-6)
  trained, _ = network.apply(variables, inputs, train=True)
  assert np.max(np.abs(trained - output[0])) > 0.01
  _, changed = network.apply(variables, inputs, train=True, mutable=["batch_stats"])
  for layer, sums in changed["batch_stats"].items():  # In training they do change.
    assert sums["count"] == variables["batch_stats"][layer]["count"] + 1


@pytest.mark.parametrize("player", ["E", "D"])
def test_an_image_is_described_alike_in_any_company(made: Frozen, player: str) -> None:
  network, variables = getattr(made.networks, player), made.variables[player]
  describe_images = functools.partial(describe, network, variables, view, "x")
  outputs, features = describe_images(IMAGES)
  assert len(outputs) == len(features) == len(IMAGES) and features.shape[1:] == (16,)
  assert outputs.shape[1:] == ((5,) if player == "E" else ())
  for i in (0, 17, frozen.BLOCK - 1, frozen.BLOCK, len(IMAGES) - 1):
    output, feature = describe_images(IMAGES[i:i + 1])
    np.testing.assert_allclose(output[0], outputs[i], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(feature[0], features[i], rtol=1e-4, atol=1e-5)


def test_a_reconstruction_is_G_of_the_squashed_code(made: Frozen) -> None:
  """Reference section 3: G receives 2 sigmoid(a) - 1 of E's logits a."""
  G, E, *_ = made.networks
  x, back = frozen.reconstruct(G, E, "uniform", made.variables, view, IMAGES[:20])
  logits = frozen.apply(E, made.variables["E"], x)
  code = 2 / (1 + np.exp(-np.asarray(logits))) - 1
  np.testing.assert_allclose(x, IMAGES[:20] / np.float32(255), rtol=1e-6)
  expected = frozen.apply(G, made.variables["G"], jnp.asarray(code))
  np.testing.assert_allclose(back, expected, rtol=1e-4, atol=1e-6)
  raw = frozen.apply(G, made.variables["G"], logits)
  assert np.max(np.abs(back - raw)) > 0.001


def test_a_network_is_shown_the_field_that_it_sees(made: Frozen) -> None:
  """Of a generalised BiGAN's batch, E sees x_encoder and D sees x."""
  def halves(images: jax.Array) -> Batch:
    x = preprocess.to_native(images, (0.0, 1.0))
    return Batch(x=x / 2, x_encoder=x)
  E, variables = made.networks.E, made.variables["E"]
  x = view(IMAGES[:10]).x
  for sees, scale in (("x", 0.5), ("x_encoder", 1.0)):
    output, _ = describe(E, variables, halves, sees, IMAGES[:10])
    np.testing.assert_allclose(output, frozen.apply(E, variables, x * scale), atol=1e-5)

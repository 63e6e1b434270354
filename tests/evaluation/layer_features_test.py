"""Tests of the features of frozen layers: their names, their pooling, and that they are frozen."""

from collections.abc import Callable
import errno
import os
import pathlib

import chex
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax.data import batches
from bigan_jax.evaluation import frozen, layer_features
from bigan_jax.evaluation.encoders import Encoder
from configs import imagenet

RS = np.random.RandomState(0)


def made_encoder(
    made_up: Callable, config: ml_collections.ConfigDict, player: str = "E"
) -> Encoder:
  networks, variables = made_up(config)
  sees = "x_encoder" if player == "E" else "x"
  network = getattr(networks, player)
  return Encoder("trained", network, variables[player], batches.views(config), sees)


@pytest.fixture(name="perceptron")
def _perceptron(tiny: Callable, made_up: Callable) -> Encoder:
  return made_encoder(made_up, tiny("bigan"))


@pytest.fixture(name="alexnet", scope="module")
def _alexnet(made_up: Callable) -> Encoder:
  config = imagenet.get_config("bigan")
  config.model.E.widths = (4, 6, 8, 8, 6)
  return made_encoder(made_up, config)


def digits(count: int) -> np.ndarray:
  return RS.randint(256, size=(count, 8, 8, 1)).astype(np.uint8)


def pooled(maps: np.ndarray, size: int) -> np.ndarray:
  """Adaptive average pooling of [B, H, W, C] by loops."""
  def cells(side: int) -> list[slice]:
    return [slice(int(np.floor(i * side / size)), int(np.ceil((i + 1) * side / size)))
            for i in range(size)]
  rows, columns = map(cells, maps.shape[1:3])
  return np.stack([
      np.stack([maps[:, r, c].mean(axis=(1, 2)) for c in columns], axis=1) for r in rows
  ], axis=1)


@pytest.mark.parametrize("height, width, size", [
    (8, 8, 4), (7, 7, 4), (5, 9, 2), (7, 7, 1), (13, 13, 6), (6, 6, 5),
])
def test_pooling_averages_the_cells_of_a_grid(height: int, width: int, size: int) -> None:
  maps = RS.randn(3, height, width, 5).astype(np.float32)
  np.testing.assert_allclose(layer_features.pool(jnp.asarray(maps), size), pooled(maps, size),
                             rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape, size", [((2, 4, 4, 3), 0), ((2, 4, 4, 3), 4), ((2, 4, 4, 3), 9),
                                         ((2, 30), 4)])
def test_what_is_small_enough_is_left_as_it_is(shape: tuple[int, ...], size: int) -> None:
  features = jnp.asarray(RS.randn(*shape))
  np.testing.assert_array_equal(layer_features.pool(features, size), features)


def test_a_full_disk_is_told_before_features_are_made(
    perceptron: Encoder, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  def full(file: int, start: int, size: int) -> None:
    assert (start, size) == (0, 2 * 3 * 16)
    raise OSError(errno.ENOSPC, "No space left on device")
  monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
  with pytest.raises(OSError, match="No space left on device"):
    layer_features.extract(perceptron, digits(3), "fc1", 4, most_bytes=100, folder=tmp_path)


def test_the_layers_of_a_perceptron(perceptron: Encoder) -> None:
  known = layer_features.shapes(perceptron, digits(1), size=4)
  assert known == {"fc1": (16,), "fc2": (16,), "e-": (16,), "e": (5,)}
  assert list(known) == ["fc1", "fc2", "e-", "e"]
  assert layer_features.all_layers(perceptron, known) == ("fc1", "e-", "e")


def test_the_layers_of_a_discriminator_have_no_code(tiny: Callable, made_up: Callable) -> None:
  encoder = made_encoder(made_up, tiny("gan"), "D")
  known = layer_features.shapes(encoder, digits(1), size=4)
  assert list(known) == ["fc1", "fc2", "e-"]


def test_the_layers_of_alexnet(alexnet: Encoder) -> None:
  images = np.zeros((1, 64, 64, 3), np.uint8)
  known = layer_features.shapes(alexnet, images, size=3)
  assert known == {
      "conv1": (3, 3, 4), "conv2": (3, 3, 6), "conv3": (3, 3, 8), "conv4": (3, 3, 8),
      "conv5": (3, 3, 6), "e-": (4, 4, 6), "e": (200,),
  }
  assert layer_features.all_layers(alexnet, known) == tuple(known)
  known = layer_features.shapes(alexnet, images, size=4)
  assert layer_features.all_layers(alexnet, known) == (
      "conv1", "conv2", "conv3", "conv4", "e-", "e"
  )


def test_features_are_the_pooled_activations(alexnet: Encoder) -> None:
  images = RS.randint(256, size=(3, 64, 64, 3)).astype(np.uint8)
  x = alexnet.views(jnp.asarray(images)).x_encoder
  _, activations = jax.jit(alexnet.network.apply)(alexnet.variables, x)
  expected = {"conv1": pooled(np.asarray(activations["conv1"]), 3), "e-": activations["conv5"]}
  for layer, features in expected.items():
    found = layer_features.extract(alexnet, images, layer, size=3)
    assert found.dtype == np.float32 and found.ndim == 2
    np.testing.assert_allclose(found, np.reshape(features, (3, -1)), rtol=1e-3, atol=1e-4)


def test_the_last_layer_and_the_code_are_those_that_the_metrics_judge(perceptron: Encoder) -> None:
  images = digits(40)
  (code, last), = frozen.describe(
      perceptron.network, perceptron.variables, perceptron.views, "x_encoder", images
  )
  for layer, expected in (("e", code), ("e-", last), ("fc2", last)):
    found = layer_features.extract(perceptron, images, layer, size=4)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", ["fc1", "e-", "e"])
def test_an_image_has_the_same_features_in_any_company(perceptron: Encoder, layer: str) -> None:
  """Batch norm in training mode would look at the neighbours, and at the size of the block."""
  images = digits(frozen.BLOCK + 30)
  together = layer_features.extract(perceptron, images, layer, size=0)
  assert len(together) == len(images)
  for i in (0, frozen.BLOCK - 1, frozen.BLOCK, len(images) - 1):
    alone = layer_features.extract(perceptron, images[i:i + 1], layer, size=0)
    np.testing.assert_allclose(alone[0], together[i], rtol=1e-4, atol=1e-5)


def test_variables_stay_as_they_are(perceptron: Encoder) -> None:
  before = jax.tree.map(np.array, perceptron.variables)
  layer_features.extract(perceptron, digits(20), "e-", size=4)
  chex.assert_trees_all_equal(perceptron.variables, before)


def test_unknown_layers_are_refused_and_the_known_ones_named() -> None:
  known = {"fc1": (16,), "fc2": (16,), "e-": (16,)}
  assert layer_features.choose(("e-", "fc1", "e-"), known, ("fc2",)) == ("e-", "fc1")
  assert layer_features.choose((), known, ("fc2",)) == ("fc2",)
  with pytest.raises(ValueError, match="no layer 'fc3': did you mean .* choose from fc1, fc2, e-"):
    layer_features.choose(("fc3",), known, ("fc2",))

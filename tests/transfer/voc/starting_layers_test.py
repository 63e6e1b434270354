"""Tests of what the jobs on PASCAL VOC start from (reference section 9)."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax.data import preprocess
from bigan_jax.settings import downstream
from bigan_jax.transfer import head, initialise, source
from bigan_jax.transfer.voc import dataset, starting_layers

WIDTHS, HIDDEN, SIDE = (4, 8, 8, 8, 8), (12, 10), 16
NETWORK = head.AlexNet(20, WIDTHS, HIDDEN)
CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")


class Noise(dataset.Pictures):
  """Pictures of noise of unequal brightness."""

  def __len__(self) -> int:
    return 30

  def image(self, i: int) -> np.ndarray:
    return np.random.RandomState(i).randint(0, 20 + 7 * i, (24, 20, 3)).astype(np.uint8)


TRAIN = Noise([], 0)


def config(where: str = "pretrained", **fields: object) -> ml_collections.ConfigDict:
  found = downstream.voc("voc_classification", where)
  found.model.widths, found.model.hidden = WIDTHS, HIDDEN
  found.update_from_flattened_dict(fields)
  return found


def encoder() -> source.Source:
  """Whose layers have very different scales."""
  random, layers = np.random.RandomState(0), {}
  x = jnp.zeros((1, SIDE, SIDE, 3))
  shapes = jax.eval_shape(NETWORK.init, jax.random.PRNGKey(0), x)["params"]
  for name, size in zip(CONVOLUTIONS, (9, 0.1, 1, 0.2, 0.01)):
    layers[name] = jax.tree.map(
        lambda a, size=size: np.float32(random.normal(0, size, a.shape)), shapes[name]
    )
  return source.Source(ml_collections.ConfigDict(), (SIDE, SIDE, 3), layers, "bigan", 7)


def rates(params: dict, x: jax.Array) -> np.ndarray:
  """Gradients over weights of conv1 to fc7, behind which 1000 outputs have random gradients."""
  random, network = np.random.RandomState(5), NETWORK.clone(classes=1000)
  last = {"kernel": jnp.float32(random.normal(size=(HIDDEN[-1], 1000))), "bias": jnp.zeros(1000)}
  found, _ = initialise._ratios(
      network, {**params, "fc8": last}, x, network.layers, jax.random.PRNGKey(5)
  )
  return np.asarray(found)[:-1]


def test_all_layers_would_learn_at_one_rate() -> None:
  """Convolutions as well, whatever is trained."""
  origin, given = encoder(), config()
  found = starting_layers.layers(given, origin, TRAIN, NETWORK, SIDE)
  assert tuple(found) == NETWORK.layers[:-1]
  crops = dataset.first_crops(given, TRAIN, SIDE)
  x = preprocess.to_native(jnp.asarray(crops), (-1.0, 1.0))
  after, before = rates(found, x), rates({**found, **origin.layers}, x)
  assert after.max() < 3 * after.min()  # Found for gradients of another direction.
  assert before.max() > 10 * before.min()
  so_far = 1.0  # A bias follows the scales of all layers up to its own: so features keep theirs.
  for name, layer in origin.layers.items():
    scale = np.linalg.norm(found[name]["kernel"]) / np.linalg.norm(layer["kernel"])
    so_far *= scale
    np.testing.assert_allclose(found[name]["kernel"], scale * layer["kernel"], rtol=1e-5)
    np.testing.assert_allclose(found[name]["bias"], so_far * layer["bias"], rtol=1e-4)
  assert np.all(found["fc6"]["bias"] != 0)


def test_without_equalising_the_encoders_layers_are_its_own() -> None:
  origin = encoder()
  given = config(equalise=False, init="plain")
  found = starting_layers.layers(given, origin, TRAIN, NETWORK, SIDE)
  jax.tree.map(np.testing.assert_array_equal, {n: found[n] for n in CONVOLUTIONS}, origin.layers)
  assert np.std(found["fc6"]["kernel"]) == pytest.approx((2 / 8) ** 0.5, rel=0.3)


@pytest.mark.parametrize("bins", [6, 3, 1])
def test_caffes_network_sees_the_bins_of_its_heirs(bins: int) -> None:
  given = config("random", equalise=False, init="plain")
  found = starting_layers.caffe_layers(given, None, TRAIN, bins)
  assert found["fc6"]["kernel"].shape == (bins * bins * WIDTHS[-1], HIDDEN[0])
  assert found["fc7"]["kernel"].shape == HIDDEN
  assert all(np.any(found[name]["kernel"]) for name in CONVOLUTIONS)

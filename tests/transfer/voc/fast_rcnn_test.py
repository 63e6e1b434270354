"""Tests of Fast R-CNN's network and losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.transfer import initialise
from bigan_jax.transfer.voc import fast_rcnn
from bigan_jax.transfer.voc.fast_rcnn import FastRCNN, Targets
from bigan_jax.transfer.voc.roi_pooling import roi_pool

NETWORK = FastRCNN(3, (4, 4, 4, 4, 4), (8, 6), 0.5)
BOXES = np.array([
    [[0, 0, 47, 47], [16, 16, 40, 30], [0, 0, 0, 0]], [[5, 9, 44, 39], [3, 3, 9, 9], [1, 2, 40, 8]],
], np.float32)


@pytest.fixture(scope="module")
def x() -> tuple[jax.Array, jax.Array]:
  return jax.random.normal(jax.random.PRNGKey(0), (2, 48, 48, 3)), jnp.asarray(BOXES)


@pytest.fixture(scope="module")
def params(x: tuple[jax.Array, jax.Array]) -> dict:
  random = np.random.RandomState(1)
  shapes = jax.eval_shape(NETWORK.init, jax.random.PRNGKey(1), x)["params"]
  return jax.tree.map(lambda a: np.float32(random.normal(0, 0.2, a.shape)), shapes)


apply = jax.jit(lambda params, x, keys: NETWORK.apply({"params": params}, x, keys))


def test_a_region_is_pooled_and_classified(x: tuple, params: dict) -> None:
  """conv5 at a sixteenth of the pixels, 6 x 6 bins, fc6 to fc8."""
  output, activations = apply(params, x, None)
  assert output.shape == (2, 3, 20) and activations["conv5"].shape == (2, 3, 3, 4)
  assert fast_rcnn.stride() == 16 and tuple(params) == NETWORK.layers
  pooled = np.asarray(roi_pool(activations["conv5"], x[1], 1 / 16, 6)).reshape(6, -1)
  h = pooled
  for name in ("fc6", "fc7"):
    h = h @ params[name]["kernel"] + params[name]["bias"]
    h = np.where(h > 0, h, 0.2 * h)
  expected = h @ params["fc8"]["kernel"] + params["fc8"]["bias"]
  np.testing.assert_allclose(output.reshape(6, 20), expected, rtol=1e-4, atol=1e-5)
  scores, deltas = fast_rcnn.split(output)
  np.testing.assert_array_equal(scores, output[..., :4])
  np.testing.assert_array_equal(deltas[1, 2, 3], output[1, 2, 16:])


def test_dropout_is_each_pictures_own(x: tuple, params: dict) -> None:
  """Whatever else is in the batch: by its key alone."""
  keys = jax.random.split(jax.random.PRNGKey(2), 2)
  dropped = apply(params, x, keys)[0]
  turned = apply(params, (x[0][::-1], x[1][::-1]), keys[::-1])[0]
  np.testing.assert_allclose(dropped[::-1], turned, rtol=1e-4, atol=1e-6)
  assert np.abs(dropped - apply(params, x, None)[0]).max() > 1e-3
  assert np.abs(dropped - apply(params, x, keys[::-1])[0]).max() > 1e-3


def test_layers_are_initialised_by_regions(
    x: tuple, params: dict
) -> None:
  """As any network's by images: fc6 gets variance 1 and mean 0.1 over all regions."""
  found = initialise.initialise(NETWORK, params, x, ("fc6",), "gaussian", 0)
  pooled = roi_pool(apply(found, x, None)[1]["conv5"], x[1], 1 / 16, 6).reshape(6, -1)
  seen = np.asarray(pooled) @ found["fc6"]["kernel"] + found["fc6"]["bias"]
  np.testing.assert_allclose(seen.mean(axis=0), 0.1, atol=1e-3)
  np.testing.assert_allclose(seen.std(axis=0), 1, atol=1e-3)


def by_hand(output: np.ndarray, targets: Targets) -> tuple[float, float]:
  """Loops over regions; both losses."""
  classes = boxes = 0.0
  for b, r in np.ndindex(targets.labels.shape):
    label, weight = targets.labels[b, r], targets.weights[b, r]
    scores = output[b, r, :4]
    classes += weight * (np.log(np.exp(scores).sum()) - scores[label])
    for k in range(4):
      d = abs(output[b, r, 4 + 4 * label + k] - targets.deltas[b, r, k])
      boxes += weight * (label > 0) * (0.5 * d * d if d < 1 else d - 0.5)
  return classes / targets.labels.size, boxes / targets.labels.size


def random_targets() -> tuple[np.ndarray, Targets]:
  random = np.random.RandomState(0)
  labels = np.array([[2, 0, 3], [0, 1, 0]])
  deltas = random.normal(0, 2, (2, 3, 4)) * (labels > 0)[..., None]
  weights = np.array([[1, 1, 1], [1, 1, 0]], np.float32)
  return random.normal(size=(2, 3, 20)), Targets(labels, deltas, weights)


def test_losses_are_those_of_a_loop() -> None:
  output, targets = random_targets()
  found = jax.jit(fast_rcnn.losses)(output, targets)
  classes, boxes = by_hand(output, targets)
  np.testing.assert_allclose(found["class_loss"], classes, rtol=1e-5)
  np.testing.assert_allclose(found["box_loss"], boxes, rtol=1e-5)
  np.testing.assert_allclose(found["loss"], classes + boxes, rtol=1e-5)
  assert set(found) == set(fast_rcnn.MEASURES)
  best = output[..., :4].argmax(axis=-1) == targets.labels
  np.testing.assert_allclose(found["accuracy"], 100 * best.ravel()[:5].sum() / 5, rtol=1e-5)


def test_losses_of_devices_average_to_those_of_all() -> None:
  """Accuracy too, though one device has fewer regions that were drawn."""
  output, targets = random_targets()
  targets = targets._replace(weights=np.array([[1, 1, 1], [1, 0, 0]], np.float32))
  whole = fast_rcnn.losses(output, targets)
  parts = jax.tree.map(lambda a: a[:, None], (output, targets))
  found = jax.vmap(lambda o, t: fast_rcnn.losses(o, t, "batch"), axis_name="batch")(*parts)
  for name, value in whole.items():
    np.testing.assert_allclose(np.mean(found[name]), value, rtol=1e-5, err_msg=name)
  nothing = fast_rcnn.losses(output, targets._replace(weights=np.zeros((2, 3), np.float32)))
  assert nothing["accuracy"] == nothing["loss"] == 0


def test_only_an_objects_own_class_learns_its_box() -> None:
  output, targets = random_targets()
  gradient = jax.jit(jax.grad(lambda o: fast_rcnn.losses(o, targets)["loss"]))(output)
  scores, deltas = fast_rcnn.split(gradient)
  learns = np.any(np.asarray(deltas) != 0, axis=-1)
  assert np.argwhere(learns).tolist() == [[0, 0, 2], [0, 2, 3], [1, 1, 1]]
  assert np.all(scores[targets.weights == 1] != 0) and not np.any(scores[1, 2])


def test_the_last_layer_begins_small() -> None:
  """As in Fast R-CNN: 0.01 for scores, 0.001 for deltas."""
  found = fast_rcnn.last_layer(FastRCNN(20, hidden=(4, 500)), 0)
  kernel = np.asarray(found["kernel"])
  assert kernel.shape == (500, 105)
  np.testing.assert_allclose(kernel[:, :21].std(), 0.01, rtol=0.05)
  np.testing.assert_allclose(kernel[:, 21:].std(), 0.001, rtol=0.05)
  assert found["bias"].shape == (105,) and not np.any(found["bias"])
  assert np.all(kernel != fast_rcnn.last_layer(FastRCNN(20, hidden=(4, 500)), 1)["kernel"])

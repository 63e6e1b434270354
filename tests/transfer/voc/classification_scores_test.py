"""Tests of the loss of VOC classification, of its new layer, and of chance."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.data import voc
from bigan_jax.transfer import head
from bigan_jax.transfer.voc import classification, scorers


def test_the_last_layer_is_new() -> None:
  """Small random weights and one bias (reference section 9)."""
  network = head.AlexNet(20, hidden=(4, 500))
  found = classification.last_layer(network, seed=0)
  assert found["kernel"].shape == (500, 20) and found["bias"].tolist() == [np.float32(0.1)] * 20
  assert np.std(found["kernel"]) == pytest.approx(0.01, rel=0.05)
  other = classification.last_layer(network, seed=1)["kernel"]
  assert np.all(found["kernel"] != other) and found["kernel"].dtype == np.float32


def test_masked_labels_count_for_nothing() -> None:
  logits = jnp.zeros((2, 20)).at[0, 3].set(2.0).at[1, 4].set(-1.0)
  labels = np.zeros((2, 20), np.uint8)
  labels[0, 3], labels[1, 4], labels[1, 5:7] = 1, 1, voc.MASKED
  expected = np.log1p(np.exp(-2)) + np.log1p(np.exp(1)) + 36 * np.log(2)
  loss = jax.jit(lambda logits: classification.masked_cross_entropy(logits, labels)["loss"])
  assert float(loss(logits)) == pytest.approx(expected / 2, rel=1e-6)
  slopes = np.asarray(jax.jit(jax.grad(loss))(logits.at[1, 5].set(50.0)))
  assert not slopes[1, 5:7].any() and slopes[1, 4] == pytest.approx(-np.e / (1 + np.e) / 2)
  assert np.count_nonzero(slopes) == 38


@pytest.mark.parametrize("positives, count", [(1, 1), (4, 4), (1, 5), (3, 7)])
def test_chance_is_the_mean_over_all_orders(positives: int, count: int) -> None:
  scores = np.arange(count, 0, -1)
  orders = [np.isin(np.arange(count), c) for c in itertools.combinations(range(count), positives)]
  mean = np.mean([scorers.step_area(scores, order) for order in orders])
  labels = np.concatenate([orders[0], [voc.MASKED]])
  assert classification.chance(labels) == pytest.approx(100 * mean)

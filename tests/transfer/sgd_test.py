"""Tests of gradient descent with momentum against the formula."""

import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax.transfer import sgd


def test_three_steps_by_hand() -> None:
  """Weights decay; biases do not, and learn twice as fast."""
  tx = sgd.Sgd(momentum=0.9, weight_decay=0.1, bias_rate=2.0)
  params = {"a": {"kernel": jnp.array([1.0, -2.0]), "bias": jnp.array([3.0])}}
  momentum = tx.init(params)
  w, b, vw, vb = np.array([1.0, -2.0]), np.array([3.0]), 0, 0
  for rate, g, h in ((0.1, 1.0, 2.0), (0.1, -0.5, 0.0), (0.01, 2.0, 1.0)):
    grads = {"a": {"kernel": jnp.full(2, g), "bias": jnp.full(1, h)}}
    params, momentum = tx.update(grads, momentum, params, rate)
    vw, vb = 0.9 * vw + rate * (g + 0.1 * w), 0.9 * vb + 2 * rate * h
    w, b = w - vw, b - vb
  np.testing.assert_allclose(params["a"]["kernel"], w, rtol=1e-6)
  np.testing.assert_allclose(params["a"]["bias"], b, rtol=1e-6)


@pytest.mark.parametrize("length", [5.0, 0.5])
def test_long_gradients_are_shortened(length: float) -> None:
  tx = sgd.Sgd(momentum=0, weight_decay=0, bias_rate=1, clip=1.0)
  params = {"a": {"kernel": jnp.zeros(1)}, "b": {"bias": jnp.zeros(1)}}
  grads = {"a": {"kernel": jnp.full(1, 0.6 * length)}, "b": {"bias": jnp.full(1, 0.8 * length)}}
  new, _ = tx.update(grads, tx.init(params), params, 1.0)
  expected = min(length, 1.0)
  np.testing.assert_allclose(new["a"]["kernel"], -0.6 * expected, rtol=1e-6)
  np.testing.assert_allclose(new["b"]["bias"], -0.8 * expected, rtol=1e-6)


def test_layers_have_rates_of_their_own() -> None:
  """Gradient and decay alike are multiplied; a factor of 0 keeps a layer as it is."""
  optim = ml_collections.ConfigDict({
      "momentum": 0.5, "weight_decay": 0.1, "bias_rate": 2.0, "clip": 0.0, "decay_biases": True,
      "rates": {"a": 0.0, "b": 10.0, "c": 1.0},
  })
  tx = sgd.optimiser(optim)
  assert tx.rates == (("a", 0.0), ("b", 10.0)) and hash(tx) == hash(sgd.optimiser(optim))
  layer = {"kernel": jnp.array([2.0]), "bias": jnp.array([1.0])}
  params = {name: layer for name in "abcd"}
  grads = {name: {"kernel": jnp.array([3.0]), "bias": jnp.array([4.0])} for name in "abcd"}
  new, momentum = tx.update(grads, tx.init(params), params, 0.01)
  for name, factor in (("a", 0), ("b", 10), ("c", 1), ("d", 1)):
    np.testing.assert_allclose(momentum[name]["kernel"], 0.01 * factor * 3.2, rtol=1e-6)
    np.testing.assert_allclose(momentum[name]["bias"], 0.02 * factor * 4.1, rtol=1e-6)
    np.testing.assert_allclose(new[name]["bias"], 1 - 0.02 * factor * 4.1, rtol=1e-6)


def test_by_default_all_layers_learn_alike_and_biases_do_not_decay() -> None:
  optim = {"momentum": 0.9, "weight_decay": 0.1, "bias_rate": 2.0, "clip": 3.0}
  assert sgd.optimiser(ml_collections.ConfigDict(optim)) == sgd.Sgd(0.9, 0.1, 2.0, 3.0, False, ())


def test_the_rate_falls_in_steps() -> None:
  optim = ml_collections.ConfigDict({"rate": 0.01, "drop": 0.1, "drop_every": 2})
  rate = sgd.schedule(optim, 5)
  found = [float(rate(step)) for step in (0, 9, 10, 19, 20)]
  np.testing.assert_allclose(found, [0.01, 0.01, 1e-3, 1e-3, 1e-4], rtol=1e-5)
  assert float(sgd.Steps(0.01, 0.1, 0, 5)(10**6)) == pytest.approx(0.01)

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


def test_the_rate_falls_in_steps() -> None:
  optim = ml_collections.ConfigDict({"rate": 0.01, "drop": 0.1, "drop_every": 2})
  rate = sgd.schedule(optim, 5)
  found = [float(rate(step)) for step in (0, 9, 10, 19, 20)]
  np.testing.assert_allclose(found, [0.01, 0.01, 1e-3, 1e-3, 1e-4], rtol=1e-5)
  assert float(sgd.Steps(0.01, 0.1, 0, 5)(10**6)) == pytest.approx(0.01)

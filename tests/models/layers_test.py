"""Tests of batch norm, against ten lines of numpy, and of the small layers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.models.layers import BatchNorm, leaky_relu, linear


def normalise(x: np.ndarray, mean: np.ndarray | None = None, var: np.ndarray | None = None):
  """Batch norm in float64: by its own statistics, or by given ones."""
  axes = tuple(range(x.ndim - 1))
  mean = x.mean(axes) if mean is None else mean
  var = x.var(axes) if var is None else var
  return (x - mean) / np.sqrt(var + 1e-8)


def sums(batches: list[np.ndarray]) -> dict[str, np.ndarray]:
  """Count, sum of means, sum of unbiased variances: what calibration keeps."""
  flat = [x.reshape(-1, x.shape[-1]) for x in batches]
  return {
      "count": float(len(flat)),
      "mean": sum(x.mean(axis=0) for x in flat),
      "var": sum(x.var(axis=0, ddof=1) for x in flat),
  }


def images(seed: int, *shape: int) -> np.ndarray:
  """Channels of unlike means and scales."""
  x = np.random.RandomState(seed).standard_normal(shape)
  return np.float32(x * np.linspace(0.1, 3, shape[-1]) + np.linspace(-2, 5, shape[-1]))


@pytest.mark.parametrize("shape", [(6, 3), (5, 2, 4, 3)])
def test_training_uses_biased_statistics_of_the_batch(shape: tuple[int, ...]) -> None:
  x = images(0, *shape)
  y = BatchNorm().apply({}, x, train=True)
  np.testing.assert_allclose(y, normalise(x), atol=1e-5)


def test_epsilon_is_small_enough_for_small_activations() -> None:
  x = np.float32(1e-3) * images(1, 8, 3)  # an epsilon of 1e-5 would halve these, and worse
  np.testing.assert_allclose(BatchNorm().apply({}, x, train=True), normalise(x), atol=1e-4)
  np.testing.assert_array_equal(BatchNorm().apply({}, np.ones((4, 3)), train=True), 0)


def test_stacked_batches_have_statistics_of_their_own() -> None:
  real, fake = images(2, 4, 2, 2, 3), 3 + 2 * images(3, 4, 2, 2, 3)
  zeros = {"batch_stats": jax.tree.map(jnp.zeros_like, sums([real]))}
  y, new = BatchNorm().apply(
      zeros, np.concatenate([real, fake]), train=True, batches=2, mutable=["batch_stats"]
  )
  np.testing.assert_allclose(y, np.concatenate([normalise(real), normalise(fake)]), atol=1e-5)
  for name, value in sums([real]).items():  # the real pairs alone
    np.testing.assert_allclose(new["batch_stats"][name], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("shape", [(6, 3), (5, 2, 4, 3)])
def test_calibration_sums_and_test_mode_averages(shape: tuple[int, ...]) -> None:
  bn, batches, x = BatchNorm(), [images(seed, *shape) for seed in range(3)], images(9, *shape)
  variables = bn.init(jax.random.key(0), x, train=False)
  assert not any(np.any(v) for v in jax.tree.leaves(variables))
  for batch in batches:
    _, variables = bn.apply(variables, batch, train=True, mutable=["batch_stats"])
  expected = sums(batches)
  for name, value in expected.items():
    np.testing.assert_allclose(variables["batch_stats"][name], value, rtol=1e-5, err_msg=name)
  np.testing.assert_allclose(
      bn.apply(variables, x, train=False),
      normalise(x, expected["mean"] / 3, expected["var"] / 3), atol=1e-5,
  )


def test_affine_gain_then_shift() -> None:
  x = images(4, 6, 3)
  variables = BatchNorm(affine=True).init(jax.random.key(0), x, train=False)
  np.testing.assert_array_equal(variables["params"]["scale"], np.ones(3))
  np.testing.assert_array_equal(variables["params"]["bias"], np.zeros(3))
  gain, shift = np.float32([1, 2, 3]), np.float32([0, -1, 5])
  y = BatchNorm(affine=True).apply({"params": {"scale": gain, "bias": shift}}, x, train=True)
  np.testing.assert_allclose(y, normalise(x) * gain + shift, atol=1e-5)
  assert "params" not in BatchNorm().init(jax.random.key(0), x, train=False)


def test_gradient_flows_through_the_statistics() -> None:
  """The output ignores shift and scale of a channel, so the gradient has no part along either."""
  x, weights = images(5, 7, 3), images(6, 7, 3)
  weighted = lambda x: jnp.sum(weights * BatchNorm().apply({}, x, train=True))
  gradient = jax.jit(jax.grad(weighted))(x)
  assert np.abs(gradient).max() > 0.1
  np.testing.assert_allclose(jnp.sum(gradient, axis=0), 0, atol=1e-4)
  np.testing.assert_allclose(jnp.sum(gradient * (x - x.mean(axis=0)), axis=0), 0, atol=1e-4)


def test_devices_share_statistics() -> None:
  x = images(7, 8, 2, 2, 3)
  zeros = {"batch_stats": jax.tree.map(jnp.zeros_like, sums([x]))}
  bn = BatchNorm(axis_name="batch")
  shared = functools.partial(bn.apply, train=True, mutable=["batch_stats"])
  y, new = jax.vmap(shared, in_axes=(None, 0), axis_name="batch")(zeros, x.reshape(4, 2, 2, 2, 3))
  np.testing.assert_allclose(y.reshape(x.shape), normalise(x), atol=1e-5)
  for name, value in sums([x]).items():
    np.testing.assert_allclose(new["batch_stats"][name][3], value, rtol=1e-5, err_msg=name)


def test_leaky_relu() -> None:
  np.testing.assert_allclose(leaky_relu(jnp.array([-10.0, 0.0, 3.0])), [-2, 0, 3])
  gradients = jax.vmap(jax.grad(leaky_relu))(jnp.array([-1.0, 0.0, 1.0]))
  np.testing.assert_allclose(gradients, [0.2, 0.2, 1])


@pytest.mark.parametrize("stddev", [0, 0.02, 0.5])
def test_linear_has_no_bias_and_ignores_fan_in(stddev: float) -> None:
  params = linear(200, "fc", stddev).init(jax.random.key(0), jnp.ones((1, 300)))["params"]
  assert list(params) == ["kernel"] and params["kernel"].shape == (300, 200)
  np.testing.assert_allclose(np.std(params["kernel"]), stddev, rtol=0.02)
  np.testing.assert_allclose(np.mean(params["kernel"]), 0, atol=0.02 * stddev)

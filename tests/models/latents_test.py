"""Tests of the latent space: the prior, the code, and the reconstruction error."""

import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.models import latents


def test_prior_is_uniform_on_the_cube() -> None:
  z = np.asarray(latents.sample(jax.random.key(0), 4000, 5))
  assert z.shape == (4000, 5) and z.dtype == np.float32
  assert -1 <= z.min() < -0.999 and 0.999 < z.max() < 1
  np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.05)
  np.testing.assert_allclose(z.var(axis=0), 1 / 3, atol=0.02)
  np.testing.assert_allclose(np.cov(z.T) - np.diag(z.var(axis=0)), 0, atol=0.03)
  assert not np.array_equal(z, latents.sample(jax.random.key(1), 4000, 5))


def test_code_is_the_rescaled_sigmoid() -> None:
  logits = np.array([[-100.0, -2.0, 0.0, 1.0, 100.0]])
  sigmoid = 1 / (1 + np.exp(-logits))
  np.testing.assert_allclose(latents.code(logits), 2 * sigmoid - 1, rtol=1e-6)


def test_reconstruction_error_by_hand() -> None:
  logits = jnp.array([[np.log(3), 0], [-np.log(3), np.log(3)]])  # sigmoids 3/4, 1/2; 1/4, 3/4
  z = jnp.array([[1.0, 0.3], [0.0, -1.0]])
  by_hand = [-np.log(3 / 4), np.log(2.0), -(np.log(1 / 4) + np.log(3 / 4)) / 2, -np.log(1 / 4)]
  np.testing.assert_allclose(
      latents.reconstruction_error(logits, z), np.mean(by_hand), rtol=1e-6
  )


def test_reconstruction_error_is_least_where_the_code_is_z() -> None:
  z = jnp.array([[0.5, -0.9, 0.0]])
  gradient = jax.grad(latents.reconstruction_error)
  np.testing.assert_allclose(gradient(2 * jnp.arctanh(z), z), 0, atol=1e-7)
  np.testing.assert_allclose(gradient(jnp.zeros((1, 3)), z), -z / 6, rtol=1e-6)


def test_extreme_logits_stay_finite() -> None:
  logits, z = jnp.array([[1e4, -1e4]]), jnp.array([[-1.0, -1.0]])
  value, gradient = jax.value_and_grad(latents.reconstruction_error)(logits, z)
  np.testing.assert_allclose(value, 5e3)
  np.testing.assert_allclose(gradient, [[0.5, 0.0]])

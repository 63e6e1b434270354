"""Tests of spectral normalisation against numpy's singular values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.models import spectral

RS = np.random.RandomState(0)
drawn = lambda *shape: jnp.asarray(RS.normal(size=shape), jnp.float32)
PARAMS = {
    "conv1": {"kernel": drawn(4, 4, 3, 5), "bias": jnp.ones(5)},
    "fc": {"kernel": drawn(7, 6), "bias": jnp.zeros(6)},
    "fc_bn": {"scale": jnp.ones(6), "bias": jnp.zeros(6)},
    "out": {"kernel": drawn(6, 1)},
}


def largest(kernel: jax.Array) -> float:
  return float(np.linalg.svd(np.asarray(kernel).reshape(-1, kernel.shape[-1]))[1][0])


def settled(steps: int = 200) -> spectral.Vectors:
  vectors = spectral.start(PARAMS)
  for _ in range(steps):
    vectors = spectral.advance(PARAMS, vectors)
  return vectors


def test_every_kernel_has_a_vector_of_length_one() -> None:
  vectors = spectral.start(PARAMS)
  assert set(vectors) == {"conv1", "fc", "out"}
  for u in vectors.values():
    np.testing.assert_allclose(jnp.linalg.norm(u), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["conv1", "fc", "out"])
def test_the_value_is_the_largest_singular_one(name: str) -> None:
  kernel = PARAMS[name]["kernel"]
  at_first = float(spectral.value(kernel, spectral.start(PARAMS)[name]))
  assert 0.9 * largest(kernel) < at_first <= largest(kernel) * (1 + 1e-5)
  np.testing.assert_allclose(spectral.value(kernel, settled()[name]), largest(kernel), rtol=1e-4)


def test_folded_kernels_have_a_largest_singular_value_of_one() -> None:
  folded = spectral.fold(PARAMS, settled())
  for name in ("conv1", "fc", "out"):
    assert largest(folded[name]["kernel"]) == pytest.approx(1, rel=1e-4)
  np.testing.assert_array_equal(folded["conv1"]["bias"], PARAMS["conv1"]["bias"])
  assert folded["fc_bn"] is PARAMS["fc_bn"]
  assert spectral.fold(PARAMS, {}) == PARAMS


def test_the_gradient_goes_through_the_value() -> None:
  """A step along the kernel changes nothing, since its length is divided out."""
  vectors, h = settled(), drawn(4, 7)
  def loss(params: dict) -> jax.Array:
    return jnp.sum(jnp.sin(h @ spectral.fold(params, vectors)["fc"]["kernel"]))
  gradient, kernel = jax.grad(loss)(PARAMS)["fc"]["kernel"], PARAMS["fc"]["kernel"]
  along = float(jnp.sum(gradient * kernel))
  assert abs(along) < 1e-4 * float(jnp.linalg.norm(gradient) * jnp.linalg.norm(kernel))

"""Tests of spectral normalisation against numpy's singular values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.models import spectral
from bigan_jax.models.pairs import Layer

RS = np.random.RandomState(0)
drawn = lambda *shape: jnp.asarray(RS.normal(size=shape), jnp.float32)
PARAMS = {
    "conv1": {"kernel": drawn(4, 4, 3, 5), "bias": jnp.ones(5)},
    "joint1": {"kernel": drawn(7, 6), "bias": jnp.zeros(6)},
    "out": {"kernel": drawn(6, 1)},
}


def largest(kernel: jax.Array) -> float:
  return float(np.linalg.svd(np.asarray(kernel).reshape(-1, kernel.shape[-1]))[1][0])


def settled(steps: int = 200) -> spectral.Vectors:
  vectors = spectral.start(PARAMS)
  for _ in range(steps):
    vectors = spectral.advance(PARAMS, vectors)
  return vectors


def test_layers_with_a_bias_have_vectors_of_length_one() -> None:
  vectors = spectral.start(PARAMS)
  assert set(vectors) == {"conv1", "joint1"}
  for layer in vectors.values():
    np.testing.assert_allclose(jnp.linalg.norm(layer["u"]), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["conv1", "joint1"])
def test_the_value_is_the_largest_singular_one(name: str) -> None:
  kernel = PARAMS[name]["kernel"]
  at_first = float(spectral.value(kernel, spectral.start(PARAMS)[name]["u"]))
  assert 0.9 * largest(kernel) < at_first <= largest(kernel) * (1 + 1e-5)
  np.testing.assert_allclose(
      spectral.value(kernel, settled()[name]["u"]), largest(kernel), rtol=1e-4
  )


def test_folded_kernels_have_a_largest_singular_value_of_one() -> None:
  folded = spectral.fold(PARAMS, settled())
  assert largest(folded["conv1"]["kernel"]) == pytest.approx(1, rel=1e-4)
  np.testing.assert_array_equal(folded["out"]["kernel"], PARAMS["out"]["kernel"])
  np.testing.assert_array_equal(folded["conv1"]["bias"], PARAMS["conv1"]["bias"])


def test_a_layer_in_training_is_the_folded_one_in_test_mode() -> None:
  vectors, h = spectral.start(PARAMS), jnp.asarray(RS.normal(size=(4, 7)), jnp.float32)
  layer = Layer(6)
  variables = {"params": PARAMS["joint1"], spectral.COLLECTION: vectors["joint1"]}
  trained = layer.apply(variables, h, True, 1)
  tested = layer.apply({"params": spectral.fold(PARAMS, vectors)["joint1"]}, h, False, 1)
  np.testing.assert_allclose(trained, tested, rtol=1e-5)
  plain = layer.apply({"params": PARAMS["joint1"]}, h, False, 1)
  assert not np.allclose(tested, plain, rtol=0.1)


def test_the_gradient_goes_through_the_value() -> None:
  """A step along the kernel changes nothing, since its length is divided out."""
  kernel, u = PARAMS["joint1"]["kernel"], settled()["joint1"]["u"]
  h = jnp.asarray(RS.normal(size=(4, 7)), jnp.float32)
  gradient = jax.grad(lambda k: jnp.sum(jnp.sin(h @ (k / spectral.value(k, u)))))(kernel)
  along = float(jnp.sum(gradient * kernel))
  assert abs(along) < 1e-4 * float(jnp.linalg.norm(gradient) * jnp.linalg.norm(kernel))

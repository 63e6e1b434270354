"""Products are counted as one would by hand."""

import jax
import jax.numpy as jnp
import pytest

from bigan_jax.benchmark import flops
from bigan_jax.models.strided import Window, convolve, transposed


def test_products_loops_and_derivatives() -> None:
  a, b = jnp.ones((3, 4)), jnp.ones((4, 5))
  assert flops.products(lambda a, b: jnp.tanh(a @ b), a, b) == 2 * 3 * 4 * 5
  def loop(a: jax.Array) -> jax.Array:
    return jax.lax.scan(lambda carry, _: (carry @ jnp.ones((4, 4)), None), a, None, length=7)[0]
  assert flops.products(jax.jit(loop), a) == 7 * 2 * 3 * 4 * 4
  loss = lambda a, b: jnp.sum((a @ b) ** 2)
  assert flops.products(jax.grad(loss, argnums=(0, 1)), a, b) == 3 * 2 * 3 * 4 * 5


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_and_their_gradients_take_the_same(groups: int) -> None:
  """A layer of stride 2, forward, its transpose, and backward: in any form on any platform."""
  x, kernel = jnp.ones((2, 8, 8, 4)), jnp.ones((5, 5, 4 // groups, 6))
  window = Window(stride=2, padding=2, groups=groups)
  forward = 2 * (2 * 4 * 4 * 6) * (5 * 5 * 4 / groups)
  y = jnp.ones((2, 4, 4, 6))
  count = flops.products
  assert count(lambda x, k: convolve(x, k, window), x, kernel) == forward
  assert count(lambda y, k: transposed(y, k, window, (8, 8)), y, kernel) == forward
  loss = lambda x, k: jnp.sum(convolve(x, k, window) ** 2)
  assert count(jax.grad(loss, argnums=(0, 1)), x, kernel) == 3 * forward


def test_a_platform_counts_once() -> None:
  a = jnp.ones((4, 4))
  both = lambda a: jax.lax.platform_dependent(a, cpu=lambda a: a @ a @ a, default=lambda a: a @ a)
  assert flops.products(both, a) == 2 * 4**3

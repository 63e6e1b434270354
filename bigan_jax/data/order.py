"""Which image comes when: an endless sequence of shuffled passes, a pure function of the seed."""

import chex
import jax
import jax.numpy as jnp


def start_of(step: int, batch_size: int, size: int) -> tuple[int, int]:
  """(pass, offset within it) of the first image of `step`; plain integers, so never overflowing."""
  return divmod(step * batch_size, size)


def window(
    key: chex.PRNGKey, first_pass: chex.Numeric, offset: chex.Numeric, length: int, size: int
) -> jax.Array:
  """Indices [length] of the images from `offset` of pass `first_pass` on.

  Pass after pass visits every one of `size` images once, each in an order of its own; batches
  continue across the end of a pass, as the authors' sampler does (reference section 5).
  """
  passes = first_pass + jnp.arange(-(-length // size) + 1)
  orders = jax.vmap(lambda p: jax.random.permutation(jax.random.fold_in(key, p), size))(passes)
  return jax.lax.dynamic_slice_in_dim(orders.reshape(-1), offset, length)

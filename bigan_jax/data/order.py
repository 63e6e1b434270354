"""Which image comes when: an endless sequence of shuffled passes, a pure function of the seed."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

HostKey = tuple[int, ...]  # the numbers of a chex.PRNGKey


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
  orders = jax.vmap(lambda p: _order(key, p, size))(passes)
  return jax.lax.dynamic_slice_in_dim(orders.reshape(-1), offset, length)


def host_window(key: HostKey, step: int, batch_size: int, size: int) -> np.ndarray:
  """The same indices [batch_size] of one step, on the host, which keeps the last two passes."""
  first, offset = start_of(step, batch_size, size)
  passes = range(first, (step * batch_size + batch_size - 1) // size + 1)
  order = np.concatenate([_host_order(key, p, size) for p in passes])
  return order[offset:offset + batch_size]


def _order(key: chex.PRNGKey, number: chex.Numeric, size: int) -> jax.Array:
  """Pass `number`: every index once, [size]."""
  return jax.random.permutation(jax.random.fold_in(key, number), size)


@functools.lru_cache(maxsize=2)
def _host_order(key: HostKey, number: int, size: int) -> np.ndarray:
  return np.asarray(_order(host_to_key(key), number, size))


def key_to_host(key: chex.PRNGKey) -> HostKey:
  """A key as plain numbers, which may be sent to other processes."""
  return tuple(np.asarray(key).tolist())


def host_to_key(key: HostKey) -> chex.PRNGKey:
  """The way back."""
  return jnp.array(key, jnp.uint32)

"""Which image comes when: an endless sequence of shuffled passes, a pure function of the seed."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

HostKey = tuple[int, ...]  # the numbers of a chex.PRNGKey


@functools.lru_cache(maxsize=2)
def window(key: HostKey, step: int, batch_size: int, size: int, steps: int = 1) -> np.ndarray:
  """Indices [steps * batch_size] of the images of `steps` steps from `step` on.

  Pass after pass visits every one of `size` images once, each in an order of its own; batches
  continue across the end of a pass, as the authors' sampler does (reference section 5).

  For the host to compute, not within the programs that train: XLA takes half a minute to compile a
  sort for a TPU, in each of them. The last two results are kept; they must not be written to.
  """
  first, offset = divmod(step * batch_size, size)  # plain integers, so never overflowing
  passes = range(first, ((step + steps) * batch_size - 1) // size + 1)
  order = np.concatenate([_order(key, p, size) for p in passes])
  return order[offset:offset + steps * batch_size]


@functools.lru_cache(maxsize=2)
def _order(key: HostKey, number: int, size: int) -> np.ndarray:
  """Pass `number`: every index once, [size]."""
  return np.asarray(jax.random.permutation(jax.random.fold_in(host_to_key(key), number), size))


def key_to_host(key: chex.PRNGKey) -> HostKey:
  """A key as plain numbers, which may be sent to other processes."""
  return tuple(np.asarray(key).tolist())


def host_to_key(key: HostKey) -> chex.PRNGKey:
  """The way back."""
  return jnp.array(key, jnp.uint32)

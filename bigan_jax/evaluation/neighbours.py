"""Exact nearest neighbours by Euclidean distance, block by block on the device."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

BLOCK = 2_000  # reference rows a product: 80 MB of scores for 10,000 queries


class Nearest(NamedTuple):
  """The nearest row so far of each query.

  score: squared distance less the query's squared norm, [Q]; inf before the first block.
  index: number of that row in the order of the blocks, [Q].
  """

  score: jax.Array
  index: jax.Array


def nobody(queries: int) -> Nearest:
  """Before the first block."""
  return Nearest(jnp.full((queries,), jnp.inf, jnp.float32), jnp.zeros((queries,), jnp.int32))


@jax.jit
def update(best: Nearest, queries: jax.Array, block: jax.Array, first: chex.Numeric) -> Nearest:
  """Compares queries [Q, d] to the rows of block [R, d], the first of which is number `first`."""
  chex.assert_rank([queries, block], 2)
  products = jnp.matmul(queries, block.T, precision="highest")
  scores = jnp.sum(jnp.square(block), axis=1)[None] - 2 * products
  index = jnp.argmin(scores, axis=1)
  score = jnp.min(scores, axis=1)
  closer = score < best.score
  return Nearest(
      jnp.where(closer, score, best.score), jnp.where(closer, first + index, best.index)
  )


def distances(best: Nearest, queries: jax.Array) -> jax.Array:
  """Euclidean distances [Q] to the nearest rows."""
  return jnp.sqrt(jnp.maximum(best.score + jnp.sum(jnp.square(queries), axis=1), 0))


def nearest(queries: jax.Array, references: jax.Array) -> Nearest:
  """The nearest of references [N, d] to each of queries [Q, d]; of equals, the first."""
  best = nobody(len(queries))
  for first in range(0, len(references), BLOCK):
    best = update(best, queries, references[first:first + BLOCK], first)
  return best

"""The k nearest training images by cosine and by Euclidean distance: exact, block by block.

`weighted_vote` classifies by many of them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.training import console

BLOCK, QUERIES = 5_000, 5_000  # rows and queries a product: 100 MB a distance
DISTANCES = ("cosine", "euclidean")
LEAST = 1e-30  # squared length below which a vector has no direction


class Neighbours(NamedTuple):
  """The k nearest rows of each query, the nearest first.

  distance: [Q, k]; cosine distance is 1 - cosine, and 1 for vectors of zeros.
  index: [Q, k] numbers of rows; of equals, the first row comes first.
  """

  distance: np.ndarray
  index: np.ndarray


class Found(NamedTuple):
  """Nearest rows of the same products.

  nearest: the k nearest by each of DISTANCES.
  voters: the nearest by cosine that `weighted_vote` asks, in no order.
  """

  nearest: dict[str, Neighbours]
  voters: Neighbours


class _Best(NamedTuple):
  """The best so far, by a score [Q, k] that grows with the distance; index: [Q, k]."""

  score: jax.Array
  index: jax.Array


def search(queries: np.ndarray, references: np.ndarray, k: int, voters: int = 0) -> Found:
  """The k nearest of references [N, f] to each of queries [Q, f], and so many voters.

  Raises:
    ValueError: there are fewer than k references.
  """
  if len(references) < k:
    raise ValueError(
        f"{k} neighbours are asked for, but there are only {len(references)} training images: "
        "lower config.neighbours."
    )
  starts = range(0, len(queries), QUERIES)
  parts = [_search(queries[i:i + QUERIES], references, k, voters) for i in starts]
  return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def _search(queries: np.ndarray, references: np.ndarray, k: int, voters: int) -> Found:
  queries = jnp.asarray(queries, jnp.float32)
  shape = len(queries), k
  blank = _Best(jnp.full(shape, jnp.inf, jnp.float32), jnp.zeros(shape, jnp.int32))
  best = {name: blank for name in DISTANCES}
  most = _Best(*(np.zeros((len(queries), 0), kind) for kind in (np.float32, np.int32)))
  for first in console.blocks(len(references), BLOCK, "nearest neighbours"):
    scores = _scores(queries, references[first:first + BLOCK])
    best = _update(best, scores, first, k)
    if voters:
      most = _add(most, np.asarray(scores["cosine"]), first, voters)
  squares = jnp.sum(jnp.square(queries), axis=1, keepdims=True)
  def placed(name: str, found: _Best) -> Neighbours:
    distance = (1 + found.score * _inverse_length(squares) if name == "cosine" else
                jnp.sqrt(jnp.maximum(found.score + squares, 0)))
    return Neighbours(np.asarray(distance), np.asarray(found.index))
  return Found({name: placed(name, best[name]) for name in DISTANCES}, placed("cosine", most))


@jax.jit
def _scores(queries: jax.Array, block: jax.Array) -> dict[str, jax.Array]:
  """What grows with the distances of queries [Q, f] to the rows of a block [R, f]: [Q, R] each."""
  block = jnp.asarray(block, jnp.float32)  # On disk: float16.
  products = jnp.matmul(queries, block.T, precision="highest")
  squares = jnp.sum(jnp.square(block), axis=1)[None]
  return {"cosine": -products * _inverse_length(squares), "euclidean": squares - 2 * products}


@functools.partial(jax.jit, static_argnames="k")
def _update(
    best: dict[str, _Best], scores: dict[str, jax.Array], first: jax.Array, k: int
) -> dict[str, _Best]:
  """Adds the rows of a block, the first of which is number `first`."""
  return {name: _merge(best[name], scores[name], first, k) for name in DISTANCES}


def _add(most: _Best, scores: np.ndarray, first: int, k: int) -> _Best:
  """The best k of the best so far and of scores [Q, R], in no order; all if there are no more.

  On CPUs five times as fast as jax.lax.top_k, which sorts; and the rows that are no better than
  the worst kept, nearly all after the first blocks, are only compared to it.
  """
  numbers = np.arange(first, first + scores.shape[1], dtype=np.int32)
  if most.score.shape[1] == k:
    scores, numbers = _below(scores, numbers, most.score.max(axis=1))
  score, index = _lowest(scores, numbers, k)
  return _Best(*_lowest(*(np.concatenate(pair, axis=1) for pair in zip(most, (score, index))), k))


def _below(
    scores: np.ndarray, index: np.ndarray, limits: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Of each row of scores [Q, n] those below its limit, with their index [n]; [Q, m] each.

  Rows that have fewer than m are filled with inf.
  """
  queries, columns = np.divmod(np.flatnonzero(scores < limits[:, None]), scores.shape[1])
  counts = np.bincount(queries, minlength=len(scores))
  places = np.arange(len(queries)) - np.repeat(np.cumsum(counts) - counts, counts)
  score = np.full((len(scores), counts.max()), np.inf, scores.dtype)
  numbers = np.zeros(score.shape, index.dtype)
  score[queries, places], numbers[queries, places] = scores[queries, columns], index[columns]
  return score, numbers


def _lowest(scores: np.ndarray, index: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
  """The k lowest of each row of scores [Q, n], and what index, [Q, n] or [n], says of them."""
  index = np.broadcast_to(index, scores.shape)
  if scores.shape[1] <= k:
    return scores, index
  kept = np.argpartition(scores, k - 1, axis=1)[:, :k]
  return np.take_along_axis(scores, kept, axis=1), np.take_along_axis(index, kept, axis=1)


def _merge(best: _Best, scores: jax.Array, first: jax.Array, k: int) -> _Best:
  """The best k of the best so far and of scores [Q, R]; what came first wins ties."""
  new, places = jax.lax.top_k(-scores, min(k, scores.shape[1]))
  score = jnp.concatenate([best.score, -new], axis=1)
  index = jnp.concatenate([best.index, first + places], axis=1)
  score, kept = jax.lax.top_k(-score, k)
  return _Best(-score, jnp.take_along_axis(index, kept, axis=1))


def _inverse_length(squares: jax.Array) -> jax.Array:
  return jnp.where(squares > LEAST, jax.lax.rsqrt(jnp.maximum(squares, LEAST)), 0)


def vote(labels: np.ndarray) -> np.ndarray:
  """The commonest label in each row of [Q, k]; of equally common ones, the least."""
  counts = np.zeros((len(labels), labels.max() + 1), np.int32)
  for column in labels.T:
    counts[np.arange(len(labels)), column] += 1
  return np.argmax(counts, axis=1)


def accuracies(
    neighbours: dict[str, Neighbours], labels: np.ndarray, truth: np.ndarray, k: int
) -> dict[str, float]:
  """{distance: accuracy in percent of a vote among the k nearest}.

  Args:
    labels: [N] of the references.
    truth: [Q] of the queries.
  """
  return {
      name: float(100 * np.mean(vote(labels[found.index[:, :k]]) == truth))
      for name, found in neighbours.items()
  }


def weighted_vote(voters: Neighbours, labels: np.ndarray, temperature: float) -> np.ndarray:
  """Labels [Q] by the rows nearest by cosine s, each of which votes by exp(s / temperature).

  The customary k-NN classifier of features: 200 voters and temperature 0.07 (Wu et al.,
  "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", arXiv 1805.01978).
  Of equals, the least label wins.

  Args:
    voters: of each query, [Q, k], by cosine distance.
    labels: [N] of the rows, from 0 on.
  """
  distance = voters.distance - voters.distance.min(axis=1, keepdims=True)
  weights = np.exp(-distance / np.float64(temperature))
  votes = np.zeros((len(weights), labels.max() + 1))
  np.add.at(votes, (np.arange(len(weights))[:, None], labels[voters.index]), weights)
  return np.argmax(votes, axis=1)

"""The k nearest training images by cosine and by Euclidean distance: exact, block by block.

`weighted_vote` classifies by many of them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.training import console

BLOCK = 2_000  # reference rows a product
QUERIES = 10_000  # queries a product: 80 MB of scores
DISTANCES = ("cosine", "euclidean")
REFERENCES, VOTERS = 10_000, 5_000  # rows and queries a product of `weighted_vote`: 200 MB
LEAST = 1e-30  # squared length below which a vector has no direction


class Neighbours(NamedTuple):
  """The k nearest rows of each query, the nearest first.

  distance: [Q, k]; cosine distance is 1 - cosine, and 1 for vectors of zeros.
  index: [Q, k] numbers of rows; of equals, the first row comes first.
  """

  distance: np.ndarray
  index: np.ndarray


class _Best(NamedTuple):
  """The best so far, by a score [Q, k] that grows with the distance; index: [Q, k]."""

  score: jax.Array
  index: jax.Array


def nearest(queries: np.ndarray, references: np.ndarray, k: int) -> dict[str, Neighbours]:
  """The k nearest of references [N, f] to each of queries [Q, f], by each of DISTANCES.

  Raises:
    ValueError: there are fewer than k references.
  """
  if len(references) < k:
    raise ValueError(
        f"{k} neighbours are asked for, but there are only {len(references)} training images: "
        "lower config.neighbours."
    )
  parts = [
      _nearest(queries[i:i + QUERIES], references, k) for i in range(0, len(queries), QUERIES)
  ]
  def joined(name: str) -> Neighbours:
    return Neighbours(*(np.concatenate(arrays) for arrays in zip(*(p[name] for p in parts))))
  return {name: joined(name) for name in DISTANCES}


def _nearest(queries: np.ndarray, references: np.ndarray, k: int) -> dict[str, Neighbours]:
  queries = jnp.asarray(queries)
  shape = len(queries), k
  blank = _Best(jnp.full(shape, jnp.inf, jnp.float32), jnp.zeros(shape, jnp.int32))
  best = {name: blank for name in DISTANCES}
  for first in console.blocks(len(references), BLOCK, "nearest neighbours"):
    best = _update(best, queries, references[first:first + BLOCK], first, k)
  squares = jnp.sum(jnp.square(queries), axis=1, keepdims=True)
  distances = {
      "cosine": 1 + best["cosine"].score * _inverse_length(squares),
      "euclidean": jnp.sqrt(jnp.maximum(best["euclidean"].score + squares, 0)),
  }
  return {n: Neighbours(np.asarray(distances[n]), np.asarray(best[n].index)) for n in DISTANCES}


@functools.partial(jax.jit, static_argnames="k")
def _update(
    best: dict[str, _Best], queries: jax.Array, block: jax.Array, first: jax.Array, k: int
) -> dict[str, _Best]:
  """Compares queries to the rows of a block, the first of which is number `first`."""
  queries, block = (jnp.asarray(x, jnp.float32) for x in (queries, block))  # On disk: float16.
  products = jnp.matmul(queries, block.T, precision="highest")
  squares = jnp.sum(jnp.square(block), axis=1)[None]
  scores = {
      "cosine": -products * _inverse_length(squares),
      "euclidean": squares - 2 * products,
  }
  return {name: _merge(best[name], scores[name], first, k) for name in DISTANCES}


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


def weighted_vote(
    queries: np.ndarray, references: np.ndarray, labels: np.ndarray, k: int, temperature: float
) -> np.ndarray:
  """Labels [Q] by the k references nearest by cosine s, each voting by exp(s / temperature).

  The customary k-NN classifier of features: k 200 and temperature 0.07 (Wu et al., "Unsupervised
  Feature Learning via Non-Parametric Instance Discrimination", arXiv 1805.01978). Of fewer than k
  references all vote; of equals, the least label wins.

  Args:
    queries: [Q, f]. references: [N, f]. labels: [N] of the references, from 0 on.
  """
  scores = np.full((len(queries), 0), 0, np.float32)
  voters = np.full((len(queries), 0), 0, labels.dtype)
  for first in console.blocks(len(references), REFERENCES, f"the {k} nearest by cosine"):
    block = _directions(references[first:first + REFERENCES])
    parts = [
        _closest(queries[i:i + VOTERS], block, labels[first:first + REFERENCES], k)
        for i in range(0, len(queries), VOTERS)
    ]
    new, new_voters = (np.concatenate(arrays) for arrays in zip(*parts))
    scores = np.concatenate([scores, new], axis=1)
    voters = np.concatenate([voters, new_voters], axis=1)
    scores, voters = _most(scores, voters, k)
  weights = np.exp((scores - scores.max(axis=1, keepdims=True)) / np.float64(temperature))
  votes = np.zeros((len(queries), labels.max() + 1))
  np.add.at(votes, (np.arange(len(queries))[:, None], voters), weights)
  return np.argmax(votes, axis=1)


def _closest(
    queries: np.ndarray, directions: jax.Array, labels: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
  """(cosines, labels) [Q, k] of the references nearest by cosine, in no order."""
  cosines = np.asarray(_cosines(_directions(queries), directions))
  return _most(cosines, np.broadcast_to(labels, cosines.shape), k)


def _most(scores: np.ndarray, labels: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
  """The k highest of each row of scores [Q, n], and their labels; all if there are no more.

  On CPUs five times as fast as jax.lax.top_k, which sorts.
  """
  if scores.shape[1] <= k:
    return scores, labels
  kept = np.argpartition(scores, -k, axis=1)[:, -k:]
  return np.take_along_axis(scores, kept, axis=1), np.take_along_axis(labels, kept, axis=1)


@jax.jit
def _directions(x: jax.Array) -> jax.Array:
  x = jnp.asarray(x, jnp.float32)
  return x * _inverse_length(jnp.sum(jnp.square(x), axis=1, keepdims=True))


@jax.jit
def _cosines(queries: jax.Array, references: jax.Array) -> jax.Array:
  return jnp.matmul(queries, references.T, precision="highest")

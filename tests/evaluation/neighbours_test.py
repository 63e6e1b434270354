"""Tests of exact nearest neighbours, with scikit-learn as the oracle."""

import numpy as np
import pytest
import sklearn.neighbors

from bigan_jax.evaluation import neighbours

RS = np.random.RandomState(0)


def draw(*shape: int) -> np.ndarray:
  return RS.uniform(size=shape).astype(np.float32)


@pytest.mark.parametrize("count", [1, 7, neighbours.BLOCK, 2 * neighbours.BLOCK + 17])
def test_the_nearest_are_those_of_scikit_learn(count: int) -> None:
  references, queries = draw(count, 20), draw(53, 20)
  oracle = sklearn.neighbors.NearestNeighbors(n_neighbors=1, algorithm="brute").fit(references)
  distances, indices = oracle.kneighbors(queries)
  found = neighbours.nearest(queries, references)
  np.testing.assert_array_equal(found.index, indices[:, 0])
  np.testing.assert_allclose(neighbours.distances(found, queries), distances[:, 0], rtol=1e-4)


def test_of_equals_the_first_is_the_nearest() -> None:
  """Small integers: every distance is exact, most are shared, within blocks and across them."""
  count = neighbours.BLOCK + 500
  references = RS.randint(3, size=(count, 4)).astype(np.float32)
  queries = RS.randint(3, size=(200, 4)).astype(np.float32)
  squares = np.sum((queries[:, None] - references) ** 2, axis=2)
  ties = np.sum(squares == squares.min(axis=1, keepdims=True), axis=1)
  assert ties.min() > 5
  found = neighbours.nearest(queries, references)
  np.testing.assert_array_equal(found.index, np.argmin(squares, axis=1))
  np.testing.assert_array_equal(neighbours.distances(found, queries), np.sqrt(squares.min(axis=1)))


def test_the_order_of_blocks_does_not_matter_to_the_distance() -> None:
  queries, references = draw(11, 6), draw(90, 6)
  best = neighbours.nobody(11)
  for first in (60, 0, 30):
    best = neighbours.update(best, queries, references[first:first + 30], first)
  whole = neighbours.nearest(queries, references)
  np.testing.assert_array_equal(best.index, whole.index)
  np.testing.assert_array_equal(best.score, whole.score)


def test_a_row_is_at_no_distance_from_itself() -> None:
  """Rounding must give neither NaN nor a distance that would show in a mean of about 5."""
  images = draw(300, 784)
  found = neighbours.nearest(images, images)
  np.testing.assert_array_equal(found.index, np.arange(300))
  assert np.max(neighbours.distances(found, images)) < 0.05


def test_distances_of_images_are_precise() -> None:
  queries, references = draw(20, 784), draw(400, 784)
  differences = queries[:, None].astype(np.float64) - references
  exact = np.linalg.norm(differences, axis=2).min(axis=1)
  found = neighbours.nearest(queries, references)
  np.testing.assert_allclose(neighbours.distances(found, queries), exact, rtol=1e-5)


def test_accuracy_is_that_of_scikit_learn_in_percent() -> None:
  count = neighbours.BLOCK + 100
  references, queries = draw(count, 3), draw(150, 3)
  truth = lambda x: (x[:, 0] > 0.5).astype(np.int32) + 2 * (x[:, 1] > 0.5)
  labels = np.where(RS.uniform(size=count) < 0.2, 3 - truth(references), truth(references))
  oracle = sklearn.neighbors.KNeighborsClassifier(1).fit(references, labels)
  expected = 100 * oracle.score(queries, truth(queries))
  assert 50 < expected < 95
  index = np.asarray(neighbours.nearest(queries, references).index)
  assert 100 * np.mean(labels[index] == truth(queries)) == pytest.approx(expected)

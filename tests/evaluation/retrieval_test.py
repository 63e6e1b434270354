"""Tests of the k nearest neighbours by two distances, with scikit-learn as the oracle."""

import numpy as np
import pytest
import sklearn.neighbors

from bigan_jax.evaluation import retrieval

RS = np.random.RandomState(0)


@pytest.fixture(autouse=True)
def _seeded() -> None:
  """A test draws the same, whichever ran before it."""
  RS.seed(0)


def draw(*shape: int) -> np.ndarray:
  return RS.uniform(-1, 2, size=shape).astype(np.float32)


@pytest.mark.parametrize("count, k", [(7, 7), (300, 5), (retrieval.BLOCK + 2, 4)])
def test_the_nearest_are_those_of_scikit_learn(count: int, k: int) -> None:
  references, queries = draw(count, 20), draw(53, 20)
  found = retrieval.search(queries, references, k).nearest
  for name in retrieval.DISTANCES:
    oracle = sklearn.neighbors.NearestNeighbors(n_neighbors=k, algorithm="brute", metric=name)
    distances, indices = oracle.fit(references).kneighbors(queries)
    np.testing.assert_array_equal(found[name].index, indices)
    np.testing.assert_allclose(found[name].distance, distances, rtol=1e-4, atol=1e-6)


def test_queries_in_several_blocks_are_those_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
  references, queries = draw(60, 6), draw(25, 6)
  whole = retrieval.search(queries, references, 3).nearest
  monkeypatch.setattr(retrieval, "QUERIES", 10)
  parts = retrieval.search(queries, references, 3).nearest
  for name in retrieval.DISTANCES:
    np.testing.assert_array_equal(parts[name].index, whole[name].index)


def test_the_two_distances_differ_where_lengths_do() -> None:
  references = np.float32([[10, 1], [1, 1], [0, 0]])
  found = retrieval.search(np.float32([[1, 0]]), references, 3).nearest
  assert found["cosine"].index.tolist() == [[0, 1, 2]]
  assert found["euclidean"].index.tolist() == [[1, 2, 0]]
  exact = [1 - 10 / np.sqrt(101), 1 - np.sqrt(0.5), 1]  # Zeros have no direction.
  np.testing.assert_allclose(found["cosine"].distance[0], exact, rtol=1e-5)


def test_of_equals_the_first_come_first() -> None:
  references = np.ones((retrieval.BLOCK + 100, 3), np.float32)
  references[5] = 0
  for found in retrieval.search(np.ones((2, 3), np.float32), references, 7).nearest.values():
    assert found.index.tolist() == [[0, 1, 2, 3, 4, 6, 7]] * 2


def test_a_vote_is_that_of_scikit_learn() -> None:
  references, queries = draw(200, 3), draw(150, 3)
  labels, truth = RS.randint(4, size=200), RS.randint(4, size=150)
  found = retrieval.search(queries, references, 6).nearest
  for k in (1, 2, 6):  # Two and six tie often.
    accuracies = retrieval.accuracies(found, labels, truth, k)
    for name in retrieval.DISTANCES:
      oracle = sklearn.neighbors.KNeighborsClassifier(k, algorithm="brute", metric=name)
      oracle.fit(references, labels)
      np.testing.assert_array_equal(
          retrieval.vote(labels[found[name].index[:, :k]]), oracle.predict(queries)
      )
      assert accuracies[name] == pytest.approx(100 * oracle.score(queries, truth))


def test_more_neighbours_than_images_are_refused() -> None:
  with pytest.raises(ValueError, match="5 neighbours are asked for, but there are only 4"):
    retrieval.search(draw(2, 3), draw(4, 3), 5)


@pytest.mark.parametrize("k, temperature", [(20, 0.07), (7, 0.5), (2_000, 0.2)])
def test_a_weighted_vote_is_that_of_scikit_learn(
    monkeypatch: pytest.MonkeyPatch, k: int, temperature: float
) -> None:
  """Over several blocks, which need not fill up; of fewer references than k all vote."""
  monkeypatch.setattr(retrieval, "BLOCK", 150)
  monkeypatch.setattr(retrieval, "QUERIES", 40)
  references, queries = draw(330, 5), draw(90, 5)
  labels = RS.randint(4, size=330)
  oracle = sklearn.neighbors.KNeighborsClassifier(
      min(k, 330), algorithm="brute", metric="cosine",
      weights=lambda distances: np.exp((1 - distances) / temperature),
  )
  voters = retrieval.search(queries, references, 1, k).voters
  found = retrieval.weighted_vote(voters, labels, temperature)
  np.testing.assert_array_equal(found, oracle.fit(references, labels).predict(queries))
  assert len(set(found)) > 1


def test_a_low_temperature_leaves_the_vote_to_the_nearest() -> None:
  references, queries = draw(50, 6), draw(30, 6)
  labels = RS.randint(3, size=50)
  nearest, voters = retrieval.search(queries, references, 1, 50)
  found = retrieval.weighted_vote(voters, labels, 1e-5)
  np.testing.assert_array_equal(found, labels[nearest["cosine"].index[:, 0]])

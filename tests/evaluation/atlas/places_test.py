"""Where pictures are put and which are nearest: by hand-made features."""

import numpy as np
import pytest

from bigan_jax.evaluation.atlas import places


def test_what_is_alike_lies_together() -> None:
  """Three groups of directions, of any length."""
  random, group = np.random.RandomState(0), np.repeat(np.arange(3), 15)
  features = np.eye(3, 40)[group] + 0.1 * random.randn(45, 40)
  features = np.float32(features * random.uniform(1, 50, (45, 1)))
  for layout in places.LAYOUTS:
    found = places.places(features, layout, seed=0)
    assert found.shape == (45, 2) and found.dtype == np.float32
    np.testing.assert_allclose(np.ptp(found, axis=0).max(), 1, atol=1e-6)
    np.testing.assert_allclose((found.min(axis=0) + found.max(axis=0)) / 2, 0.5, atol=1e-6)
    apart = np.linalg.norm(found[:, None] - found, axis=2) + 9 * np.eye(45)
    assert (group[apart.argmin(axis=1)] == group).all(), layout
    np.testing.assert_array_equal(found, places.places(features, layout, seed=0))
  nearest = places.nearest(features)
  assert nearest.shape == (45, 12) and (group[nearest] == group[:, None]).all()
  unit = features / np.linalg.norm(features, axis=1, keepdims=True)
  order = np.argsort(-(unit @ unit.T - 9 * np.eye(45)), axis=1, kind="stable")[:, :12]
  np.testing.assert_array_equal(nearest, order)


@pytest.mark.parametrize("count, width", [(2, 1), (2, 60), (3, 2), (9, 60), (12, 1)])
def test_few_pictures_and_few_numbers(count: int, width: int) -> None:
  features = np.random.RandomState(1).uniform(-1, 1, (count, width)).astype(np.float32)
  features[0] = -features[1]  # Of one number there are but two directions.
  found = places.places(features, "tsne", seed=0)
  assert found.shape == (count, 2) and np.isfinite(found).all()
  assert 0 <= found.min() and found.max() <= 1 and np.ptp(found) > 0.5
  assert places.nearest(features).shape == (count, count - 1)


def test_pictures_that_are_the_same_do_not_count_as_their_own_neighbours() -> None:
  features = np.repeat(np.float32([[1, 0], [0, 1]]), 20, axis=0)
  nearest = places.nearest(features)
  assert nearest.shape == (40, 12)
  for i, row in enumerate(nearest):
    assert i not in row and len(set(row)) == 12 and ((row < 20) == (i < 20)).all()
  with pytest.raises(ValueError, match="features of all 20 pictures are alike.*another --layer"):
    places.places(features[:20], "tsne", seed=0)

"""Tests of the views that D and E are shown: pixel by pixel, against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.data.batch import Batch
from bigan_jax.training import augment

RANGE = (-1.0, 1.0)
X = np.random.RandomState(0).uniform(-1, 1, (6, 16, 16, 3)).astype(np.float32)
DRAWS = np.random.RandomState(1).uniform(size=(6, augment.DRAWS)).astype(np.float32)


def seen(*kinds: str, draws: np.ndarray = DRAWS, value_range: augment.Range = RANGE) -> np.ndarray:
  return np.asarray(augment.view(jnp.asarray(X), jnp.asarray(draws), kinds, value_range))


def test_no_kind_leaves_pictures_as_they_are() -> None:
  np.testing.assert_allclose(seen(), X, atol=1e-6)


def test_turns_are_numpys() -> None:
  turns = np.array([0, 1, 2, 3, 1, 0], np.int32)
  expected = np.stack([np.rot90(x, k) for x, k in zip(X, turns, strict=True)])
  np.testing.assert_array_equal(augment.turned(jnp.asarray(X), jnp.asarray(turns)), expected)


def test_flips() -> None:
  expected = np.where(DRAWS[:, 0, None, None, None] < 0.5, X[:, :, ::-1], X)
  np.testing.assert_allclose(seen("flip"), expected, atol=1e-6)
  assert 0 < (DRAWS[:, 0] < 0.5).sum() < 6


def test_translations_are_by_whole_pixels_and_leave_grey() -> None:
  found = seen("translation")
  for picture, draws, moved in zip(X, DRAWS, found, strict=True):
    down, right = (int(np.floor(d * 5)) - 2 for d in draws[1:3])
    padded = np.pad(picture, ((2, 2), (2, 2), (0, 0)))
    np.testing.assert_allclose(
        moved, padded[2 - down:18 - down, 2 - right:18 - right], atol=1e-6
    )
  shifts = np.floor(DRAWS[:, 1] * 5) - 2
  assert len(set(shifts)) > 1


def test_a_hole_is_a_square_of_grey() -> None:
  found = seen("cutout")
  for picture, draws, cut in zip(X, DRAWS, found, strict=True):
    top, left = (int(np.floor(d * 17)) - 4 for d in draws[3:5])
    expected = picture.copy()
    expected[max(top, 0):max(top + 8, 0), max(left, 0):max(left + 8, 0)] = 0
    np.testing.assert_allclose(cut, expected, atol=1e-6)
  assert (found == 0).any(axis=(1, 2, 3)).all()


def test_colours() -> None:
  brightness, saturation, contrast = (DRAWS[:, i, None, None, None] for i in (5, 6, 7))
  x = X + brightness - 0.5
  x = (x - x.mean(3, keepdims=True)) * 2 * saturation + x.mean(3, keepdims=True)
  mean = x.mean((1, 2, 3), keepdims=True)
  np.testing.assert_allclose(seen("colour"), (x - mean) * (contrast + 0.5) + mean, atol=1e-5)


def test_another_range_of_values_is_kept() -> None:
  low = np.asarray(augment.view(jnp.asarray(X / 2 + 0.5), DRAWS, ("translation",), (0.0, 1.0)))
  np.testing.assert_allclose(low, seen("translation") / 2 + 0.5, atol=1e-6)


@pytest.mark.parametrize("kind", augment.KINDS)
def test_gradients_reach_the_pictures(kind: str) -> None:
  look = lambda x: jnp.sum(jnp.square(augment.view(x, DRAWS, (kind,), RANGE)))
  assert float(jnp.abs(jax.grad(look)(jnp.asarray(X))).sum()) > 0


def test_what_d_and_e_see() -> None:
  draws = np.random.RandomState(2).uniform(size=(6, 3, augment.DRAWS)).astype(np.float32)
  views = augment.Views(("translation",), True, RANGE)
  batch = Batch(jnp.asarray(X), jnp.asarray(X))
  shown = views.show(batch, draws)
  np.testing.assert_array_equal(shown.x, X)
  np.testing.assert_allclose(shown.x_encoder, seen("translation", draws=draws[:, 0]), atol=1e-6)
  both = views.look(draws)(jnp.concatenate([batch.x, batch.x]))
  np.testing.assert_allclose(both[:6], seen("translation", draws=draws[:, 1]), atol=1e-6)
  np.testing.assert_allclose(both[6:], seen("translation", draws=draws[:, 2]), atol=1e-6)
  assert views._replace(encoder=False).show(batch, draws) is batch

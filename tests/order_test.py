"""Tests of the order of images: shuffled passes without end, the same from whatever point on."""

import jax
import numpy as np
import pytest

from bigan_jax.data import order

SIZE = 10
KEY = jax.random.key(3)
window = jax.jit(order.window, static_argnums=(3, 4))


def images(start: int, length: int) -> np.ndarray:
  """Indices of `length` images from the `start`-th of the whole sequence on."""
  return np.asarray(window(KEY, *divmod(start, SIZE), length, SIZE))


def test_start_of_a_step() -> None:
  assert order.start_of(0, 128, 50_000) == (0, 0)
  assert order.start_of(391, 128, 50_000) == (1, 48)
  assert order.start_of(10**9, 128, 1_281_167) == divmod(128 * 10**9, 1_281_167)


def test_every_pass_visits_every_image_once_in_an_order_of_its_own() -> None:
  passes = images(0, 4 * SIZE).reshape(4, SIZE)
  np.testing.assert_array_equal(np.sort(passes, axis=1), np.tile(np.arange(SIZE), (4, 1)))
  assert len({tuple(p) for p in passes}) == 4
  other = window(jax.random.key(4), 0, 0, 4 * SIZE, SIZE)
  assert not np.array_equal(other, passes.reshape(-1))


@pytest.mark.parametrize("length", [1, 7, SIZE, 23])
def test_any_window_is_a_piece_of_one_sequence(length: int) -> None:
  whole = images(0, 60)
  for start in (0, 1, 9, 10, 19, 33):
    np.testing.assert_array_equal(images(start, length), whole[start:start + length])


def test_the_host_finds_the_same_order() -> None:
  key = jax.random.PRNGKey(3)
  for batch_size, steps in ((4, range(12)), (SIZE, (0, 1, 5)), (3, (7, 2, 10**6))):
    for step in steps:
      start = order.start_of(step, batch_size, SIZE)
      found = order.host_window(order.key_to_host(key), step, batch_size, SIZE)
      np.testing.assert_array_equal(found, window(key, *start, batch_size, SIZE))
  np.testing.assert_array_equal(order.host_to_key(order.key_to_host(key)), key)

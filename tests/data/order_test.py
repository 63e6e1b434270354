"""Tests of the order of images: shuffled passes without end, the same from whatever point on."""

import jax
import numpy as np
import pytest

from bigan_jax.data import order

SIZE = 10
KEY = (3, 7)


def test_every_pass_visits_every_image_once_in_an_order_of_its_own() -> None:
  passes = order.window(KEY, 0, SIZE, SIZE, steps=4).reshape(4, SIZE)
  np.testing.assert_array_equal(np.sort(passes, axis=1), np.tile(np.arange(SIZE), (4, 1)))
  assert len({tuple(p) for p in passes}) == 4
  other = order.window((4, 7), 0, SIZE, SIZE, steps=4)
  assert not np.array_equal(other, passes.reshape(-1))


@pytest.mark.parametrize("batch_size, steps", [(1, 1), (3, 1), (4, 5), (SIZE, 2), (23, 1), (23, 2)])
def test_any_steps_are_a_piece_of_one_sequence(batch_size: int, steps: int) -> None:
  whole = order.window(KEY, 0, 1, SIZE, steps=300)
  for step in (0, 1, 2, 5, 10):
    start, length = step * batch_size, steps * batch_size
    found = order.window(KEY, step, batch_size, SIZE, steps)
    np.testing.assert_array_equal(found, whole[start:start + length])


def test_late_steps() -> None:
  late = order.window(KEY, 10**9, SIZE, SIZE)
  assert sorted(late) == [*range(SIZE)]
  assert not np.array_equal(late, order.window(KEY, 10**9 + 1, SIZE, SIZE))


def test_keys_become_numbers_and_keys_again() -> None:
  key = jax.random.PRNGKey(3)
  np.testing.assert_array_equal(order.host_to_key(order.key_to_host(key)), key)

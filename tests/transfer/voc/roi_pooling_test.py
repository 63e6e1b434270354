"""Tests of RoI pooling against a plain loop, in values and gradients."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.transfer.voc import roi_pooling

F = np.float32


def c_round(value: np.float32) -> int:
  """C's round: halves away from zero."""
  return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))


def loop(
    x: np.ndarray, boxes: np.ndarray, scale: float, bins: int, upstream: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Values, and the gradient of sum(values * upstream), bin by bin with Caffe's float32 sizes."""
  height, width, channels = x.shape[1:]
  values, gradient = np.zeros(upstream.shape, F), np.zeros(x.shape, F)
  for b, r in np.ndindex(boxes.shape[:2]):
    x1, y1, x2, y2 = (c_round(corner * F(scale)) for corner in boxes[b, r])
    tall, wide = F(max(y2 - y1 + 1, 1)) / F(bins), F(max(x2 - x1 + 1, 1)) / F(bins)
    for i, j in np.ndindex(bins, bins):
      top = min(max(y1 + math.floor(F(i) * tall), 0), height)
      end = min(max(y1 + math.ceil(F(i + 1) * tall), 0), height)
      left = min(max(x1 + math.floor(F(j) * wide), 0), width)
      right = min(max(x1 + math.ceil(F(j + 1) * wide), 0), width)
      if top >= end or left >= right:
        continue
      for c in range(channels):
        window = x[b, top:end, left:right, c]
        place = np.unravel_index(window.argmax(), window.shape)  # the first, row by row
        values[b, r, i, j, c] = window[place]
        gradient[b, top + place[0], left + place[1], c] += upstream[b, r, i, j, c]
  return values, gradient


def draw_boxes(rs: np.random.RandomState, shape: tuple[int, int]) -> np.ndarray:
  corners = np.sort(rs.randint(-20, 220, (*shape, 2, 2)), axis=2)
  return corners.reshape(*shape, 4).astype(F)


@pytest.mark.parametrize("height, width, bins", [(9, 13, 6), (16, 8, 6), (5, 7, 1), (1, 3, 2)])
def test_values_and_gradients_equal_a_loop(height: int, width: int, bins: int) -> None:
  rs = np.random.RandomState(0)
  x = rs.randint(-9, 10, (2, height, width, 3)).astype(F)  # Whole numbers: many ties.
  boxes = draw_boxes(rs, (2, 20))
  boxes[0, :4] = [[0, 0, 207, 143], [40, 40, 40, 40], [8, 24, 40, 56], [60, 50, 20, 30]]
  upstream = rs.randint(1, 9, (2, 20, bins, bins, 3)).astype(F)
  pool = lambda x: roi_pooling.roi_pool(x, jnp.asarray(boxes), 1 / 16, bins)
  values, pull = jax.vjp(jax.jit(pool), x)
  expected, gradient = loop(x, boxes, 1 / 16, bins, upstream)
  np.testing.assert_array_equal(values, expected)
  np.testing.assert_array_equal(pull(jnp.asarray(upstream))[0], gradient)


def test_a_region_by_hand() -> None:
  x = jnp.arange(16.0).reshape(1, 4, 4, 1)
  pool = lambda *box: roi_pooling.roi_pool(x, jnp.array([[box]], jnp.float32), 0.5, 2)[0, 0, ..., 0]
  np.testing.assert_array_equal(pool(0, 0, 6, 6), [[5, 7], [13, 15]])
  np.testing.assert_array_equal(pool(0, 0, 5, 2), [[1, 3], [5, 7]])  # 5 / 2 is rounded up to 3.
  np.testing.assert_array_equal(pool(0, 0, 4, 4), [[5, 6], [9, 10]])  # Three rows: bins overlap.
  np.testing.assert_array_equal(pool(6, 6, 12, 12), [[15, 0], [0, 0]])  # The rest is outside.
  np.testing.assert_array_equal(pool(6, 6, 0, 0), [[15, 15], [15, 15]])  # Turned around: one pixel.


@pytest.mark.parametrize("value, expected", [(0.5, 1), (1.5, 2), (2.5, 3), (-0.5, -1), (-2.5, -3),
                                             (0.49999997, 0), (2.4, 2), (-1.6, -2), (7, 7)])
def test_rounding_is_cs(value: float, expected: float) -> None:
  assert roi_pooling._round(jnp.float32(value)) == expected


def test_six_bins_are_caffes_for_every_size() -> None:
  """Caffe computes the edges in float32, this project in integers."""
  sizes, steps = np.arange(1, 2001), np.arange(6)
  side = (sizes.astype(F) / F(6))[:, None]
  starts, ends = roi_pooling._edges(
      jnp.zeros((1, 2000), jnp.int32), jnp.asarray(sizes - 1)[None], 6
  )
  np.testing.assert_array_equal(starts[0], np.floor(steps.astype(F) * side))
  np.testing.assert_array_equal(ends[0], np.ceil((steps + 1).astype(F) * side))


def test_boxes_get_no_gradient() -> None:
  boxes = jnp.array([[[0.0, 0.0, 30.0, 30.0]]])
  total = lambda boxes: roi_pooling.roi_pool(jnp.ones((1, 4, 4, 2)), boxes, 0.1, 3).sum()
  np.testing.assert_array_equal(jax.grad(total)(boxes), np.zeros((1, 1, 4)))


def test_a_diverged_map_is_not_hidden() -> None:
  x = jnp.zeros((1, 4, 4, 1)).at[0, 2, 3].set(jnp.nan)
  values = roi_pooling.roi_pool(x, jnp.array([[[0.0, 0.0, 3.0, 3.0]]]), 1.0, 2)[0, 0, ..., 0]
  np.testing.assert_array_equal(values, [[0, 0], [0, np.nan]])

"""RoI max pooling as in Fast R-CNN: any region of a feature map as a fixed grid of maxima."""

import chex
import jax
import jax.numpy as jnp


def roi_pool(x: jax.Array, boxes: jax.Array, scale: float, bins: int = 6) -> jax.Array:
  """Maxima over a grid of bins in each region: [B, R, bins, bins, C].

  A region's corners are scaled and rounded, both ends belong to it, and bin i of `bins` along a
  side of n runs from floor(i n / bins) up to ceil((i + 1) n / bins), so bins overlap by a pixel
  where n does not divide. An empty bin (outside of the map) gives 0. The gradient goes to the
  maximum; of equal ones to the first, row by row. All this is the layer ROIPooling of Fast R-CNN's
  Caffe; its float32 bins are these integers for 6 bins, at all sizes tried.

  Args:
    x: feature maps [B, H, W, C].
    boxes: regions [B, R, 4] of each map's picture, (x1, y1, x2, y2) in its pixels, float32.
    scale: of the map against the picture, such as 1 / 16.
  """
  chex.assert_rank([x, boxes], [4, 3])
  corners = _round(jax.lax.stop_gradient(boxes) * scale).astype(jnp.int32)
  rows = _inside(corners[..., 1], corners[..., 3], x.shape[1], bins)
  columns = _inside(corners[..., 0], corners[..., 2], x.shape[2], bins)
  return jax.vmap(_pool)(x, rows, columns)


def _round(values: jax.Array) -> jax.Array:
  """Halves away from zero, as C does it; jnp.round takes them to the even neighbour."""
  whole = jnp.trunc(values)
  return whole + jnp.where(jnp.abs(values - whole) >= 0.5, jnp.sign(values), 0)


def _inside(first: jax.Array, last: jax.Array, size: int, bins: int) -> jax.Array:
  """Which of the `size` pixels along a side lie in which bin: bool [B, R, bins, size]."""
  starts, ends = _edges(first, last, bins)
  pixels = jnp.arange(size)
  return (pixels >= starts[..., None]) & (pixels < ends[..., None])


def _edges(first: jax.Array, last: jax.Array, bins: int) -> tuple[jax.Array, jax.Array]:
  """Start and end (exclusive) of every bin along a side, int32 [B, R, bins]."""
  length = jnp.maximum(last - first + 1, 1)[..., None]
  steps = jnp.arange(bins, dtype=jnp.int32)
  starts = first[..., None] + steps * length // bins
  return starts, first[..., None] - (-(steps + 1) * length) // bins


def _pool(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
  """One map [H, W, C], its regions' bins [R, bins, H] and [R, bins, W].

  The places of the maxima are found region after region, which takes 40 MB for 128 regions of a
  38 x 63 map of 256 channels where all at once take gigabytes; all values are picked together.
  """
  height, width, channels = x.shape
  seen = jax.lax.stop_gradient(x)
  places = jax.lax.map(lambda masks: _places(seen, *masks), (rows, columns))
  flat, index = x.reshape(height * width, channels), places.reshape(-1, channels)
  maxima = jnp.take_along_axis(flat, index, axis=0).reshape(places.shape)  # NaN of a bin with NaN.
  filled = rows.any(axis=-1)[:, :, None] & columns.any(axis=-1)[:, None, :]
  return jnp.where(filled[..., None], maxima, 0)


def _places(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
  """Index into H * W of each bin's first maximum, int32 [bins, bins, C]: first down, then across.

  H * W or more for a bin that is empty or holds a NaN.
  """
  height, width, _ = x.shape
  down, across = rows[:, :, None, None], columns[None, :, :, None]
  tops = jnp.where(down, x, -jnp.inf).max(axis=1)  # [bins, W, C]
  first = down & (x == tops[:, None])
  lines = jnp.where(first, jnp.arange(height)[:, None, None], height).min(axis=1)
  places = lines * width + jnp.arange(width)[:, None]
  maxima = jnp.where(across, tops[:, None], -jnp.inf).max(axis=2)  # [bins, bins, C]
  first = across & (tops[:, None] == maxima[:, :, None])
  return jnp.where(first, places[:, None], height * width).min(axis=2)

"""Tests of convolutions, their transposes and pooling against XLA's own, values and gradients."""

from collections.abc import Callable, Iterator
from functools import partial
import itertools
import re

import jax
from jax import lax
import jax.export
import jax.numpy as jnp
from jax.test_util import check_grads
import numpy as np
import pytest

from bigan_jax.models import pooling, strided
from bigan_jax.models.strided import Window

# (height, width), kernel, window: the layers of G and D, of E, and cases that round down.
GEOMETRIES = [
    ((8, 8), 5, Window(stride=2, padding=2)),
    ((4, 15), 5, Window(stride=2, padding=2)),
    ((9, 7), 5, Window(stride=2, padding=2)),
    ((14, 13), 11, Window(stride=4, padding=5)),
    ((5, 6), 3, Window(padding=1, groups=2)),
    ((9, 9), 2, Window(stride=3, groups=3)),  # pixels that no patch reaches
]
BATCH, CHANNELS, FEATURES = 5, 6, 12
POOL = Window(stride=2, padding=1)


def draw(seed: int, *shape: int, dtype: type = np.float64) -> jax.Array:
  return jnp.asarray(np.random.RandomState(seed).standard_normal(shape), dtype)


def native(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """XLA's own convolution, in its own words."""
  return lax.conv_general_dilated(
      x, kernel, (window.stride,) * 2, [(window.padding,) * 2] * 2,
      dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=window.groups,
  )


@pytest.fixture(autouse=True)
def small_chunks_of_doubles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
  """Batches of 5 go in chunks of at most 2, so that chunks are several and the last is filled."""
  monkeypatch.setattr(strided, "_images", lambda *_: 2)
  with jax.enable_x64(True):
    yield


@pytest.fixture(params=["cpu", "cuda"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
  """Computes here what programs for that platform do."""
  def choose(
      on_cpu: Callable[..., jax.Array], elsewhere: Callable[..., jax.Array], *args: jax.Array,
      on_cuda: Callable[..., jax.Array] | None = None,
  ) -> jax.Array:
    return (on_cpu if request.param == "cpu" else on_cuda or elsewhere)(*args)
  for module in (strided, pooling):
    monkeypatch.setattr(module, "choose", choose)


def values_and_gradients(
    f: Callable[..., jax.Array], args: tuple[jax.Array, ...], seed: jax.Array
) -> list[jax.Array]:
  """f(*args), and the gradients of its product with `seed`."""
  def both(*args: jax.Array) -> list[jax.Array]:
    y, pull_back = jax.vjp(f, *args)
    return [y, *pull_back(seed)]
  return jax.jit(both)(*args)


@pytest.mark.parametrize("size, k, window", GEOMETRIES)
def test_convolution_and_both_gradients(
    form: None, size: tuple[int, int], k: int, window: Window
) -> None:
  x = draw(0, BATCH, *size, CHANNELS)
  kernel = draw(1, k, k, CHANNELS // window.groups, FEATURES)
  y = draw(2, BATCH, *(window.positions(n, k) for n in size), FEATURES)
  ours = values_and_gradients(partial(strided.convolve, window=window), (x, kernel), y)
  theirs = values_and_gradients(partial(native, window=window), (x, kernel), y)
  for array, expected in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size, k, window", GEOMETRIES)
def test_transpose_and_both_gradients(
    form: None, size: tuple[int, int], k: int, window: Window
) -> None:
  x = draw(0, BATCH, *size, CHANNELS)
  kernel = draw(1, k, k, CHANNELS // window.groups, FEATURES)
  y = draw(2, BATCH, *(window.positions(n, k) for n in size), FEATURES)
  def native_transposed(y: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.linear_transpose(lambda x: native(x, kernel, window), x)(y)[0]
  transposed = partial(strided.transposed, window=window, size=size)
  ours = values_and_gradients(transposed, (y, kernel), x)
  theirs = values_and_gradients(native_transposed, (y, kernel), x)
  for array, expected in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-10)


def test_deconvolution_is_a_correlation_over_the_dilated_input_padded_2_and_3() -> None:
  layer = strided.Deconvolution(4, 5, Window(stride=2, padding=2))
  x, kernel = draw(0, 2, 4, 4, 3), draw(1, 5, 5, 4, 3)
  dilated = np.zeros((2, 4 * 2 - 1 + 2 + 3, 4 * 2 - 1 + 2 + 3, 3))
  dilated[:, 2:-3:2, 2:-3:2] = x
  flipped = np.asarray(kernel)[::-1, ::-1]
  expected = np.zeros((2, 8, 8, 4))
  for i, j in itertools.product(range(5), repeat=2):
    expected += dilated[:, i:i + 8, j:j + 8] @ flipped[i, j].T
  ours = layer.apply({"params": {"kernel": kernel}}, x)
  np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-10)


def test_second_derivatives() -> None:
  window = Window(stride=2, padding=2)
  x, kernel = draw(0, 2, 4, 5, 2), draw(1, 5, 5, 2, 3)
  f = jax.jit(lambda x, kernel: jnp.tanh(strided.convolve(x, kernel, window)))
  check_grads(f, (x, kernel), 2, ["rev"])


@pytest.mark.parametrize("dtype, tolerance", [(jnp.float32, 1e-5), (jnp.bfloat16, 5e-2)])
def test_types_are_kept(dtype: type, tolerance: float) -> None:
  window = Window(stride=2, padding=2)
  x, kernel = draw(0, BATCH, 8, 8, 3, dtype=dtype), draw(1, 5, 5, 3, 4, dtype=dtype)
  seed = draw(2, BATCH, 4, 4, 4, dtype=dtype)
  arrays = values_and_gradients(partial(strided.convolve, window=window), (x, kernel), seed)
  assert {array.dtype for array in arrays} == {jnp.dtype(dtype)}
  expected = native(x.astype(jnp.float64), kernel.astype(jnp.float64), window)
  scale = np.abs(expected).max()
  ours = arrays[0].astype(jnp.float64)
  np.testing.assert_allclose(ours / scale, expected / scale, atol=tolerance)


def naive_max_pool(x: np.ndarray, k: int, stride: int, padding: int) -> np.ndarray:
  sides = [(0, 0), (padding, padding), (padding, padding), (0, 0)]
  padded = np.pad(x, sides, constant_values=-np.inf)
  rows, columns = ((n - k) // stride + 1 for n in padded.shape[1:3])
  return np.stack([np.stack([
      padded[:, i * stride:i * stride + k, j * stride:j * stride + k].max((1, 2))
      for j in range(columns)], 1) for i in range(rows)], 1)


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_max_pool_of_negative_values_ignores_the_padding(size: tuple[int, int]) -> None:
  x = -jnp.abs(draw(0, 2, *size, 3)) - 1
  np.testing.assert_array_equal(pooling.max_pool(x, 3, POOL), naive_max_pool(x, 3, 2, 1))


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_gradient_of_max_pool_goes_to_the_first_maximum(form: None, size: tuple[int, int]) -> None:
  x = jnp.round(draw(0, 2, *size, 3))  # many ties
  def native_max_pool(x: jax.Array) -> jax.Array:
    sides = ((0, 0), (1, 1), (1, 1), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), sides)
  y = draw(1, *pooling.max_pool(x, 3, POOL).shape)
  ours = values_and_gradients(lambda x: pooling.max_pool(x, 3, POOL), (x,), y)
  theirs = values_and_gradients(native_max_pool, (x,), y)
  for array, expected in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(array, expected, rtol=1e-12, atol=1e-12)


def everything(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A scalar that goes through a convolution, its transpose and a pool."""
  window = Window(stride=2, padding=2)
  y = pooling.max_pool(strided.convolve(x, kernel, window), 3, POOL)
  size = tuple(2 * n for n in y.shape[1:3])
  return jnp.sum(jnp.square(strided.transposed(y, kernel, window, size)))


def test_the_form_follows_the_platform() -> None:
  x, kernel = draw(0, 2, 8, 8, 3), draw(1, 5, 5, 3, 4)
  gradients = jax.jit(jax.grad(everything, argnums=(0, 1)))
  def program(platform: str) -> str:
    return gradients.trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
  for platform in ("cuda", "tpu"):
    assert program(platform).count("stablehlo.convolution") == 6  # three for each of two layers
    assert "stablehlo.dot_general" not in program(platform)
    assert "stablehlo.while" not in program(platform)
    assert ("select_and_scatter" in program(platform)) == (platform == "tpu")
  assert "stablehlo.convolution" not in program("cpu")


@pytest.mark.parametrize("side", [8, 16])
def test_programs_for_gpus_meet_no_map_that_is_smaller_than_a_kernel_of_strided_layers(
    side: int,
) -> None:
  """Of a dilated map XLA multiplies the zeros too if it has fewer entries than the kernel."""
  window = Window(stride=2, padding=2)
  x, kernel = draw(0, 2, side, side, 3), draw(1, 5, 5, 3, 4)
  y = draw(2, 2, side // 2, side // 2, 4)
  def gradients(x: jax.Array, kernel: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vjp(lambda *args: strided.convolve(*args, window), x, kernel)[1](y)
  lowered = jax.jit(gradients).trace(x, kernel, y).lower(lowering_platforms=("cuda",)).as_text()
  convolutions = [line for line in lowered.splitlines() if "stablehlo.convolution" in line]
  maps = [re.search(r"tensor<2x(\d+x\d+)x4xf64>", line)[1] for line in convolutions]
  assert sorted(maps) == {8: ["5x5", "6x4"], 16: ["8x8", "8x8"]}[side]


def test_one_export_serves_all_platforms() -> None:
  x, kernel = draw(0, 2, 8, 8, 3), draw(1, 5, 5, 3, 4)
  exported = jax.export.export(jax.jit(everything), platforms=("cpu", "cuda", "tpu"))(x, kernel)
  assert exported.platforms == ("cpu", "cuda", "tpu")
  np.testing.assert_allclose(exported.call(x, kernel), everything(x, kernel), rtol=1e-10)


@pytest.mark.parametrize("asked, expected", [
    ("float32", "HIGHEST"), ("tensorfloat32", "HIGH"), ("bfloat16", "DEFAULT"),
])
def test_what_is_traced_once_is_not_shared_between_precisions(asked: str, expected: str) -> None:
  x, kernel = jnp.zeros((2, 8, 8, 3)), jnp.zeros((5, 5, 3, 4))
  loss = lambda x, kernel: strided.convolve(x, kernel, Window(2, 2)).sum()
  with jax.default_matmul_precision(asked):
    text = str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(x, kernel))
  assert set(re.findall(r"precision=\(?(?:Precision\.)?(\w+)", text)) == {expected}

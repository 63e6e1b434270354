"""Tests of fully convolutional networks: places, interpolation, layers, and what may be small."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.models.strided import Window, transposed
from bigan_jax.transfer import head
from bigan_jax.transfer.voc import fcn

WIDTHS = (2, 4, 4, 4, 4)


def network(
    stride: int = 32, padded: bool = True, kernel: int = 6, dropout: float = 0.5
) -> fcn.Fcn:
  return fcn.Fcn(3, WIDTHS, (5, 6), kernel, dropout, padded, stride)


def zeros(net: fcn.Fcn) -> dict:
  shapes = jax.eval_shape(net.init, jax.random.PRNGKey(0), jnp.zeros((1, 96, 96, 3)))["params"]
  return jax.tree.map(lambda a: np.zeros(a.shape, np.float32), shapes)


def drawn(net: fcn.Fcn) -> dict:
  random = np.random.RandomState(0)
  return jax.tree.map(lambda a: random.normal(0, 0.3, a.shape).astype(np.float32), zeros(net))


apply = jax.jit(
    lambda net, params, x, keys=None: net.apply({"params": params}, x, keys), static_argnums=0
)


def passing_through(net: fcn.Fcn, last: str) -> dict:
  """Weights by which class 1 is the first channel of the picture, scored by the layer `last`."""
  params = zeros(net)
  for name, layer in params.items():
    k = layer["kernel"].shape[0]
    middle = slice((k - 1) // 2, k // 2 + 1)  # one tap, or the four in the middle
    size = (k // 2 - (k - 1) // 2 + 1) ** 2
    if not name.startswith("score"):
      layer["kernel"][middle, middle, 0, 0] = 1 / size
  params[last]["kernel"][0, 0, 0, 1] = 1
  return params


# Places


def test_strides_follow_from_the_windows() -> None:
  assert (fcn.skips(32), fcn.skips(16), fcn.skips(8)) == ((), ("pool2",), ("pool2", "pool1"))
  found = fcn.grids(227, 6, padded=False)
  assert found["pool1"] == (9, 8, 27) and found["pool2"] == (17, 16, 13)
  assert found["pool5"] == (33, 32, 6) and found["score"] == (17, 32, 7)
  assert fcn.grids(500, 6, padded=True)["score"] == (-16, 32, 17)
  assert fcn.grids(64, 3, padded=True)["score"] == (0, 32, 2)


@pytest.mark.parametrize("stride, last, kernel, padded", [
    (32, "score", 3, False), (8, "score", 6, True), (8, "score_pool2", 6, True),
    (8, "score_pool1", 6, True),
])
def test_what_goes_in_comes_out_in_its_place(
    stride: int, last: str, kernel: int, padded: bool
) -> None:
  """Pixels that hold their own row or column come out as these, away from the borders."""
  net = network(stride, padded, kernel)
  params = passing_through(net, last)
  height, width = 300, 260
  for axis, size in enumerate((height, width)):
    ramp = np.arange(size, dtype=np.float32)[:, None] if axis == 0 else np.arange(size)[None]
    ramp = np.broadcast_to(ramp, (height, width)).astype(np.float32)
    # Max pools push both up by the same; half their difference is free of that.
    both = np.stack([ramp, size - ramp])[..., None].repeat(3, axis=-1)
    up, down = apply(net, params, both)[0]
    assert up.shape == (height, width, 3) and not np.any(up[..., ::2])
    place = (up - down)[..., 1] / 2 + size / 2
    inner = (slice(120, -120), slice(100, -100))
    np.testing.assert_allclose(place[inner], ramp[inner], atol=1e-3)


def test_an_impulse_comes_out_where_it_went_in() -> None:
  """The response to a bright spot is symmetric about it; its place is one that pools sample."""
  net = network(8)
  x = np.zeros((2, 300, 260, 3), np.float32)
  x[0, 144, 128] = 1
  found = np.asarray(apply(net, passing_through(net, "score_pool1"), x)[0])[0, ..., 1]
  assert found[144, 128] == found.max() > 0
  around = found[144 - 60:144 + 61, 128 - 60:128 + 61]
  np.testing.assert_allclose(around, around[::-1], atol=1e-6)
  np.testing.assert_allclose(around, around.T, atol=1e-6)
  np.testing.assert_allclose(around.sum(), found.sum(), rtol=1e-5)


def plain_bilinear(scores: np.ndarray, first: float, step: int, side: int) -> np.ndarray:
  """Of [h, w], one pixel after the other."""
  out = np.zeros((side, side))
  for i in range(side):
    for j in range(side):
      y, x = (min(max((p - first) / step, 0), len(scores) - 1) for p in (i, j))
      y0, x0 = int(y), int(x)
      y1, x1 = min(y0 + 1, len(scores) - 1), min(x0 + 1, len(scores) - 1)
      a, b = y - y0, x - x0
      out[i, j] = ((1 - a) * ((1 - b) * scores[y0, x0] + b * scores[y0, x1])
                   + a * ((1 - b) * scores[y1, x0] + b * scores[y1, x1]))
  return out


@pytest.mark.parametrize("first, step", [(0.0, 8), (-4.0, 8), (3.5, 8), (9.0, 4)])
def test_interpolation_is_bilinear(first: float, step: int) -> None:
  scores = np.random.RandomState(0).normal(size=(2, 5, 5, 3)).astype(np.float32)
  weights = fcn.tents(fcn.Grid(first, step, 5), jnp.arange(41))
  found = fcn.interpolate(scores, weights, weights)
  for n in range(2):
    for k in range(3):
      expected = plain_bilinear(scores[n, :, :, k], first, step, 41)
      np.testing.assert_allclose(found[n, :, :, k], expected, atol=1e-5)


def test_between_the_outermost_scores_it_is_a_transposed_convolution() -> None:
  """With Caffe's fixed tents, 2 strides wide: of odd and of even width."""
  scores = np.random.RandomState(1).normal(size=(1, 6, 6, 1)).astype(np.float32)
  for k in (7, 8):
    middle = (k - 1) / 2
    tent = np.maximum(0, 1 - np.abs(np.arange(k) - middle) / 4)
    kernel = np.float32(tent[:, None] * tent)[..., None, None]
    whole = transposed(scores, kernel, Window(stride=4), (20 + k, 20 + k))[0, ..., 0]
    weights = fcn.tents(fcn.Grid(middle, 4, 6), jnp.arange(20 + k))
    found = fcn.interpolate(scores, weights, weights)[0, ..., 0]
    inner = slice(4, 20)
    np.testing.assert_allclose(found[inner, inner], whole[inner, inner], atol=1e-6)


def test_every_map_can_have_places_of_its_own() -> None:
  scores = np.random.RandomState(2).normal(size=(2, 4, 3, 2)).astype(np.float32)
  places = np.array([[0.0, 2.5, 7.0], [1.0, 1.5, 30.0]])
  rows, columns = fcn.tents(fcn.Grid(0.0, 4, 4), places), fcn.tents(fcn.Grid(0.0, 4, 3), places)
  together = fcn.interpolate(scores, rows, columns)
  for n in range(2):
    alone = fcn.interpolate(scores[n:n + 1], rows[n], columns[n])
    np.testing.assert_allclose(together[n], alone[0], atol=1e-6)


# Layers


def test_its_layers_are_alexnets_as_convolutions() -> None:
  shapes = jax.eval_shape(
      fcn.Fcn(21, stride=8).init, jax.random.PRNGKey(0), jnp.zeros((1, 64, 64, 3))
  )["params"]
  ours = {name: layer["kernel"].shape for name, layer in shapes.items()}
  theirs = jax.eval_shape(
      head.AlexNet(20, padded=False).init, jax.random.PRNGKey(0), jnp.zeros((1, 227, 227, 3))
  )["params"]
  for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
    assert ours[name] == theirs[name]["kernel"].shape
  assert ours["fc6"] == (6, 6, 256, 4096) and theirs["fc6"]["kernel"].shape == (6 * 6 * 256, 4096)
  assert (ours["fc7"], ours["score"]) == ((1, 1, 4096, 4096), (1, 1, 4096, 21))
  assert (ours["score_pool2"], ours["score_pool1"]) == ((1, 1, 256, 21), (1, 1, 96, 21))


def test_its_middle_score_is_the_classifiers() -> None:
  """Where fc6 sees the whole pool5 of 227 pixels, unpadded, it computes what AlexNet does."""
  net, classifier = network(padded=False, dropout=0), head.AlexNet(3, WIDTHS, (5, 6), 0, False)
  params = drawn(net)
  dense = {**params, **{n: {**params[n], "kernel": params[n]["kernel"].reshape(-1, u)}
                        for n, u in (("fc6", 5), ("fc7", 6), ("score", 3))}}
  dense["fc8"] = dense.pop("score")
  x = np.random.RandomState(3).normal(size=(1, 227, 227, 3)).astype(np.float32)
  (scores, activations), (logits, _) = jax.jit(lambda x: (
      net.apply({"params": params}, x, method="scores"), classifier.apply({"params": dense}, x)
  ))(x)
  assert scores.shape == (1, 7, 7, 3) and activations["fc6"].shape == (1, 7, 7, 5)
  np.testing.assert_allclose(scores[:, 3, 3], logits, rtol=1e-4, atol=1e-5)


def test_zero_skips_leave_the_coarse_scores_alone() -> None:
  net = network(8)
  params = {**drawn(net), **{name: zeros(net)[name] for name in ("score_pool1", "score_pool2")}}
  x = np.random.RandomState(4).normal(size=(2, 300, 260, 3)).astype(np.float32)
  logits, activations = apply(net, params, x)
  coarse = activations["fc7"] @ params["score"]["kernel"][0, 0] + params["score"]["bias"]
  # Coarse places are among the fine ones: what is linear stays so, up to the last fine one.
  found = fcn.grids(300, 6, padded=True)["score"], fcn.grids(260, 6, padded=True)["score"]
  expected = fcn.interpolate(coarse, *(fcn.tents(grid, jnp.arange(257)) for grid in found))
  assert np.std(expected) > 0.01
  np.testing.assert_allclose(logits[:, :257, :257], expected, atol=1e-4)


def test_dropout_follows_the_key_of_each_picture() -> None:
  net = network()
  x, keys = np.ones((3, 64, 64, 3), np.float32), jax.random.split(jax.random.PRNGKey(1), 2)
  found = apply(net, drawn(net), x, keys[np.array([0, 1, 0])])[0]
  assert np.any(found[0] != found[1])
  np.testing.assert_allclose(found[0], found[2], atol=1e-5)


def test_scores_are_float32_whatever_the_precision() -> None:
  net = network(16)
  narrow = jax.tree.map(lambda a: jnp.asarray(a, jnp.bfloat16), drawn(net))
  x = jnp.ones((1, 64, 64, 3), jnp.bfloat16)
  assert jax.eval_shape(lambda: net.apply({"params": narrow}, x))[0].dtype == jnp.float32


def test_pictures_may_be_too_small_without_padding() -> None:
  with pytest.raises(ValueError, match="config.crop is 50, of which nothing is left after conv5"):
    fcn.grids(50, 6, padded=False)
  with pytest.raises(ValueError, match="config.crop is 8, of which nothing is left after conv1"):
    fcn.grids(8, 6, padded=False)
  assert fcn.grids(1, 6, padded=True)["score"].count == 2


def test_an_alexnet_becomes_convolutions() -> None:
  """fc6 and fc7 say of the one place in the middle what they say of a whole picture."""
  alexnet, net = head.AlexNet(9, WIDTHS, (5, 6), padded=False), network(8, padded=False, kernel=3)
  random = np.random.RandomState(0)
  x = np.float32(random.normal(size=(2, 131, 131, 3)))
  shapes = jax.eval_shape(alexnet.init, jax.random.PRNGKey(0), x)["params"]
  params = jax.tree.map(lambda a: np.float32(random.normal(0, 0.3, a.shape)), shapes)
  layers = {name: layer for name, layer in params.items() if name != "fc8"}
  found = fcn.start(net, layers, 200)
  activations = apply(net, found, x)[1]
  expected = jax.jit(lambda: alexnet.apply({"params": params}, x)[1])()
  assert activations["fc7"].shape == (2, 3, 3, 6)
  np.testing.assert_allclose(activations["fc7"][:, 1, 1], expected["fc7"], rtol=1e-4, atol=1e-4)
  scores = {name for name in found if name.startswith("score")}
  assert scores == {"score", "score_pool1", "score_pool2"} == found.keys() - layers.keys()
  assert not any(np.any(leaf) for name in scores for leaf in found[name].values())

"""Tests of data-dependent initialisation (Kraehenbuehl et al.; reference section 9)."""

from collections.abc import Callable
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.models.strided import Window, convolve
from bigan_jax.transfer import head, initialise

PERCEPTRON = head.Perceptron(4, (12, 6))
ALEXNET = head.AlexNet(4, (4, 8, 8, 8, 8), (6, 6))


def images(count: int = 60, side: int = 5) -> jax.Array:
  """Pixels of unequal mean and spread."""
  rs = np.random.RandomState(0)
  x = rs.normal(size=(count, side, side, 3)) * rs.uniform(0.1, 2, (side, side, 3)) + 0.5
  return jnp.asarray(x, jnp.float32)


def start(network: head.AlexNet | head.Perceptron, x: jax.Array) -> initialise.Params:
  return jax.jit(network.init)(jax.random.PRNGKey(9), x)["params"]


def pre_activations(params: initialise.Params, x: jax.Array) -> dict[str, np.ndarray]:
  """Of PERCEPTRON, by hand."""
  h, found = np.asarray(x).reshape(len(x), -1), {}
  for name in PERCEPTRON.layers:
    found[name] = h @ params[name]["kernel"] + params[name]["bias"]
    h = np.maximum(found[name], 0.2 * found[name])
  return found


@pytest.mark.parametrize("method", ["gaussian", "k-means"])
def test_every_unit_has_variance_one(method: str) -> None:
  x = images()
  params = initialise.initialise(PERCEPTRON, start(PERCEPTRON, x), x, PERCEPTRON.layers, method, 0)
  for name, values in pre_activations(params, x).items():
    np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(values.mean(axis=0), 0.1, atol=1e-4, err_msg=name)


def test_every_channel_has_variance_one_over_images_and_places() -> None:
  x = images(12, 16)
  params = initialise.initialise(ALEXNET, start(ALEXNET, x), x, ("conv2",), "k-means", 0)
  activation = jax.jit(lambda: ALEXNET.apply({"params": params}, x)[1]["conv2"])()
  before = np.minimum(activation, 5 * activation)  # undoes the leaky ReLU
  np.testing.assert_allclose(before.std(axis=(0, 1, 2)), 1, atol=1e-3)
  np.testing.assert_allclose(before.mean(axis=(0, 1, 2)), 0.1, atol=1e-3)


def test_only_the_named_layers_change() -> None:
  x = images()
  old = start(PERCEPTRON, x)
  new = initialise.initialise(PERCEPTRON, old, x, ("fc2", "out"), "gaussian", 0)
  assert new["fc1"] is old["fc1"]
  assert all(np.all(new[name]["kernel"] != old[name]["kernel"]) for name in ("fc2", "out"))
  np.testing.assert_allclose(pre_activations(new, x)["fc2"].std(axis=0), 1, atol=1e-4)


def test_the_seed_decides() -> None:
  x = images()
  draw = lambda seed: initialise.initialise(
      PERCEPTRON, start(PERCEPTRON, x), x, PERCEPTRON.layers, "k-means", seed
  )
  jax.tree.map(np.testing.assert_array_equal, draw(3), draw(3))
  assert np.any(draw(3)["fc1"]["kernel"] != draw(4)["fc1"]["kernel"])


def test_plain_weights_ignore_the_images() -> None:
  old = start(PERCEPTRON, images())
  one, two = (initialise.initialise(PERCEPTRON, old, x, PERCEPTRON.layers, "plain", 0)
              for x in (images(), 9 * images(3)))
  jax.tree.map(np.testing.assert_array_equal, one, two)
  assert float(jnp.std(one["fc1"]["kernel"])) == pytest.approx((2 / 75) ** 0.5, rel=0.1)
  assert not np.any(one["fc1"]["bias"])


@pytest.mark.parametrize("x", [images(1), jnp.zeros((7, 5, 5, 3)), jnp.ones((7, 5, 5, 3))],
                         ids=["one image", "black", "all alike"])
@pytest.mark.parametrize("method", ["gaussian", "k-means"])
def test_images_that_do_not_vary_do_no_harm(x: jax.Array, method: str) -> None:
  params = start(PERCEPTRON, x)
  params = initialise.initialise(PERCEPTRON, params, x, PERCEPTRON.layers, method, 0)
  params = initialise.equalise(PERCEPTRON, params, x, PERCEPTRON.layers, 0)
  for values in pre_activations(params, x).values():
    assert np.isfinite(values).all() and np.abs(values).max() < 100


def test_k_means_finds_clusters() -> None:
  """Each of three kinds of images gets a unit of its own that answers it most."""
  rs, centres = np.random.RandomState(0), np.eye(3)
  kinds = np.arange(300) % 3
  x = centres[kinds] + rs.normal(0, 0.05, (300, 3))
  network = head.Perceptron(2, (3,))
  x = jnp.asarray(x, jnp.float32).reshape(300, 1, 1, 3)
  params = initialise.initialise(network, start(network, x), x, ("fc1",), "k-means", 0)
  winners = np.argmax(x.reshape(300, 3) @ params["fc1"]["kernel"], axis=1)
  by_kind = [set(winners[kinds == kind].tolist()) for kind in range(3)]
  assert all(len(units) == 1 for units in by_kind) and len(set.union(*by_kind)) == 3


def test_k_means_of_too_few_rows_is_gaussian() -> None:
  """As in the authors' settings for fc6 to fc8 (reference section 9)."""
  x = images(5)
  one, two = (initialise.initialise(PERCEPTRON, start(PERCEPTRON, x), x, ("fc1",), method, 0)
              for method in ("gaussian", "k-means"))
  jax.tree.map(np.testing.assert_array_equal, one, two)


def test_patches_are_what_a_convolution_sees() -> None:
  rs, window = np.random.RandomState(0), Window(stride=2, padding=1)
  y, kernel = rs.normal(size=(2, 7, 6, 4)), rs.normal(size=(3, 3, 4, 5))
  patches = initialise._patches(y, 3, window, 1000, rs)
  assert patches.shape == (2 * 4 * 3, 3, 3, 4)
  expected = convolve(jnp.float32(y), jnp.float32(kernel), window).reshape(-1, 5)
  found = patches.reshape(-1, 36) @ kernel.reshape(36, 5)
  in_order = lambda rows: rows[np.argsort(rows[:, 0])]
  np.testing.assert_allclose(in_order(found), in_order(np.asarray(expected)), atol=1e-5)
  assert len(initialise._patches(y, 3, window, 10, rs)) == 10


def test_equalised_layers_learn_at_one_rate() -> None:
  x, names = images(), ("fc2", "out")
  old = initialise.initialise(PERCEPTRON, start(PERCEPTRON, x), x, PERCEPTRON.layers, "gaussian", 0)
  old["fc2"] = jax.tree.map(lambda a: 8 * a, old["fc2"])
  new = initialise.equalise(PERCEPTRON, old, x, names, 0)
  def ratios(params: initialise.Params) -> dict[str, float]:
    output, pull_back = jax.vjp(lambda p: PERCEPTRON.apply({"params": p}, x)[0], params)
    grads, = pull_back(jax.random.normal(jax.random.PRNGKey(0), output.shape))
    size = lambda a: float(jnp.sqrt(jnp.mean(jnp.square(a))))
    return {n: size(grads[n]["kernel"]) / size(params[n]["kernel"]) for n in names}
  before, after = ratios(old), ratios(new)
  assert before["out"] / before["fc2"] > 5 and after["out"] / after["fc2"] == pytest.approx(
      1, abs=0.03
  )
  logits = [PERCEPTRON.apply({"params": params}, x)[0] for params in (old, new)]
  assert float(jnp.std(logits[1])) == pytest.approx(1, abs=0.02)
  scale = float(jnp.std(logits[1]) / jnp.std(logits[0]))
  np.testing.assert_allclose(logits[1], scale * logits[0], atol=1e-4)
  assert new["fc1"] is old["fc1"]


@pytest.mark.parametrize("function, names", [
    (initialise._moments, "fc1"), (initialise._input, "fc2"), (initialise._ratios, ("fc1", "fc2")),
])
def test_products_are_of_full_precision(function: Callable, names: str | tuple[str, ...]) -> None:
  x, last = images(), () if isinstance(names, str) else (jax.random.key(0),)
  arguments = (PERCEPTRON, start(PERCEPTRON, x), x, names, *last)
  text = str(jax.make_jaxpr(function, static_argnums=(0, 3))(*arguments))
  found = re.findall(r"precision=\(?(?:Precision\.)?(\w+)", text)
  assert found and set(found) == {"HIGHEST"}


def test_the_unit_scale_of_frozen_layers_is_a_power_of_two() -> None:
  x = images()
  old = start(PERCEPTRON, x)
  old["fc2"] = jax.tree.map(lambda a: a / 300, old["fc2"])
  new = initialise.near_unit_scale(PERCEPTRON, old, x, "fc2")
  factors = np.unique(new["fc2"]["kernel"] / old["fc2"]["kernel"])
  assert len(factors) == 1 and np.log2(factors[0]) % 1 == 0
  size = np.sqrt(np.mean(np.square(pre_activations(new, x)["fc2"])))
  assert 2**-0.51 < size < 2**0.51
  assert initialise.near_unit_scale(PERCEPTRON, new, 0 * x, "fc1")["fc1"] is new["fc1"]

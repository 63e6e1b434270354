"""Tests of the supervised step: who learns, who does not, and that it learns."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigan_jax.data.batch import Batch
from bigan_jax.transfer import head, supervised_step
from bigan_jax.transfer.sgd import Sgd, Steps
from bigan_jax.transfer.supervised_step import HeadState, Setup

ALEXNET = head.AlexNet(3, (4, 4, 4, 4, 4), (8, 6))
FROZEN = ("conv1", "conv2", "conv3")
MEASURES = ("loss", "accuracy")


def setup(network: head.AlexNet | head.Perceptron, rate: float, **fields: object) -> Setup:
  return Setup(network, Sgd(), Steps(rate, 0.1, 0, 3), supervised_step.classification, **fields)


def batch(count: int, side: int) -> tuple[Batch, jax.Array]:
  x = jax.random.normal(jax.random.PRNGKey(0), (count, side, side, 3))
  return Batch(x, x), jnp.arange(count) % 3


def state(network: head.AlexNet | head.Perceptron, x: jax.Array, frozen: tuple) -> HeadState:
  params = jax.jit(network.init)(jax.random.PRNGKey(1), x)["params"]
  return supervised_step.initial_state(Sgd(), params, frozen, MEASURES)


def run(case: Setup, start: HeadState, batch: Batch, labels: jax.Array, steps: int) -> list:
  step = jax.jit(functools.partial(supervised_step.step, case))
  found = [(start, None)]
  for _ in range(steps):
    found.append(step(found[-1][0], batch, labels, jax.random.PRNGKey(2)))
  return found


def test_frozen_layers_stay_bit_for_bit() -> None:
  """Whatever pulls at them: gradient, decay, momentum."""
  images, labels = batch(8, 10)
  start = state(ALEXNET, images.x, FROZEN)
  (_, _), *rest = run(setup(ALEXNET, 0.1), start, images, labels, 3)
  last = rest[-1][0]
  assert tuple(last.frozen) == FROZEN and int(last.step) == 3
  jax.tree.map(np.testing.assert_array_equal, last.frozen, start.frozen)
  assert set(last.params) == set(last.momentum) == set(ALEXNET.layers) - set(FROZEN)
  changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), last.params, start.params)
  assert all(jax.tree.leaves(changed))


def test_sums_are_of_the_epoch() -> None:
  """Three steps make an epoch: the sums begin anew at the fourth."""
  images, labels = batch(8, 4)
  network = head.Perceptron(3, (5,))
  _, *found = run(setup(network, 0.1), state(network, images.x, ()), images, labels, 4)
  losses = [float(measures["loss"]) for _, measures in found]
  assert float(found[2][0].sums["loss"]) == pytest.approx(sum(losses[:3]), rel=1e-6)
  assert float(found[3][0].sums["loss"]) == pytest.approx(losses[3], rel=1e-6)


def test_measures_by_hand() -> None:
  logits = jnp.log(jnp.array([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]]))
  found = supervised_step.classification(logits, jnp.array([0, 1]))
  assert float(found["loss"]) == pytest.approx(-np.log([0.7, 0.25]).mean(), rel=1e-6)
  assert float(found["accuracy"]) == 50


def test_two_devices_do_as_one() -> None:
  """Dropout included: it depends on an image's place in the whole batch alone."""
  images, labels = batch(8, 6)
  start = state(ALEXNET, images.x, FROZEN)
  key = jax.random.PRNGKey(2)
  one, _ = jax.jit(functools.partial(supervised_step.step, setup(ALEXNET, 0.1)))(
      start, images, labels, key
  )
  halves, half_labels = jax.tree.map(lambda a: a.reshape(2, 4, *a.shape[1:]), (images, labels))
  mapped = functools.partial(supervised_step.step, setup(ALEXNET, 0.1, axis_name="batch"))
  mapped = jax.jit(jax.vmap(mapped, (None, 0, 0, None), axis_name="batch"))
  two, _ = mapped(start, halves, half_labels, key)
  for half in (0, 1):
    part = jax.tree.map(lambda a, i=half: a[i], two)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, part.params, one.params)
    jax.tree.map(close, part.sums, one.sums)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_learns_what_can_be_learnt(precision: str) -> None:
  """Kinds of images that differ in their mean."""
  rs, labels = np.random.RandomState(0), np.arange(30) % 3
  x = jnp.asarray(rs.normal(0, 0.3, (30, 4, 4, 3)) + labels[:, None, None, None] - 1, jnp.float32)
  network = head.Perceptron(3, (8,))
  case = setup(network, 0.05, precision=precision)
  _, *found = run(case, state(network, x, ("fc1",)), Batch(x, x), jnp.asarray(labels), 40)
  losses = [float(measures["loss"]) for _, measures in found]
  assert losses[0] > 0.8 and losses[-1] < 0.2
  assert float(found[-1][1]["accuracy"]) == pytest.approx(100)
  assert {a.dtype for a in jax.tree.leaves(found[-1][0].params)} == {jnp.dtype("float32")}


class Echo(nn.Module):
  """Says what it is given."""

  def __call__(self, x: tuple[jax.Array, jax.Array], keys: None) -> tuple[jax.Array, dict]:
    return jnp.concatenate([a.astype(jnp.float32) for a in x], axis=-1), {}


def test_boxes_are_not_rounded_with_their_images() -> None:
  """8 bits do not tell 257 from 256."""
  x = jnp.full((1, 1), 257.0), jnp.full((1, 1), 257.0)
  found = setup(Echo(), 0.1, precision="bfloat16").apply({}, x, None)
  assert found.tolist() == [[256, 257]]

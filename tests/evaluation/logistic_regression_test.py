"""Tests of the solver: precise losses, fair stops; linear_probe_test.py has its optimum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from bigan_jax.evaluation import logistic_regression
from bigan_jax.evaluation.logistic_regression import Weights

RS = np.random.RandomState(0)
COUNT, WIDTH, CLASSES = 120, 10, 3
FEATURES = RS.randn(WIDTH, COUNT).astype(np.float32)
TARGETS = np.argmax(RS.randn(CLASSES, WIDTH) @ FEATURES + 2 * RS.randn(CLASSES, COUNT), axis=0)
BLANK = Weights(jnp.zeros((CLASSES, WIDTH)), jnp.zeros(CLASSES))


def solve(
    l2: float, chosen: np.ndarray = np.ones(COUNT, np.float32), features: np.ndarray = FEATURES,
    start: Weights = BLANK,
) -> logistic_regression.Solution:
  targets = jnp.asarray(TARGETS, jnp.int32)
  blocks = logistic_regression.in_blocks(jnp.asarray(features))
  return logistic_regression.solve(blocks, targets, chosen, l2, start)


def test_cross_entropies_are_precise_where_they_are_small() -> None:
  scores, targets = 30 * RS.randn(5, 200), RS.randint(5, size=200)
  scores[targets[:50], np.arange(50)] = 60  # Almost certainly right.
  exact = np.log1p(np.sum(np.exp(
      np.where(np.arange(5)[:, None] == targets, -np.inf, scores - scores[targets, range(200)])
  ), axis=0))
  loss, x = logistic_regression.cross_entropies, jnp.asarray(scores, jnp.float32)
  found = loss(x, jnp.asarray(targets))
  np.testing.assert_allclose(found, exact, rtol=5e-5, atol=1e-37)
  assert exact.min() < 1e-6
  gradient = jax.grad(lambda x: jnp.sum(loss(x, jnp.asarray(targets))))
  expected = scipy.special.softmax(scores, axis=0) - (np.arange(5)[:, None] == targets)
  np.testing.assert_allclose(gradient(x), expected, atol=1e-5)


def test_the_gradient_vanishes_at_the_optimum() -> None:
  """By hand: (p - y) x / N + l2 w of the weights, p - y of the biases."""
  found = solve(0.01)
  kernel, bias = map(np.asarray, found.weights)
  p = scipy.special.softmax(kernel @ FEATURES + bias[:, None], axis=0)
  rest = (p - (np.arange(CLASSES)[:, None] == TARGETS)) / COUNT
  assert found.converged and found.steps > 3
  assert np.abs(rest @ FEATURES.T + 0.01 * kernel).max() < 2e-3
  assert np.abs(rest.sum(axis=1)).max() < 2e-3
  assert np.abs(kernel).max() > 0.3


def test_images_that_are_not_chosen_do_not_matter() -> None:
  chosen = np.float32(np.arange(COUNT) < 90)
  spoilt = np.where(chosen > 0, FEATURES, 50)
  assert float(solve(0.1, chosen, spoilt).loss) == pytest.approx(
      float(solve(0.1, chosen).loss), rel=1e-5
  )
  assert float(solve(0.1, 1 - chosen).loss) != pytest.approx(
      float(solve(0.1, chosen).loss), rel=0.01
  )


def test_blocks_of_images_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
  """The last one is filled up with images that do not count."""
  whole = solve(0.01)
  monkeypatch.setattr(logistic_regression, "IMAGES", 50)
  blocks = logistic_regression.in_blocks(jnp.asarray(FEATURES))
  assert blocks.shape == (3, WIDTH, 50)
  np.testing.assert_array_equal(np.concatenate(blocks, axis=1)[:, :COUNT], FEATURES)
  parted = solve(0.01)
  assert float(parted.loss) == pytest.approx(float(whole.loss), rel=1e-5)
  np.testing.assert_allclose(parted.weights.kernel, whole.weights.kernel, atol=5e-3)


def test_the_start_does_not_matter_but_to_the_steps() -> None:
  first = solve(0.01)
  again = solve(0.01, start=first.weights)
  assert again.steps <= 2 < first.steps
  far = solve(0.01, start=Weights(BLANK.kernel + RS.randn(CLASSES, WIDTH), BLANK.bias + 1))
  for found in (again, far):
    assert found.converged and float(found.loss) == pytest.approx(float(first.loss), rel=2e-4)


def test_images_that_can_be_separated_converge_under_any_penalty() -> None:
  features = FEATURES + 20 * np.eye(CLASSES, WIDTH).T[:, TARGETS]
  for l2 in (1e-2, 1e-5, 1e-8):
    found = solve(l2, features=np.float32(features))
    assert found.converged and np.isfinite(found.loss) and found.steps < 200
  assert found.loss < 1e-5


def test_what_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(logistic_regression, "STEPS", 3)
  jax.clear_caches()
  found = solve(1e-4)
  assert not found.converged and found.steps == 3
  jax.clear_caches()

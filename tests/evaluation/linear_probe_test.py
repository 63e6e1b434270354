"""Tests of the linear probe: scikit-learn's optimum, its choice of l2, and what it refuses."""

from typing import NamedTuple

import jax
import numpy as np
import pytest
import scipy.special
from sklearn import datasets, decomposition, linear_model

from bigan_jax.evaluation import linear_probe, logistic_regression

RS = np.random.RandomState(0)


class Material(NamedTuple):
  """Features and labels, to learn from and to judge by."""

  x: np.ndarray
  y: np.ndarray
  judged_x: np.ndarray
  judged_y: np.ndarray


@pytest.fixture(autouse=True)
def _seeded() -> None:
  """A test draws the same, whichever ran before it."""
  RS.seed(0)


def digits() -> Material:
  """Pixels of the digits: 1,500 images of 64 features, three of which never vary."""
  x, y = datasets.load_digits(return_X_y=True)
  x = np.float32(x) / 16
  return Material(x[:1500], y[:1500], x[1500:], y[1500:])


def wide() -> Material:
  """Fewer images than features, and linearly separable; the classes are not 0, 1, 2."""
  y = RS.randint(3, size=400)
  x = RS.randn(3, 150)[y] * 0.4 + RS.randn(400, 150)
  x, y = np.float32(x + 5), np.array([2, 5, 9])[y]
  return Material(x[:100], y[:100], x[100:], y[100:])


def objective(x: np.ndarray, y: np.ndarray, kernel: np.ndarray, bias: np.ndarray, l2: float
              ) -> float:
  """In float64, for kernel [f, K]."""
  logits = x @ kernel + bias
  errors = scipy.special.logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]
  return np.mean(errors) + l2 / 2 * np.sum(np.square(kernel))


@pytest.mark.parametrize("material", [digits(), wide()], ids=["digits", "wide"])
@pytest.mark.parametrize("l2", [0.1, 1e-3, 1e-5])
def test_the_optimum_is_that_of_scikit_learn(material: Material, l2: float) -> None:
  x, y, judged_x, judged_y = material
  mean, std = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
  std[std == 0] = 1
  standard, targets = (x - mean) / std, np.searchsorted(np.unique(y), y)
  oracle = linear_model.LogisticRegression(C=1 / (l2 * len(y)), tol=1e-7, max_iter=10_000)
  oracle.fit(standard, targets)
  best = objective(standard, targets, oracle.coef_.T, oracle.intercept_, l2)

  probe = linear_probe.fit(x, y, (l2,))
  weights = probe.solution.weights
  kernel = np.asarray(probe.problem.axes, np.float64) @ np.asarray(weights.kernel).T
  ours = objective(standard, targets, kernel, np.asarray(weights.bias), l2)
  assert probe.solution.converged and probe.l2 == l2 and probe.validation == {}
  assert ours == pytest.approx(best, rel=3e-4)
  assert float(probe.solution.loss) == pytest.approx(ours, rel=1e-4)
  guesses = np.unique(y)[oracle.predict((judged_x - mean) / std)]
  assert np.mean(probe.predict(judged_x) != guesses) <= 0.004
  accuracies = [100 * np.mean(g == judged_y) for g in (probe.predict(judged_x), guesses)]
  assert accuracies[0] == pytest.approx(accuracies[1], abs=0.2 if len(judged_y) > 500 else 0.4)


def test_curvatures_and_axes_of_some_images_serve_all(monkeypatch: pytest.MonkeyPatch) -> None:
  """Accuracy within 0.3 points of scikit-learn's at the same l2, at most twice the steps."""
  y = RS.randint(10, size=4_000)
  x = np.float32(RS.randn(10, 60)[y] + 0.7 * RS.randn(4_000, 60) @ RS.randn(60, 60))
  x, y, judged_x, judged_y = x[:1_500], y[:1_500], x[1_500:], y[1_500:]
  mean, std = x.mean(0), x.std(0)
  whole = {l2: linear_probe.fit(x, y, (l2,)) for l2 in (0.1, 1e-4)}
  monkeypatch.setattr(logistic_regression, "SAMPLE", 200)
  monkeypatch.setattr(linear_probe, "LOOKED_AT", (4, 100))
  jax.clear_caches()
  assert linear_probe.frame(x, y).axes.shape == (60, 60)
  for l2 in (0.1, 1e-4):
    probe = linear_probe.fit(x, y, (l2,))
    oracle = linear_model.LogisticRegression(C=1 / (l2 * len(y)), tol=1e-6, max_iter=5_000)
    oracle.fit((x - mean) / std, y)
    expected = 100 * oracle.score((judged_x - mean) / std, judged_y)
    assert 40 < expected < 99
    assert 100 * np.mean(probe.predict(judged_x) == judged_y) == pytest.approx(expected, abs=0.3)
    assert probe.solution.converged and probe.solution.steps <= 2 * whole[l2].solution.steps
  jax.clear_caches()


def test_leading_components_are_those_of_scikit_learn() -> None:
  x, y, judged_x, _ = digits()
  std = np.where(x.std(0) > 0, x.std(0), 1)
  oracle = decomposition.PCA(5, svd_solver="full").fit((x - x.mean(0)) / std)
  problem = linear_probe.frame(x, y)
  for features in (x, judged_x):
    found = linear_probe.leading(problem, features, 5)
    expected = oracle.transform((features - x.mean(0)) / std)
    signs = np.sign(np.sum(found * expected, axis=0))
    np.testing.assert_allclose(found * signs, expected, atol=5e-3)


def test_features_that_do_not_vary_and_large_offsets_do_no_harm() -> None:
  x, y, judged_x, _ = digits()
  shifted = lambda x: np.concatenate([x * 7 + 300, np.full((len(x), 2), 1e4, np.float32)], axis=1)
  plain = linear_probe.fit(x, y, (0.01,))
  other = linear_probe.fit(shifted(x), y, (0.01,))
  assert float(other.solution.loss) == pytest.approx(float(plain.solution.loss), rel=1e-3)
  assert np.mean(other.predict(shifted(judged_x)) == plain.predict(judged_x)) > 0.99


def test_axes_are_orthonormal_and_standardised_features_keep_their_lengths() -> None:
  x = wide().x
  problem = linear_probe.prepare(x, np.arange(100))
  axes = np.asarray(problem.axes)
  np.testing.assert_allclose(axes.T @ axes, np.eye(100), atol=1e-5)
  standard = (x - x.mean(0)) / x.std(0)
  lengths = np.linalg.norm(problem.features[0], axis=0)
  np.testing.assert_allclose(lengths, np.linalg.norm(standard, axis=1), rtol=1e-4)


def test_every_class_is_held_out_in_the_same_share_by_seed() -> None:
  targets = RS.permutation(np.repeat([0, 1, 2, 3], [40, 20, 9, 1]))
  held_out = linear_probe.hold_out(targets, 0.1, seed=3)
  assert [int(held_out[targets == c].sum()) for c in range(4)] == [4, 2, 0, 0]
  np.testing.assert_array_equal(held_out, linear_probe.hold_out(targets, 0.1, seed=3))
  assert np.any(held_out != linear_probe.hold_out(targets, 0.1, seed=4))


def test_l2_is_the_one_that_does_best_on_held_out_images() -> None:
  """Labels are noisy: without a strong penalty the probe learns the noise."""
  x = np.float32(RS.randn(600, 60))
  truth = (x[:, 0] > 0).astype(int)
  y = np.where(RS.uniform(size=600) < 0.25, 1 - truth, truth)
  strengths = (1e-9, 1e-7, 1e-5, 0.1, 1.0)
  probe = linear_probe.fit(x, y, strengths, share=0.3, seed=1)
  tried = list(probe.validation)
  assert tried == sorted(strengths, reverse=True)[:len(tried)]
  assert 0.1 in tried and probe.l2 >= 0.1
  assert probe.validation[probe.l2] == max(probe.validation.values())
  held_out = linear_probe.hold_out(y, 0.3, seed=1)
  alone = linear_probe.fit(x[held_out == 0], y[held_out == 0], (0.1,))
  accuracy = 100 * np.mean(alone.predict(x[held_out == 1]) == y[held_out == 1])
  assert probe.validation[0.1] == pytest.approx(accuracy, abs=1.2)  # Moments of all images.
  whole = linear_probe.fit(x, y, (probe.l2,))
  assert float(probe.solution.loss) == pytest.approx(float(whole.solution.loss), rel=2e-4)


@pytest.mark.parametrize("accuracies, count, past", [
    ((50, 49.1), 10_000, False), ((50, 48.9), 10_000, True), ((49, 50, 48.9), 10_000, True),
    ((50, 41), 100, False), ((50, 39), 100, True), ((50, 30, 50), 100, False),
    ((100, 99), 100, True), ((100, 100), 100, False),
])
def test_weaker_strengths_are_not_tried_once_one_is_two_standard_errors_below_the_best(
    accuracies: tuple[float, ...], count: int, past: bool
) -> None:
  assert linear_probe.past_best(dict(enumerate(accuracies)), count) == past


def test_of_equally_good_strengths_the_strongest_is_taken() -> None:
  y = np.repeat([0, 1], 50)
  x = np.float32(np.stack([2.0 * y - 1, RS.randn(100) / 10], axis=1))
  probe = linear_probe.fit(x, y, (0.01, 1.0, 0.1), share=0.2)
  assert set(probe.validation.values()) == {100.0} and probe.l2 == 1.0


@pytest.mark.parametrize("labels, strengths, message", [
    (np.zeros(20, int), (1.0,), "All images have label 0"),
    (np.arange(20), (1.0, 0.1), "No class has enough images to hold out a share of 0.1"),
])
def test_labels_that_cannot_be_learned_are_refused(
    labels: np.ndarray, strengths: tuple[float, ...], message: str
) -> None:
  with pytest.raises(ValueError, match=message):
    linear_probe.fit(np.float32(RS.randn(20, 3)), labels, strengths)


def test_features_that_are_not_finite_are_refused() -> None:
  x = np.float32(RS.randn(20, 3))
  x[7, 1] = np.nan
  with pytest.raises(ValueError, match="hold NaN or infinity"):
    linear_probe.fit(x, np.arange(20) % 2, (1.0,))

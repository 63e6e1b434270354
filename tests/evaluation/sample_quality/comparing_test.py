"""Numbers of sample quality beside closed forms, scipy and loops that take their time."""

import itertools

import numpy as np
import pytest
from scipy import linalg

from bigan_jax.evaluation.sample_quality import comparing
from bigan_jax.evaluation.sample_quality.comparing import Moments, Quality

K = 3


def draw(seed: int, rows: int, width: int = 4, scale: float = 1.0, shift: float = 0.0
         ) -> np.ndarray:
  return np.random.RandomState(seed).randn(rows, width) * scale + shift


def compare(real: np.ndarray, made: np.ndarray, k: int = K, **named: int
            ) -> tuple[Quality, Quality | None]:
  sides = comparing.side(real, k, "pictures"), comparing.side(made, k, "samples")
  return comparing.compare(*sides, **named)


def covariance(seed: int, width: int) -> np.ndarray:
  root = draw(seed, width, width)
  return root @ root.T


@pytest.mark.parametrize("least, tolerance", [(0.01, 1e-9), (0.0, 1e-7)], ids=["full", "singular"])
def test_frechet_of_gaussians_has_a_closed_form(least: float, tolerance: float) -> None:
  """Of covariances with the same axes: |m - m'|^2 + sum of (s - s')^2, s standard deviations.

  Roots of what rounding leaves of the zeros of singular ones are of the order of 1e-8.
  """
  axes, _ = np.linalg.qr(draw(0, 5, 5))
  one, other = np.array([least, 0.1, 1, 2, 3]), np.array([0.5, 0.1, least, 1, 5])
  means = draw(1, 2, 5)
  pair = [Moments(m, (axes * s**2) @ axes.T) for m, s in zip(means, (one, other))]
  expected = np.sum((means[0] - means[1])**2) + np.sum((one - other)**2)
  assert comparing.frechet(*pair) == pytest.approx(expected, rel=tolerance)
  assert comparing.frechet(*pair[::-1]) == pytest.approx(expected, rel=tolerance)
  assert comparing.frechet(pair[0], pair[0]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("width", [1, 6, 40])
def test_frechet_is_that_of_scipy_s_root(width: int) -> None:
  pair = [Moments(draw(s, 1, width)[0], covariance(s + 9, width)) for s in (0, 1)]
  product = pair[0].covariance @ pair[1].covariance
  traces = sum(np.trace(m.covariance) for m in pair)
  apart = np.sum((pair[0].mean - pair[1].mean)**2)
  expected = apart + traces - 2 * np.trace(linalg.sqrtm(product)).real
  assert comparing.frechet(*pair) == pytest.approx(expected, rel=1e-9)


def test_moments_count_rows_by_their_weights() -> None:
  x, weights = draw(0, 7), np.array([0, 1, 2, 1, 0, 3, 1])
  found, again = comparing.moments(x, weights), np.repeat(x, weights, axis=0)
  np.testing.assert_allclose(found.mean, again.mean(axis=0))
  np.testing.assert_allclose(found.covariance, np.cov(again.T))
  np.testing.assert_allclose(comparing.moments(x).covariance, np.cov(x.T))


def by_loop(real: np.ndarray, made: np.ndarray, k: int) -> Quality:
  """As the papers define them, but for the Frechet distance, pair by pair."""
  apart = lambda a, b: float(np.sum((a - b)**2))
  def radius(x: np.ndarray, i: int) -> float:
    return sorted(apart(x[i], x[j]) for j in range(len(x)) if j != i)[k - 1]
  radii = [[radius(x, i) for i in range(len(x))] for x in (real, made)]
  holds = np.array([[apart(x, y) <= r for y in made] for x, r in zip(real, radii[0])])
  held = np.array([[apart(x, y) <= r for y, r in zip(made, radii[1])] for x in real])
  kernel = lambda a, b: (float(a @ b) / len(a) + 1)**3
  within = [np.mean([kernel(a, b) for a, b in itertools.permutations(x, 2)]) for x in (real, made)]
  across = np.mean([kernel(a, b) for a, b in itertools.product(real, made)])
  return Quality(
      0.0, sum(within) - 2 * across, np.mean(holds.any(axis=0)), np.mean(held.any(axis=1)),
      holds.sum() / (k * len(made)), np.mean(holds.any(axis=1)),
  )


@pytest.mark.parametrize("block", [7, 500])
def test_all_but_frechet_beside_a_loop(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(comparing, "BLOCK", block)
  real, made = draw(0, 30), draw(1, 40, scale=0.7, shift=0.5)
  found, spread = compare(real, made)
  assert spread is None
  expected = by_loop(real, made, K)._replace(frechet=found.frechet)
  assert found == pytest.approx(expected, rel=1e-9)
  assert 0 < found.precision < 1 and 0 < found.recall < 1 and 0 < found.coverage < 1


def test_who_lies_among_whom_by_hand() -> None:
  """On a line, one neighbour: balls of pictures [-1, 1], [0, 2], [2, 4], [3, 5] and [0, 20]."""
  real = np.array([[0.0], [1], [3], [4], [10]])
  made = np.array([[0.5], [1.5], [30], [32]])  # [-0.5, 1.5], [0.5, 2.5], [28, 32], [30, 34]
  found, _ = compare(real, made, k=1)
  assert found.precision == 2 / 4  # 0.5 and 1.5.
  assert found.recall == 2 / 5  # 0 and 1.
  # 0.5 lies in the balls of 0, of 1 and not of 10, whose radius is 6; 1.5 in that of 1 alone.
  assert found.density == 3 / 4
  assert found.coverage == 2 / 5
  distances = compare(real, real + 100.0, k=1)[0]
  assert distances.frechet == pytest.approx(100**2) and distances[2:] == (0, 0, 0, 0)


def test_a_copy_has_it_all_and_a_collapse_covers_nothing() -> None:
  real = draw(0, 50)
  copy, _ = compare(real, real)
  assert copy[2:] == (1, 1, (K + 1) / K, 1) and copy.frechet == pytest.approx(0, abs=1e-9)
  collapsed, _ = compare(real, np.repeat(real[:1], 50, axis=0))
  assert collapsed.precision == 1 and collapsed.recall <= 1 / 50
  assert collapsed.coverage <= 2 * K / 50


def test_spreads_are_those_of_other_draws() -> None:
  """Within a factor of two or so: of 40 other pairs of sets, and of what 40 resamples say."""
  pair = lambda seed: (draw(seed, 200), draw(seed + 1_000, 200, scale=0.7, shift=0.3))
  others = np.array([compare(*pair(seed))[0] for seed in range(40)])
  found, spread = compare(*pair(0), resamples=40)
  assert found == compare(*pair(0))[0]
  ratios = np.array(spread) / others.std(axis=0)
  kernel = Quality._fields.index("kernel")
  assert ((0.5 < ratios) & (ratios < 2.2))[np.arange(6) != kernel].all(), ratios
  assert 1 < ratios[kernel] < 3  # Of half as many rows, as KID's are of 1,000.
  assert compare(*pair(0), resamples=40)[1] == spread
  assert compare(*pair(0), resamples=40, seed=1)[1] != spread


def test_subsets_of_the_kernel_distance_agree_in_the_mean() -> None:
  real, made = draw(0, 300), draw(1, 300, shift=0.5)
  values = comparing.kernel_of_subsets(real, made, np.random.RandomState(0))
  assert len(values) == comparing.SUBSETS
  error = values.std() / len(values)**0.5
  assert values.mean() == pytest.approx(compare(real, made)[0].kernel, abs=4 * error)


@pytest.mark.parametrize("real, made, said", [
    (draw(0, 3), draw(0, 9), "There are 3 pictures, but 3 neighbours of each are asked for: give "),
    (draw(0, 9), draw(0, 2), "There are 2 samples, but 3 neighbours"),
    (draw(0, 9), draw(0, 9) * np.inf, "Features of the samples hold NaN or infinity: take other"),
    (draw(0, 9), draw(0, 9, 5), "Pictures have 4 features and samples 5: describe both by the "),
])
def test_what_cannot_be_compared(real: np.ndarray, made: np.ndarray, said: str) -> None:
  with pytest.raises(ValueError, match=said):
    compare(real, made)

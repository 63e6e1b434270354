"""Two sets of features beside each other: distances, and who lies among whose neighbours.

Everything is float64 on the host, block by block. One product of rows gives the kernel and the
distances alike, so that 10,000 by 10,000 rows take three products of that size.
"""

from typing import NamedTuple

import numpy as np

from bigan_jax.training import console

BLOCK = 500  # rows at a time: 40 MB of products with 10,000 others
SUBSETS, SUBSET = 100, 1_000  # of the kernel distance's spread, and rows of each, as KID's are


class Side(NamedTuple):
  """One set of features, and what is known of it alone.

  Attributes:
    x: [n, f].
    radii: [n], the squared distance of each row to the k-th nearest other one.
    kernel: its mean over all pairs of different rows.
    k: which neighbour.
  """

  x: np.ndarray
  radii: np.ndarray
  kernel: float
  k: int


class Quality(NamedTuple):
  """How like real pictures samples are, or the spread of that.

  Attributes:
    frechet: squared distance between the Gaussians of the same means and covariances (Dowson and
      Landau, 1982; FID is this over a layer of Inception).
    kernel: unbiased squared maximum mean discrepancy by the kernel (x.y / f + 1)^3 (Binkowski et
      al., arXiv 1801.01401; KID is this over Inception); may be a little below 0.
    precision, recall: share of samples that lie in a ball of a picture, and of pictures in a ball
      of a sample; balls reach to the k-th neighbour (Kynkaanniemi et al., arXiv 1904.06991).
    density: how many balls of pictures hold a sample, over k; coverage: share of pictures' balls
      that hold a sample (Naeem et al., arXiv 2002.09797).
  """

  frechet: float
  kernel: float
  precision: float
  recall: float
  density: float
  coverage: float


class Moments(NamedTuple):
  """Mean [f] and covariance [f, f]."""

  mean: np.ndarray
  covariance: np.ndarray


def side(x: np.ndarray, k: int, what: str) -> Side:
  """Features [n, f] as a side of a comparison.

  Args:
    what: they are of, for messages: "pictures".

  Raises:
    ValueError: there are no more than k; or they hold NaN or infinity.
  """
  if len(x) <= k:
    raise ValueError(f"There are {len(x):,} {what}, but {k} neighbours of each are asked for: give "
                     f"more than {k}.")
  x = np.asarray(x, np.float64)
  if not np.isfinite(x).all():
    raise ValueError(f"Features of the {what} hold NaN or infinity: take other networks or files.")
  squares, total, radii = np.sum(x * x, axis=1), 0.0, np.empty(len(x))
  for i in console.blocks(len(x), BLOCK, f"neighbours among {what}"):
    products = x[i:i + BLOCK] @ x.T
    total += _kernel(products, x.shape[1]).sum()
    apart = _apart(squares[i:i + BLOCK], squares, products)
    apart[np.arange(len(apart)), np.arange(i, i + len(apart))] = np.inf  # No neighbour of itself.
    radii[i:i + BLOCK] = np.partition(apart, k - 1, axis=1)[:, k - 1]
  total -= _kernel(squares, x.shape[1]).sum()
  return Side(x, radii, total / (len(x) * (len(x) - 1)), k)


def compare(
    real: Side, made: Side, resamples: int = 0, seed: int = 0
) -> tuple[Quality, Quality | None]:
  """Samples beside pictures: (how like them they are, the spread of that).

  The spread is the standard deviation: of the kernel distance over SUBSETS subsets of SUBSET rows
  of each side, or of half of the smaller one, as is the custom of KID; of the others over rows
  drawn again with replacement, where balls keep their radii.

  Args:
    resamples: how often; 0: no spread (None).

  Raises:
    ValueError: the features differ in number.
  """
  if real.x.shape[1] != made.x.shape[1]:
    raise ValueError(f"Pictures have {real.x.shape[1]:,} features and samples {made.x.shape[1]:,}: "
                     "describe both by the same layer of the same network.")
  random = np.random.RandomState(seed)
  weights = [_weights(len(x), resamples, random) for x in (real.x, made.x)]
  kernel, shares = _between(real, made, *weights)
  draws = console.over(range(1 + resamples), 1 + resamples, "Frechet distances")
  distances = np.array([
      frechet(*(moments(side.x, w[:, i]) for side, w in zip((real, made), weights))) for i in draws
  ])
  found = np.stack([distances, np.full_like(distances, kernel), *shares])
  quality = Quality(*found[:, 0].tolist())
  if not resamples:
    return quality, None
  spread = Quality(*found[:, 1:].std(axis=1).tolist())
  return quality, spread._replace(kernel=float(np.std(kernel_of_subsets(real.x, made.x, random))))


def moments(x: np.ndarray, weights: np.ndarray | None = None) -> Moments:
  """Of rows [n, f], each counted as often as its whole number in weights [n] says."""
  weights = np.ones(len(x)) if weights is None else weights
  count = weights.sum()
  mean = weights @ x / count
  centred = (x - mean) * np.sqrt(weights)[:, None]
  return Moments(mean, centred.T @ centred / (count - 1))


def frechet(one: Moments, other: Moments) -> float:
  """The squared Frechet distance of two Gaussians.

  |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), of which the last trace is that of the root of the
  symmetric R C' R, where R is the root of C.
  """
  apart = one.mean - other.mean
  values, axes = np.linalg.eigh(one.covariance)
  root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
  shared = np.linalg.eigvalsh(root @ other.covariance @ root)
  traces = np.trace(one.covariance) + np.trace(other.covariance)
  return max(float(apart @ apart + traces - 2 * np.sqrt(np.maximum(shared, 0)).sum()), 0.0)


def kernel_of_subsets(
    real: np.ndarray, made: np.ndarray, random: np.random.RandomState
) -> np.ndarray:
  """Kernel distances [SUBSETS] of rows of [n, f] and [m, f], drawn without replacement."""
  size, width = min(SUBSET, len(real) // 2, len(made) // 2), real.shape[1]
  if size < 2:
    return np.zeros(SUBSETS)
  def distance() -> float:
    x, y = (side[random.choice(len(side), size, replace=False)] for side in (real, made))
    within = sum(
        _kernel(a @ a.T, width).sum() - _kernel(np.sum(a * a, axis=1), width).sum() for a in (x, y)
    )
    return within / (size * (size - 1)) - 2 * _kernel(x @ y.T, width).mean()
  return np.array([distance() for _ in range(SUBSETS)])


def _weights(rows: int, resamples: int, random: np.random.RandomState) -> np.ndarray:
  """How often each row counts: once in column 0, and as often as it is drawn: [rows, 1 + R]."""
  drawn = [np.bincount(random.randint(rows, size=rows), minlength=rows) for _ in range(resamples)]
  return np.stack([np.ones(rows), *drawn], axis=1).astype(np.float32)


def _between(
    real: Side, made: Side, of_real: np.ndarray, of_made: np.ndarray
) -> tuple[float, list[np.ndarray]]:
  """(kernel distance, [precision, recall, density, coverage], each once for each column).

  Args:
    of_real, of_made: how often each row counts, [n, c] and [m, c].
  """
  squares = [np.sum(a.x * a.x, axis=1) for a in (real, made)]
  total, holding = 0.0, np.zeros_like(of_made)  # balls of pictures that hold a sample
  covered, recalled = [], []
  for i in console.blocks(len(real.x), BLOCK, "samples beside pictures"):
    rows = slice(i, i + BLOCK)
    products = real.x[rows] @ made.x.T
    total += _kernel(products, real.x.shape[1]).sum()
    apart = _apart(squares[0][rows], squares[1], products)
    in_real = np.float32(apart <= real.radii[rows, None])
    holding += in_real.T @ of_real[rows]
    covered.append(in_real @ of_made > 0)
    recalled.append(np.float32(apart <= made.radii) @ of_made > 0)
  share = lambda values, weights: np.sum(values * weights, axis=0, dtype=np.float64) / len(weights)
  across = total / (len(real.x) * len(made.x))
  return real.kernel + made.kernel - 2 * across, [
      share(holding > 0, of_made), share(np.concatenate(recalled), of_real),
      share(holding, of_made) / real.k, share(np.concatenate(covered), of_real),
  ]


def _kernel(products: np.ndarray, width: int) -> np.ndarray:
  """(x.y / f + 1)^3 of inner products."""
  affine = products / width + 1
  return affine * affine * affine


def _apart(ones: np.ndarray, others: np.ndarray, products: np.ndarray) -> np.ndarray:
  """Squared distances [b, n] by squared lengths [b] and [n]; overwrites the products [b, n]."""
  products *= -2
  products += ones[:, None]
  products += others
  return np.maximum(products, 0, out=products)

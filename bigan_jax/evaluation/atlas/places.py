"""Where pictures lie on the page, and which are nearest to which: by their features alone."""

import numpy as np

from bigan_jax.evaluation import retrieval

LAYOUTS = ("tsne", "pca")
COMPONENTS = 50  # that t-SNE starts from, as its authors have it
PERPLEXITY = 30
FEWEST = 10  # pictures that t-SNE has a use for
EXACT = 300  # pictures up to which its exact form takes less time than the approximate one
NEAREST = 12


def suited(layout: str, count: int) -> str:
  """The layout that so many pictures get if `layout` is asked for."""
  return layout if count >= FEWEST else "pca"


def places(features: np.ndarray, layout: str, seed: int) -> np.ndarray:
  """Points in a square: float32 [n, 2] within 0 and 1, each axis about 1/2.

  Features count by their direction alone, as they do for the neighbours by cosine.

  Args:
    features: float32 [n, f], n >= 2.
    layout: "tsne", of the leading COMPONENTS, or "pca", the leading two; see `suited`.
    seed: of what is random in both.

  Raises:
    ValueError: all features are alike.
  """
  from sklearn import decomposition  # Takes a second.

  unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
  if np.ptp(unit, axis=0).max() < 1e-6:
    raise ValueError(f"The features of all {len(unit):,} pictures are alike, so that there is "
                     "nothing to lay out: choose another --layer, train for longer, or give "
                     "other pictures.")
  count = min(COMPONENTS, *unit.shape)
  points = decomposition.PCA(count, random_state=seed).fit_transform(unit)
  points = np.pad(points, ((0, 0), (0, max(0, 2 - count))))
  if suited(layout, len(points)) == "tsne":
    points = _tsne(points, seed)
  low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
  return np.float32((points[:, :2] - (low + high) / 2) / (high - low).max() + 0.5)


def _tsne(points: np.ndarray, seed: int) -> np.ndarray:
  from sklearn import manifold

  perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
  method = "exact" if len(points) <= EXACT else "barnes_hut"
  tsne = manifold.TSNE(perplexity=perplexity, random_state=seed, method=method, n_jobs=-1)
  return tsne.fit_transform(points)


def nearest(features: np.ndarray) -> np.ndarray:
  """The NEAREST other pictures of each by cosine, or all if there are fewer: int [n, k]."""
  count = min(NEAREST, len(features) - 1)
  found = retrieval.search(features, features, count + 1).nearest["cosine"].index
  own = found == np.arange(len(found))[:, None]
  own[~own.any(axis=1), -1] = True  # Others that are the same picture came first.
  return found[~own].reshape(len(found), count)

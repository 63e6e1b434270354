"""How well scores rank anomalies above normal pictures: AUROC, AUPR and F1, of ties too.

AUPR is average precision, the sum of precision over steps of recall, as scikit-learn's; the area by
trapezoids, which some papers print, is larger by little.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

FOLDS = 200  # of the bootstrap
INTERVAL = (0.025, 0.975)
NAMES = ("AUROC", "AUPR", "F1")


class Curve(NamedTuple):
  """Counts above each threshold, from the highest score down: [..., T], of weighted pictures.

  hits: anomalies. alarms: normal pictures.
  """

  hits: np.ndarray
  alarms: np.ndarray

  def roc(self) -> tuple[np.ndarray, np.ndarray]:
    """(false alarms, hits) as shares."""
    return self.alarms / self.alarms[..., -1:], self.hits / self.hits[..., -1:]

  def precision(self) -> np.ndarray:
    """Share of anomalies above each threshold."""
    return self.hits / np.maximum(self.hits + self.alarms, np.finfo(np.float64).tiny)


def curve(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | float = 1.0) -> Curve:
  """The curve of scores [N] by labels [N], 1 of anomalies; weights [..., N] of the pictures."""
  order = np.argsort(-scores, kind="stable")
  ranked, anomalous = scores[order], labels[order].astype(bool)
  ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # Ties count together.
  weights = np.broadcast_to(weights, np.shape(weights)[:-1] + scores.shape)[..., order]
  count = lambda which: np.cumsum(weights * which, axis=-1, dtype=np.float64)[..., ends]
  return Curve(count(anomalous), count(~anomalous))


def measures(found: Curve) -> dict[str, np.ndarray]:
  """{name of NAMES: [...]}; F1 is the best of all thresholds."""
  alarms, hits = found.roc()
  before = lambda a: np.concatenate([np.zeros_like(a[..., :1]), a[..., :-1]], axis=-1)
  precision, steps = found.precision(), hits - before(hits)
  flagged = found.hits + found.alarms
  return {
      "AUROC": np.sum((alarms - before(alarms)) * (hits + before(hits)) / 2, axis=-1),
      "AUPR": np.sum(steps * precision, axis=-1),
      "F1": np.max(2 * found.hits / (flagged + found.hits[..., -1:]), axis=-1),
  }


def at_base_rate(scores: np.ndarray, labels: np.ndarray, rate: float) -> float:
  """AUPR where anomalies are the share `rate` of pictures: they are weighted, none is left out."""
  anomalous = labels.astype(bool)
  odds = rate / (1 - rate) * np.sum(~anomalous) / np.sum(anomalous)
  return float(measures(curve(scores, labels, np.where(anomalous, odds, 1.0)))["AUPR"])


def judge(scores: np.ndarray, labels: np.ndarray, seed: int = 0) -> dict[str, Any]:
  """Each measure with its interval over FOLDS draws of as many pictures of each kind.

  Returns:
    {"AUROC": number, "AUROC_interval": [low, high], ...}.
  """
  folds = [measures(curve(scores, labels, drawn)) for drawn in _draws(labels, seed)]
  found = {}
  for name, value in measures(curve(scores, labels)).items():
    found[name] = float(value)
    interval = np.quantile([fold[name] for fold in folds], INTERVAL)
    found[f"{name}_interval"] = [float(q) for q in interval]
  return found


def both(labels: np.ndarray) -> bool:
  """Whether there are both anomalies and normal pictures, without which nothing is ranked."""
  return 0 < np.sum(labels) < len(labels)


def _draws(labels: np.ndarray, seed: int) -> Iterator[np.ndarray]:
  """How often each picture is drawn: [N], FOLDS times, one at a time for the sake of memory."""
  random, counts = np.random.RandomState(seed), np.zeros(len(labels), np.int64)
  for _ in range(FOLDS):
    for own in (np.flatnonzero(labels == kind) for kind in (0, 1)):
      drawn = random.randint(len(own), size=len(own))
      counts[own] = np.bincount(drawn, minlength=len(own))
    yield counts

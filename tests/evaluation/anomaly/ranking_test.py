"""AUROC, AUPR and F1 are scikit-learn's, of ties and weights too."""

import numpy as np
import pytest
from sklearn import metrics

from bigan_jax.evaluation.anomaly import ranking


def drawn(seed: int, count: int, levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(scores with many ties, labels, weights), all at random."""
  random = np.random.RandomState(seed)
  labels = (random.rand(count) < 0.2).astype(int)
  labels[:2] = 0, 1
  scores = np.float32(random.randint(0, levels, count) + 2 * labels * random.rand(count).round())
  return scores, labels, random.randint(1, 5, count).astype(float)


@pytest.mark.parametrize("seed, count, levels", [
    (0, 300, 5), (1, 300, 10**6), (2, 2, 3), (3, 50, 1),
])
def test_as_scikit_learn(seed: int, count: int, levels: int) -> None:
  scores, labels, weights = drawn(seed, count, levels)
  for given in (None, weights):
    found = ranking.measures(ranking.curve(scores, labels, 1.0 if given is None else given))
    precision, recall, _ = metrics.precision_recall_curve(labels, scores, sample_weight=given)
    expected = {
        "AUROC": metrics.roc_auc_score(labels, scores, sample_weight=given),
        "AUPR": metrics.average_precision_score(labels, scores, sample_weight=given),
        "F1": np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)


def test_auroc_is_the_share_of_pairs_in_order() -> None:
  scores, labels, _ = drawn(4, 60, 4)
  pairs = scores[labels == 1][:, None] - scores[labels == 0][None]
  expected = np.mean((pairs > 0) + 0.5 * (pairs == 0))
  assert float(ranking.measures(ranking.curve(scores, labels))["AUROC"]) == pytest.approx(expected)


def test_many_weights_at_once() -> None:
  scores, labels, _ = drawn(5, 80, 9)
  weights = np.random.RandomState(0).randint(0, 4, (7, 80))
  together = ranking.measures(ranking.curve(scores, labels, weights))
  for i, own in enumerate(weights):
    alone = ranking.measures(ranking.curve(scores, labels, own))
    repeated = np.repeat(np.arange(80), own)
    again = ranking.measures(ranking.curve(scores[repeated], labels[repeated]))
    for name in ranking.NAMES:
      assert float(together[name][i]) == pytest.approx(float(alone[name]))
      assert float(again[name]) == pytest.approx(float(alone[name]))


def test_intervals_hold_the_number_and_shrink() -> None:
  few, many = (ranking.judge(*drawn(6, count, 50)[:2]) for count in (100, 3_000))
  for name in ranking.NAMES:
    low, high = few[f"{name}_interval"]
    assert low < few[name] < high
    assert np.diff(many[f"{name}_interval"]) < high - low
  assert ranking.judge(*drawn(6, 100, 50)[:2]) == few


def test_another_base_rate() -> None:
  """As if each anomaly were there so often; a ranking that knows nothing gets the base rate."""
  scores, labels, _ = drawn(7, 500, 30)
  rate = 3 * labels.sum() / (3 * labels.sum() + (1 - labels).sum())
  three = np.concatenate([np.arange(500), *2 * [np.flatnonzero(labels)]])
  expected = metrics.average_precision_score(labels[three], scores[three])
  assert ranking.at_base_rate(scores, labels, rate) == pytest.approx(expected)
  assert ranking.at_base_rate(np.zeros(500), labels, 0.3) == pytest.approx(0.3)


@pytest.mark.parametrize("labels, found", [([0, 1], True), ([0, 0], False), ([1, 1], False)])
def test_one_kind_alone_cannot_be_ranked(labels: list[int], found: bool) -> None:
  assert ranking.both(np.array(labels)) == found

"""Tests of VOC's scores: by hand, against scikit-learn, and against a second implementation."""

import numpy as np
import pytest
from sklearn import metrics

from bigan_jax.transfer.voc import scorers

HITS = np.array([1, 0, 1, 1, 0], bool)  # Precision 1, 1/2, 2/3, 3/4, 3/5; of 4 positives.


def test_five_answers_by_hand() -> None:
  assert scorers.area(HITS, 4) == pytest.approx(0.25 * 1 + 0.5 * 0.75)
  assert scorers.eleven_points(HITS, 4) == pytest.approx((3 * 1 + 5 * 0.75) / 11)
  step = scorers.step_area(np.arange(5.0, 0, -1), HITS)
  assert step == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)  # Here all positives are ranked: 3.


def test_no_answers_and_perfect_answers() -> None:
  for rule in (scorers.area, scorers.eleven_points):
    assert rule(np.zeros(0, bool), 2) == rule(np.zeros(3, bool), 2) == 0
    assert rule(np.ones(3, bool), 3) == pytest.approx(1)


def test_the_eleven_points_are_exact() -> None:
  """Of 10 positives 3 are found: recall 0.3 is reached, which 3 * 0.1 in floating point is not."""
  assert scorers.eleven_points(np.ones(3, bool), 10) == pytest.approx(4 / 11)


@pytest.mark.parametrize("levels", [3, 10**9])
def test_step_area_is_scikit_learns(levels: int) -> None:
  rs = np.random.RandomState(0)
  for _ in range(100):
    positive = rs.rand(40) < 0.3
    positive[0] = True
    scores = rs.randint(levels, size=40) / 7.0
    expected = metrics.average_precision_score(positive, scores)
    assert abs(scorers.step_area(scores, positive) - expected) < 1e-9


def test_classification_masks_difficult_and_reports_absent_classes() -> None:
  scores = np.array([[5.0, 1, 0], [4, 2, 0], [3, 3, 0], [2, 4, 0], [1, 5, 0], [9, 6, 0]])
  labels = np.zeros((6, 3), np.uint8)
  labels[:, 0] = [1, 0, 1, 1, 0, scorers.MASKED]  # The surest answer does not count.
  labels[:, 1] = [1, 0, 0, 0, 0, 0]
  result = scorers.classification(scores, labels)
  assert list(result) == ["area", "11_points", "step"]
  for name, first in (("area", 5 / 6), ("11_points", (4 + 7 * 0.75) / 11), ("step", 29 / 36)):
    np.testing.assert_allclose(result[name].per_class, [first, 1 / 6, np.nan])
    assert result[name].mean == pytest.approx((first + 1 / 6) / 2)
    assert result[name].absent == (2,)


def test_equal_scores_are_not_rewarded_by_the_order() -> None:
  labels = np.array([[1], [1], [0], [0]])
  for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
    result = scorers.classification(np.zeros((4, 1)), labels[order])
    assert result["area"].mean == result["step"].mean == pytest.approx(0.5)


def test_unusable_scores_and_labels_are_refused() -> None:
  ones = np.ones((2, 1))
  with pytest.raises(ValueError, match="differ in shape"):
    scorers.classification(ones, np.ones((2, 2)))
  with pytest.raises(ValueError, match="NaN or infinite"):
    scorers.classification(ones * np.nan, ones)
  with pytest.raises(ValueError, match="more than 0, 1 and 255"):
    scorers.classification(ones, -ones)


def detections(*rows: tuple) -> scorers.Detections:
  """From (x1, y1, x2, y2, score, label)."""
  table = np.array(rows, np.float64).reshape(-1, 6)
  return scorers.Detections(table[:, :4], table[:, 4], table[:, 5].astype(int))


def truth(*rows: tuple) -> scorers.Truth:
  """From (x1, y1, x2, y2, label, difficult)."""
  table = np.array(rows, np.float64).reshape(-1, 6)
  return scorers.Truth(table[:, :4], table[:, 4].astype(int), table[:, 5].astype(bool))


def test_detection_by_hand() -> None:
  """Right, twice the same, on a difficult object, nowhere, right; one object is never found."""
  found = [
      detections((0, 0, 9, 9, 0.9, 0), (0, 0, 9, 8, 0.8, 0), (50, 50, 59, 59, 0.7, 0)),
      detections((80, 80, 89, 89, 0.6, 0), (0, 0, 9, 4, 0.5, 0), (0, 0, 9, 9, 0.9, 1)),
      detections(),
  ]
  truths = [
      truth((0, 0, 9, 9, 0, 0), (50, 50, 59, 59, 0, 1)),
      truth((0, 0, 9, 9, 0, 0), (30, 30, 35, 35, 2, 1)),
      truth((0, 0, 9, 9, 0, 0)),
  ]
  result = scorers.detection(found, truths, 3, scorers.area)
  assert result.per_class[0] == pytest.approx(1 / 3 + 1 / 3 * 2 / 4)  # Hits 1, 0, 0, 1 of 3.
  assert result.absent == (1, 2) and result.mean == result.per_class[0]
  result = scorers.detection(found, truths, 1)
  assert result.mean == pytest.approx((4 * 1 + 3 * 0.5) / 11)
  strict = scorers.detection(found, truths, 1, scorers.area, minimum_overlap=0.51)
  assert strict.mean == pytest.approx(1 / 3)  # (0, 0, 9, 4) is exactly half of the object.


def plain(found: list, truths: list, num_classes: int, area: bool) -> list[float]:
  """The same by loops over all detections of a class in one list, as VOC's devkit goes about it."""
  results = []
  for label in range(num_classes):
    ranked = [(-one.scores[k], picture, one.boxes[k]) for picture, one in enumerate(found)
              for k in range(len(one.scores)) if one.labels[k] == label]
    taken, flags = set(), []
    for _, picture, box in sorted(ranked, key=lambda entry: entry[0]):
      best, overlap = None, -1.0
      real = truths[picture]
      for k in range(len(real.labels)):
        if real.labels[k] != label:
          continue
        other = real.boxes[k]
        wide = min(box[2], other[2]) - max(box[0], other[0]) + 1
        tall = min(box[3], other[3]) - max(box[1], other[1]) + 1
        if wide <= 0 or tall <= 0:
          continue
        sizes = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, other)]
        ratio = wide * tall / (sum(sizes) - wide * tall)
        if ratio > overlap:
          best, overlap = k, ratio
      if overlap < 0.5 or (picture, best) in taken:
        flags.append(0)
      elif not real.difficult[best]:
        flags.append(1)
        taken.add((picture, best))
    count = sum(int(sum((t.labels == label) & ~t.difficult)) for t in truths)
    results.append(plain_ap(flags, count, area) if count else float("nan"))
  return results


def plain_ap(flags: list[int], count: int, area: bool) -> float:
  points = [(sum(flags[:k]), sum(flags[:k]) / k) for k in range(1, len(flags) + 1)]
  best = lambda found: max([p for f, p in points if f >= found], default=0.0)
  if area:
    return sum(best(found) for found in range(1, count + 1)) / count
  return sum(best(tenth * count / 10 - 1e-9) for tenth in range(11)) / 11


def test_detection_equals_a_second_implementation() -> None:
  rs = np.random.RandomState(0)
  def boxes(count: int) -> np.ndarray:
    corners = rs.randint(0, 3, (count, 2))
    return np.concatenate([corners, corners + rs.randint(1, 6, (count, 2))], axis=1).astype(float)
  scored = 0
  for _ in range(1000):
    found, truths = [], []
    for _ in range(2):
      n, m = rs.randint(0, 9), rs.randint(0, 5)
      found.append(scorers.Detections(boxes(n), rs.randint(4, size=n) / 4, rs.randint(2, size=n)))
      truths.append(scorers.Truth(boxes(m), rs.randint(2, size=m), rs.rand(m) < 0.3))
    for rule in (scorers.area, scorers.eleven_points):
      result = scorers.detection(found, truths, 2, rule)
      expected = plain(found, truths, 2, rule is scorers.area)
      np.testing.assert_allclose(result.per_class, expected, atol=1e-12)
      scored += int(np.nansum(result.per_class) > 0.01)
  assert scored > 800  # The cases are not all misses.


def test_detection_needs_one_entry_a_picture() -> None:
  with pytest.raises(ValueError, match="detections of 1 pictures but the truth of 2"):
    scorers.detection([detections()], [truth(), truth()], 1)
  with pytest.raises(ValueError, match="NaN or infinite"):
    scorers.detection([detections((0, 0, 1, 1, np.nan, 0))], [truth()], 1)


def test_segmentation_by_hand() -> None:
  real = np.array([[0, 0, 1, 1], [0, 1, 255, 255]])
  guess = np.array([[0, 0, 1, 2], [1, 1, 0, 1]])
  counts = scorers.confusion(real, guess, 4)
  assert counts.tolist() == [[2, 1, 0, 0], [0, 2, 1, 0], [0] * 4, [0] * 4]
  scores = scorers.segmentation(counts)
  np.testing.assert_allclose(scores.iu.per_class, [2 / 3, 2 / 4, np.nan, np.nan])
  assert scores.iu.absent == (2, 3)  # Class 2 was only guessed.
  assert scores.iu.mean == pytest.approx(7 / 12)
  assert scores.pixel_accuracy == pytest.approx(4 / 6)
  assert scores.mean_accuracy == pytest.approx(2 / 3)


def test_masks_that_do_not_fit_are_refused() -> None:
  zeros = np.zeros((2, 2), np.uint8)
  with pytest.raises(ValueError, match=r"\(2, 2\) but the prediction \(1, 2\)"):
    scorers.confusion(zeros, zeros[:1], 21)
  with pytest.raises(ValueError, match="classes 0 to 21: there are only 0 to 20"):
    scorers.confusion(zeros, np.array([[0, 0], [0, 21]]), 21)
  with pytest.raises(ValueError, match="counts no pixels"):
    scorers.segmentation(scorers.confusion(zeros + 255, zeros, 21))

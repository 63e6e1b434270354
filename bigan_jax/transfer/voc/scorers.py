"""PASCAL VOC's scores in plain numpy: average precision by each of its rules, and mean IU."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from bigan_jax.transfer.voc import regions

VOID = 255  # of a mask: a pixel that counts for nothing
MASKED = 255  # of a classification label: only difficult objects of the class are in the picture
MINIMUM_OVERLAP = 0.5
WRONG, RIGHT, IGNORED = 0, 1, 2  # what a detection is
Rule = Callable[[np.ndarray, int], float]


class ClassScores(NamedTuple):
  """One score a class, and their mean over the classes that the set holds.

  per_class: float64 [K], NaN where absent. mean: NaN if all are absent. absent: class indices.
  """

  per_class: np.ndarray
  mean: float
  absent: tuple[int, ...]


class Detections(NamedTuple):
  """What was found in one picture: boxes [n, 4] (x1, y1, x2, y2), scores [n], labels [n]."""

  boxes: np.ndarray
  scores: np.ndarray
  labels: np.ndarray


class Truth(NamedTuple):
  """What is in one picture: boxes [m, 4] (x1, y1, x2, y2), labels [m], difficult bool [m]."""

  boxes: np.ndarray
  labels: np.ndarray
  difficult: np.ndarray


class SegmentationScores(NamedTuple):
  """Of a confusion matrix; means over the classes that the truth holds. All in 0..1."""

  iu: ClassScores
  pixel_accuracy: float
  mean_accuracy: float


def area(hits: np.ndarray, positives: int) -> float:
  """Average precision as in VOC2010 and later: the area under the interpolated curve.

  Args:
    hits: bool [n], which answers are right, the surest first.
    positives: how many right answers there are, found or not; at least 1.
  """
  recall, precision = _curve(hits, positives)
  envelope = np.maximum.accumulate(precision[::-1])[::-1]
  return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def eleven_points(hits: np.ndarray, positives: int) -> float:
  """Average precision as in VOC2007: the mean of the best precisions from recall 0, 0.1 .. 1 on.

  Arguments as for `area`. Whether a recall is reached is decided in integers; floating point
  would miss 3 of 10 at 0.3.
  """
  found = np.cumsum(hits)
  _, precision = _curve(hits, positives)
  best = [precision[10 * found >= tenth * positives].max(initial=0.0) for tenth in range(11)]
  return float(np.mean(best))


def _curve(hits: np.ndarray, positives: int) -> tuple[np.ndarray, np.ndarray]:
  found = np.cumsum(hits)
  return found / positives, found / np.arange(1, len(hits) + 1)


def step_area(scores: np.ndarray, positive: np.ndarray) -> float:
  """Average precision without interpolation, equal scores as one answer: scikit-learn's.

  Args:
    scores: [n]. positive: bool [n], of which at least one holds.
  """
  order = np.argsort(-scores, kind="stable")
  last = np.flatnonzero(np.diff(scores[order], append=np.nan))  # NaN differs from everything.
  found = np.cumsum(positive[order])[last]
  return float(np.sum(np.diff(found, prepend=0) * (found / (last + 1))) / found[-1])


def classification(scores: np.ndarray, labels: np.ndarray) -> dict[str, ClassScores]:
  """Average precision of every class by the three rules: {"area": , "11_points": , "step": }.

  Of equal scores the wrong answers come first, so that a constant scores what chance does and the
  order of the pictures does not matter (reference section 9). `step` groups them instead.

  Args:
    scores: [N, K]. labels: [N, K], 1 present, 0 absent, MASKED left out of that class's ranking.

  Raises:
    ValueError: scores that are not finite, other labels, or shapes that differ.
  """
  if scores.shape != labels.shape:
    raise ValueError(f"Scores {scores.shape} and labels {labels.shape} differ in shape: give both"
                     " as [pictures, classes].")
  _check_finite(scores)
  if not np.isin(labels, (0, 1, MASKED)).all():
    raise ValueError(f"The labels hold more than 0, 1 and {MASKED}: make each one of these.")
  rules = {"area": area, "11_points": eleven_points}
  columns = {name: [] for name in (*rules, "step")}
  for column, truth in zip(scores.T, labels.T):
    known = truth != MASKED
    positive, kept = truth[known] == 1, column[known]
    hits, count = positive[np.lexsort((positive, -kept))], int(positive.sum())
    for name, rule in rules.items():
      columns[name].append(rule(hits, count) if count else np.nan)
    columns["step"].append(step_area(kept, positive) if count else np.nan)
  return {name: _summary(column) for name, column in columns.items()}


def detection(
    found: Sequence[Detections],
    truths: Sequence[Truth],
    num_classes: int,
    rule: Rule = eleven_points,
    minimum_overlap: float = MINIMUM_OVERLAP,
) -> ClassScores:
  """Average precision of every class, as VOC's devkit counts.

  In order of falling score (equal scores: as given) a detection is matched with the object of its
  class that it overlaps most. It is right if their IoU is at least `minimum_overlap` and the object
  is still free, wrong if not; if the object is difficult it counts as neither.

  Args:
    found, truths: one a picture, labels 0 .. num_classes - 1.
    rule: `eleven_points` for VOC2007's, `area` for VOC2010's and later.

  Raises:
    ValueError: another number of pictures, or a score or box that is not finite.
  """
  if len(found) != len(truths):
    raise ValueError(f"There are detections of {len(found)} pictures but the truth of"
                     f" {len(truths)}: give one of each a picture, empty where there is nothing.")
  for one in found:
    _check_finite(one.scores)
    _check_finite(one.boxes)
  return _summary([
      _detection_of_class(found, truths, label, rule, minimum_overlap)
      for label in range(num_classes)
  ])


def _detection_of_class(
    found: Sequence[Detections], truths: Sequence[Truth], label: int, rule: Rule, minimum: float
) -> float:
  """Average precision of one class; NaN if the set holds none of it but difficult ones."""
  positives = sum(int(np.sum((t.labels == label) & ~t.difficult.astype(bool))) for t in truths)
  if not positives:
    return np.nan
  scores, verdicts = [np.empty(0)], [np.empty(0, np.int8)]
  for one, truth in zip(found, truths):
    mine, real = one.labels == label, truth.labels == label
    if not mine.any():
      continue
    order = np.argsort(-one.scores[mine], kind="stable")
    scores.append(one.scores[mine][order])
    overlaps = regions.iou(one.boxes[mine][order], truth.boxes[real])
    verdicts.append(_verdicts(overlaps, truth.difficult[real].astype(bool), minimum))
  verdict = np.concatenate(verdicts)[np.argsort(-np.concatenate(scores), kind="stable")]
  return rule(verdict[verdict != IGNORED] == RIGHT, positives)


def _verdicts(overlaps: np.ndarray, difficult: np.ndarray, minimum: float) -> np.ndarray:
  """int8 [n] of the detections in one picture, the surest first, overlaps [n, m] with objects."""
  verdicts = np.full(len(overlaps), WRONG, np.int8)
  if not overlaps.shape[1]:
    return verdicts
  best, taken = overlaps.argmax(axis=1), np.zeros(len(difficult), bool)
  for i in np.flatnonzero(overlaps.max(axis=1) >= minimum):
    if difficult[best[i]]:
      verdicts[i] = IGNORED
    elif not taken[best[i]]:
      verdicts[i], taken[best[i]] = RIGHT, True
  return verdicts


def confusion(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
  """Counts of pixels int64 [K, K], truth by prediction, without those that are VOID in the truth.

  Add up those of many pictures for `segmentation`.

  Args:
    truth, predicted: integers of the same shape; classes 0 .. num_classes - 1, background included.

  Raises:
    ValueError: shapes that differ; a class outside of the range.
  """
  if truth.shape != predicted.shape:
    raise ValueError(f"The mask is {truth.shape} but the prediction {predicted.shape}: resize the"
                     " prediction to the picture.")
  counted = truth != VOID
  real, guess = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
  for values in (real, guess):
    if values.size and not 0 <= values.min() <= values.max() < num_classes:
      raise ValueError(f"A mask holds classes {values.min()} to {values.max()}: there are only 0 to"
                       f" {num_classes - 1}, and {VOID} for void.")
  counts = np.bincount(real * num_classes + guess, minlength=num_classes**2)
  return counts.reshape(num_classes, num_classes)


def segmentation(counts: np.ndarray) -> SegmentationScores:
  """Intersection over union of every class, and accuracies, from a confusion matrix [K, K].

  Raises:
    ValueError: no pixel was counted.
  """
  if not counts.sum():
    raise ValueError("The confusion matrix counts no pixels: score at least one mask that is not"
                     " all void.")
  right, real, guessed = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
  present = real > 0
  iu = np.full(len(counts), np.nan)
  iu[present] = right[present] / (real + guessed - right)[present]
  return SegmentationScores(
      iu=_summary(iu),
      pixel_accuracy=float(right.sum() / counts.sum()),
      mean_accuracy=float(np.mean(right[present] / real[present])),
  )


def _summary(per_class: Sequence[float]) -> ClassScores:
  scores = np.asarray(per_class, np.float64)
  absent = np.isnan(scores)
  mean = float(scores[~absent].mean()) if not absent.all() else np.nan
  return ClassScores(scores, mean, tuple(np.flatnonzero(absent).tolist()))


def _check_finite(values: np.ndarray) -> None:
  if not np.isfinite(values).all():
    raise ValueError("A score or box is NaN or infinite: the network that gave it has diverged;"
                     " take an earlier checkpoint.")

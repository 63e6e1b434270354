"""Tests of boxes: overlaps, regression targets, suppression, and the regions drawn."""

import numpy as np
import pytest

from bigan_jax.transfer.voc import regions


def draw(rs: np.random.RandomState, count: int, side: int = 50) -> np.ndarray:
  return np.sort(rs.randint(0, side, (count, 2, 2)), axis=1).reshape(count, 4).astype(np.float32)


def test_overlap_by_hand() -> None:
  boxes = np.array([[0, 0, 9, 9], [5, 5, 14, 14], [10, 0, 19, 9], [3, 3, 3, 3]], np.float32)
  overlaps = regions.iou(boxes[:1], boxes)
  np.testing.assert_allclose(overlaps, [[1, 25 / 175, 0, 0.01]])


def test_overlap_counts_pixels() -> None:
  rs = np.random.RandomState(0)
  first, second = draw(rs, 8, 12), draw(rs, 9, 12)
  def pixels(box: np.ndarray) -> set:
    x1, y1, x2, y2 = box.astype(int)
    return {(x, y) for x in range(x1, x2 + 1) for y in range(y1, y2 + 1)}
  expected = [[len(pixels(a) & pixels(b)) / len(pixels(a) | pixels(b)) for b in second]
              for a in first]
  np.testing.assert_allclose(regions.iou(first, second), expected)
  assert regions.iou(first, second[:0]).shape == (8, 0)


def test_clip_and_mirror() -> None:
  boxes = np.array([[-3, 2, 99, 6], [1, -1, 4, 3]], np.float32)
  clipped = regions.clip(boxes, width=10, height=5)
  np.testing.assert_array_equal(clipped, [[0, 2, 9, 4], [1, 0, 4, 3]])
  np.testing.assert_array_equal(regions.mirror(clipped, 10), [[0, 2, 9, 4], [5, 0, 8, 3]])
  np.testing.assert_array_equal(regions.mirror(regions.mirror(boxes, 10), 10), boxes)


def test_deltas_by_hand_and_back() -> None:
  boxes, objects = np.array([[0, 0, 9, 19.0]]), np.array([[5, 0, 24, 19.0]])
  np.testing.assert_allclose(regions.encode(boxes, objects), [[1, 0, np.log(2), 0]], rtol=1e-6)
  rs = np.random.RandomState(0)
  boxes, objects = draw(rs, 100), draw(rs, 100)
  np.testing.assert_allclose(
      regions.decode(boxes, regions.encode(boxes, objects)), objects, atol=1e-4
  )


def picture(seed: int = 0, proposals: int = 400) -> regions.Regions:
  rs = np.random.RandomState(seed)
  return regions.regions_of(draw(rs, proposals), draw(rs, 3), np.array([4, 7, 7]))


def test_regions_begin_with_the_objects() -> None:
  found = picture()
  assert len(found.boxes) == 403 and found.boxes.dtype == np.float32
  np.testing.assert_array_equal(found.overlaps[:3], 1)
  np.testing.assert_array_equal(found.labels[:3], [4, 7, 7])
  np.testing.assert_array_equal(found.deltas[:3], 0)
  overlaps = regions.iou(found.boxes, found.boxes[:3])
  best = overlaps.argmax(axis=1)
  np.testing.assert_array_equal(found.labels, np.array([4, 7, 7])[best])
  back = regions.decode(found.boxes, found.deltas)
  np.testing.assert_allclose(back, found.boxes[best], atol=1e-3)


def test_a_picture_without_objects_has_no_usable_regions() -> None:
  found = regions.regions_of(draw(np.random.RandomState(0), 5), np.zeros((0, 4)), np.zeros(0, int))
  assert found.boxes.shape == (5, 4) and not found.overlaps.any()
  drawn = regions.sample([found], (0, 0))
  assert drawn.boxes.shape == (1, 64, 4) and not drawn.weights.any() and not drawn.labels.any()


def test_a_quarter_of_a_sample_is_foreground() -> None:
  pictures = [picture(0), picture(1, proposals=900)]
  drawn = regions.sample(pictures, (3, 5), count=24)
  assert drawn.boxes.shape == drawn.deltas.shape == (2, 24, 4)
  for found, boxes, labels, deltas, weights in zip(pictures, *drawn):
    overlaps = regions.iou(boxes, found.boxes[:3])
    best, near = overlaps.argmax(axis=1), overlaps.max(axis=1)
    objects = min(6, int((found.overlaps >= 0.5).sum()))
    assert objects > 3 and weights.all()
    np.testing.assert_array_equal(labels, np.where(np.arange(24) < objects, found.labels[best], 0))
    assert (near[:objects] >= 0.5).all()
    assert (near[objects:] >= 0.1).all() and (near[objects:] < 0.5).all()
    back = regions.decode(boxes[:objects], deltas[:objects])
    np.testing.assert_allclose(back, found.boxes[best[:objects]], atol=1e-3)
    assert not deltas[objects:].any()


def test_a_sample_is_named_by_its_seed() -> None:
  pictures = [picture(0), picture(0)]
  one, same, other = (regions.sample(pictures, seed) for seed in ((1, 2), (1, 2), (1, 3)))
  np.testing.assert_array_equal(one.boxes, same.boxes)
  assert (one.boxes != other.boxes).any() and (one.boxes[0] != one.boxes[1]).any()


def test_too_few_regions_are_filled_up_without_weight() -> None:
  found = picture(proposals=6)
  drawn = regions.sample([found], (0,), count=64)
  usable = int(drawn.weights.sum())
  assert usable == np.sum(found.overlaps >= 0.1) < 64
  assert not drawn.weights[0, usable:].any() and not drawn.boxes[0, usable:].any()
  assert len(np.unique(drawn.boxes[0, :usable], axis=0)) == usable  # Without replacement.


def test_statistics_of_deltas_normalise_them() -> None:
  pictures = [picture(seed) for seed in range(6)]
  means, stds = regions.delta_statistics(pictures, num_classes=8)
  assert means.shape == stds.shape == (9, 4)
  np.testing.assert_array_equal(stds[[0, 1, 8]], 1)
  np.testing.assert_array_equal(means[[0, 1, 8]], 0)
  sevens = np.concatenate([p.deltas[(p.overlaps >= 0.5) & (p.labels == 7)] for p in pictures])
  normal = (sevens - means[7]) / stds[7]
  np.testing.assert_allclose(normal.mean(axis=0), 0, atol=1e-5)
  np.testing.assert_allclose(normal.std(axis=0), 1, atol=1e-5)


def plain_suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
  kept = []
  for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
    if all(regions.iou(boxes[[i]], boxes[[k]])[0, 0] < threshold for k in kept):
      kept.append(i)
  return kept


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7])
def test_suppression_is_greedy(threshold: float) -> None:
  rs = np.random.RandomState(1)
  boxes, scores = draw(rs, 60, 20), rs.randint(20, size=60) / 20
  kept = regions.suppress(boxes, scores, threshold).tolist()
  assert kept == plain_suppress(boxes, scores, threshold) and 1 < len(kept) < 60
  assert regions.suppress(boxes[:0], scores[:0]).tolist() == []


def test_suppression_at_exactly_the_threshold() -> None:
  boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 4]])
  assert regions.suppress(boxes, np.array([1.0, 0.9]), 0.5).tolist() == [0]
  assert regions.suppress(boxes, np.array([1.0, 0.9]), 0.51).tolist() == [0, 1]


def test_detections_of_a_picture() -> None:
  same, far = [0, 0, 9, 9], [30, 30, 39, 39]
  boxes = np.array([[same, same], [same, far], [far, same]], np.float32)
  scores = np.array([[0.9, 0.2], [0.8, 0.04], [0.3, 0.7]])
  found = regions.suppress_by_class(boxes, scores)
  np.testing.assert_array_equal(found[0], [same, same, far])
  np.testing.assert_array_equal(found[1], [0.9, 0.7, 0.3])
  np.testing.assert_array_equal(found[2], [0, 1, 0])
  assert regions.suppress_by_class(boxes, scores, most=1)[2].tolist() == [0]
  nothing = regions.suppress_by_class(boxes, scores * 0)
  assert [part.shape for part in nothing] == [(0, 4), (0,), (0,)]

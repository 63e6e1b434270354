"""Picture grids at fixed z and x: samples G(z), and reconstructions G(E(x)) under their x."""

from collections.abc import Callable

import numpy as np

from bigan_jax.data.preprocess import to_uint8
from bigan_jax.evaluation import frozen
from bigan_jax.evaluation.metrics import Evaluator, Judge, Results
from bigan_jax.state import Snapshot

COLUMNS = 20
ROWS = 10
Write = Callable[[str, int, np.ndarray], None]  # (name, step, uint8 [H, W, C]) -> None


def grid(images: np.ndarray, columns: int) -> np.ndarray:
  """uint8 [N, H, W, C] -> one picture, row by row, one white pixel between; the rest white."""
  n, height, width, channels = images.shape
  rows = -(-n // columns)
  cells = np.full((rows * columns, height + 1, width + 1, channels), 255, np.uint8)
  cells[:n, :-1, :-1] = images
  cells = cells.reshape(rows, columns, height + 1, width + 1, channels)
  picture = cells.transpose(0, 2, 1, 3, 4)
  return picture.reshape(rows * (height + 1), columns * (width + 1), channels)[:-1, :-1]


def interleave(above: np.ndarray, below: np.ndarray, columns: int) -> np.ndarray:
  """[N, ...] twice -> [2 N, ...]: rows of `columns` images in turn."""
  pairs = [
      (above[i:i + columns], below[i:i + columns]) for i in range(0, len(above), columns)
  ]
  return np.concatenate([rows for pair in pairs for rows in pair])


def by_class(labels: np.ndarray, num_classes: int) -> np.ndarray:
  """Indices of COLUMNS images of each class, class by class; unlabelled: the first images.

  Images of classes that have fewer are repeated.
  """
  if not num_classes:
    return np.arange(min(len(labels), ROWS * COLUMNS))
  present = [c for c in range(min(num_classes, ROWS)) if np.any(labels == c)]
  return np.concatenate([np.resize(np.flatnonzero(labels == c), COLUMNS) for c in present])


def painter(judge: Judge, write: Write) -> Evaluator:
  """An evaluator that yields no number but writes `samples` and `reconstructions`."""
  chosen = judge.images.images[by_class(judge.images.labels, judge.images.num_classes)]
  def paint(snapshot: Snapshot) -> Results:
    G, E, _ = judge.networks
    samples = frozen.apply(G, snapshot.variables["G"], judge.z[:ROWS * COLUMNS])
    write("samples", snapshot.step, grid(_pixels(judge, samples), COLUMNS))
    if "E" in judge.objective.players:
      x, back = frozen.reconstruct(G, E, snapshot.variables, judge.views, chosen)
      rows = interleave(_pixels(judge, x), _pixels(judge, back), COLUMNS)
      write("reconstructions", snapshot.step, grid(rows, COLUMNS))
    return ()
  return paint


def _pixels(judge: Judge, x: np.ndarray) -> np.ndarray:
  return np.asarray(to_uint8(x, judge.value_range))

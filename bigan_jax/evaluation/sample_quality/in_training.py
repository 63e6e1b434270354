"""How like the judged pictures samples are at each evaluation of a run: config.eval.quality."""

import ml_collections
import numpy as np

from bigan_jax.data.preprocess import to_uint8
from bigan_jax.evaluation import frozen
from bigan_jax.evaluation.metrics import Evaluator, Judge, Results
from bigan_jax.evaluation.sample_quality import comparing, described
from bigan_jax.settings import measures
from bigan_jax.training.state import Snapshot

COLUMNS = comparing.Quality._fields
TRAINING = 10_000  # pictures on which the components of pixels are found


def evaluator(config: ml_collections.ConfigDict, judge: Judge) -> Evaluator:
  """Yields COLUMNS: the first config.eval.quality samples beside the judged pictures, by pixels.

  Raises:
    ValueError: there are too few pictures.
  """
  size, k = config.model.image_shape[0], measures.QUALITY_NEIGHBOURS
  count = min(TRAINING, judge.references.size)
  train = judge.references.images[np.arange(count) * judge.references.size // count]
  describe = described.by_pixels(described.at_size(train, size)).of
  pictures = described.at_size(judge.images.images, size)
  real = comparing.side(describe(pictures), k, "judged pictures")
  def evaluate(snapshot: Snapshot) -> Results:
    z = judge.z[:config.eval.quality]
    made = np.concatenate([
        np.asarray(to_uint8(
            frozen.apply(judge.networks.G, snapshot.variables["G"], z[i:i + frozen.BLOCK]),
            judge.value_range,
        )) for i in range(0, len(z), frozen.BLOCK)
    ])
    quality, _ = comparing.compare(real, comparing.side(describe(made), k, "samples"))
    yield from quality._asdict().items()
  return evaluate

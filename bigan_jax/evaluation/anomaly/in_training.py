"""AUROC of the default score at each evaluation of a training run: config.eval.anomaly."""

import ml_collections
import numpy as np

from bigan_jax.data import batches, labels
from bigan_jax.data.splits import Split, Stored
from bigan_jax.evaluation.anomaly import fitting, measuring, ranking
from bigan_jax.evaluation.metrics import Evaluator, Results
from bigan_jax.exchange import loaded
from bigan_jax.exchange.pretrained import Pretrained
from bigan_jax.models import Networks
from bigan_jax.training.state import Snapshot

COLUMN = "AUROC"
REFERENCES = 5_000  # normal training pictures; a fifth of them are held out


def evaluator(
    config: ml_collections.ConfigDict, networks: Networks, train: Split | Stored
) -> Evaluator:
  """Yields COLUMN: anomalies among pictures that nobody trains on, by their classes.

  Normal are the judged pictures of classes that are trained on and are not in config.eval.anomaly.

  Raises:
    ValueError: no such class; there are no anomalies, or no normal pictures.
  """
  held_out, names = batches.held_out(config)
  strange = labels.numbers("eval.anomaly", config.eval.anomaly, names)
  usual = [i for i in labels.trained(config.data, names) if i not in strange]
  judged = batches.fixed(
      labels.of_classes(held_out, usual + strange), config.eval.images, config, random=False
  )
  truth = np.isin(judged.labels, strange).astype(int)
  if not ranking.both(truth):
    raise ValueError(f"config.eval.anomaly is {config.eval.anomaly!r}, but of the {judged.size:,} "
                     f"judged pictures {truth.sum():,} are anomalies: there must be both kinds.")
  known = batches.fixed(labels.of_classes(train, usual), REFERENCES, config, random=False)
  def evaluate(snapshot: Snapshot) -> Results:
    found = Pretrained(config, networks, snapshot.variables, snapshot.step, {})
    model = loaded.assemble(found, "this run")
    fitted, _ = fitting.fit(model, measuring.of_split(known), fitting.Options())
    measured = measuring.measure(model, measuring.of_split(judged), held_against=fitted.normal)
    curve = ranking.curve(measured.scores[fitted.score], truth)
    yield COLUMN, float(ranking.measures(curve)["AUROC"])
  return evaluate

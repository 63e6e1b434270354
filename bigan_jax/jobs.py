"""The jobs that a config can name: each puts data, networks and a run folder together."""

import jax
import ml_collections

from bigan_jax import models, neighbours_job, probe_job, rules, trainer
from bigan_jax.data import batches
from bigan_jax.evaluation import metrics, pictures
from bigan_jax.objectives import OBJECTIVES
from bigan_jax.transfer import frozen_layers, voc_classification, voc_detection, voc_segmentation
from bigan_jax.workdir import check_run, open_run

FREE_TO_CHANGE = (
    "data_dir", "stop_epoch", "steps_per_dispatch", "save_every", "eval.every", "data.path",
    "data.resident_gb", "data.workers",
)


def train(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Trains a feature learner and judges it on the way (paper, sections 3 and 4)."""
  # What is sure to be refused is refused before pictures are prepared and read.
  rules.validate_share(config.batch_size, jax.device_count())
  check_run(workdir, config.to_dict(), FREE_TO_CHANGE)
  batches.prepare_first(config)
  # The handlers outlast the folder, which on closing waits for the last state to be written.
  with trainer.interruption() as interrupted:
    train_set, judged_set = batches.load(config, may_stream=True)
    rules.validate_batch(config.batch_size, train_set.size, jax.device_count())
    objective, networks = OBJECTIVES[config.objective], models.build(config.model)
    judge = metrics.judge(config, networks, objective, train_set, judged_set)
    best = (objective.metric, "max")
    with open_run(workdir, config.to_dict(), FREE_TO_CHANGE, best) as run:
      evaluators = [*judge.evaluators(), pictures.painter(judge, run.write_picture)]
      training = trainer.prepare(config, run, train_set, batches.assembler(config), evaluators)
      trainer.train(training, interrupted)


JOBS = {
    "train": train,
    "frozen_layers": frozen_layers.run,
    "linear_probe": probe_job.run,
    "neighbours": neighbours_job.run,
    "voc_classification": voc_classification.run,
    "voc_detection": voc_detection.run,
    "voc_segmentation": voc_segmentation.run,
}

"""The jobs that a config can name: each puts data, networks and a run folder together."""

import jax
import ml_collections

from bigan_jax import models, trainer
from bigan_jax.data import preprocess, sources
from bigan_jax.evaluation import metrics, pictures
from bigan_jax.objectives import OBJECTIVES, Batch
from bigan_jax.workdir import open_run

FREE_TO_CHANGE = (
    "data_dir", "stop_epoch", "steps_per_dispatch", "save_every", "eval.every", "data.path",
)


def train(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Trains a feature learner and judges it on the way (paper, sections 3 and 4)."""
  train_set, judged_set = sources.load_experiment(
      config.data.name, config.data.splits, config.data_dir, config.data.path
  )
  objective, networks = OBJECTIVES[config.objective], models.build(config.model)
  judge = metrics.judge(config, networks, objective, train_set, judged_set, views(config))
  best = (f"NNC_{'e-' if objective.judged == 'E' else 'd'}", "max")
  with open_run(workdir, config.to_dict(), FREE_TO_CHANGE, best) as run:
    evaluators = [*judge.evaluators(), pictures.painter(judge, run.write_picture)]
    trainer.train(trainer.prepare(config, run, train_set, assembler(config), evaluators))


def views(config: ml_collections.ConfigDict):
  """uint8 images -> Batch, for evaluation."""
  value_range = tuple(config.model.value_range)
  def view(images: jax.Array) -> Batch:
    x = preprocess.to_native(images, value_range)
    return Batch(x, x)
  return view


def assembler(config: ml_collections.ConfigDict):
  """(uint8 images, key) -> Batch, for training."""
  view = views(config)
  return lambda images, key: view(images)


JOBS = {"train": train}

"""The jobs that a config can name: each puts data, networks and a run folder together.

Those that train return whether SIGTERM stopped them before their end.
"""

from collections.abc import Mapping
import functools
import os
from typing import Any

import jax
import ml_collections

from bigan_jax import models
from bigan_jax.data import batches, survey
from bigan_jax.evaluation import metrics, neighbours_job, pictures, probe_job
from bigan_jax.evaluation.anomaly import in_training
from bigan_jax.evaluation.sample_quality import in_training as quality
from bigan_jax.evaluation.sample_quality import job as quality_job
from bigan_jax.exchange import loaded
from bigan_jax.machine import devices
from bigan_jax.runs.workdir import check_run, open_run
from bigan_jax.settings import overrides, rules
from bigan_jax.training import learner, loop
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.transfer import fine_tuning, frozen_layers
from bigan_jax.transfer.voc import classification, detection, segmentation


def train(config: ml_collections.ConfigDict, workdir: str) -> bool:
  """Trains a feature learner and judges it on the way (paper, sections 3 and 4).

  Returns:
    Whether SIGTERM stopped it before its end.
  """
  # What is sure to be refused is refused before pictures are prepared and read.
  rules.validate_share(config.batch_size, jax.device_count())
  objective, networks = OBJECTIVES[config.objective], models.build(config.model)
  jax.eval_shape(functools.partial(  # Networks that cannot be built raise here.
      models.initialise, networks, config.model, objective.players, objective.joint
  ), jax.random.PRNGKey(0))
  check_run(workdir, config.to_dict(), rules.FREE_TO_CHANGE)
  batches.prepare_first(config)
  # The handlers outlast the folder, which on closing waits for the last state to be written.
  with loop.interruption() as interrupted:
    train_set, judged_set = batches.load(config, may_stream=True)
    rules.validate_batch(config.batch_size, train_set.size, jax.device_count())
    judge = metrics.judge(config, networks, objective, train_set, judged_set)
    columns, others = (), []
    if config.eval.anomaly:
      columns += (in_training.COLUMN,)
      others.append(in_training.evaluator(config, networks, train_set))
    if config.eval.quality:
      columns += quality.COLUMNS
      others.append(quality.evaluator(config, judge))
    best = judge.criterion(config.eval.best, columns)
    with open_run(workdir, config.to_dict(), rules.FREE_TO_CHANGE, best) as run:
      run.agree_on_data(survey.fingerprint(train_set.about), config.data.accept_change)
      painter = pictures.painter(judge, run.write_picture)
      evaluators = [*judge.evaluators(), *others, painter]
      training = learner.prepare(config, run, train_set, batches.assembler(config), evaluators)
      learner.train(training, interrupted)
      return interrupted()


def train_and_load(
    config: ml_collections.ConfigDict | str | os.PathLike[str], workdir: str | os.PathLike[str],
    fields: Mapping[str, Any] | None = None,
) -> loaded.Model:
  """`bigan_jax.train`: trains, or goes on where `workdir` holds an unfinished run.

  Args:
    config: as --config takes it, a name such as "digits" or FILE.py, each with :VARIANT,KEY=VALUE
      after it or not; or a config that one of them gave.
    workdir: the run folder.
    fields: {field: value}, what --config.epochs=3 sets; {"epochs": 3, "optim.rate": 1e-4}.

  Returns:
    The newest networks.

  Raises:
    ValueError, OSError, ArithmeticError, RuntimeError: as the program says in one sentence.
  """
  config = overrides.changed(overrides.read(config), fields or {})
  workdir = os.path.expanduser(os.fspath(workdir))
  if config.job != "train":
    raise ValueError(f"config.job is {config.job!r}, which judges networks: let "
                     "python -m bigan_jax.main run it; train takes configs such as 'digits'.")
  rules.validate(config)
  devices.check()
  train(config, workdir)
  return loaded.load(workdir)


SUPERVISED = {
    "frozen_layers": frozen_layers.JOB,
    "voc_classification": classification.JOB,
    "voc_detection": detection.JOB,
    "voc_segmentation": segmentation.JOB,
}
JUDGING = {
    "linear_probe": probe_job.run,
    "neighbours": neighbours_job.run,
    "sample_quality": quality_job.run,
    **{name: functools.partial(fine_tuning.run, job) for name, job in SUPERVISED.items()},
}
JOBS = {"train": train, **{name: devices.usual_types()(run) for name, run in JUDGING.items()}}

"""config.eval.quality: columns of their own in runs that ask for them, and the same others."""

from collections.abc import Callable
import pathlib

import numpy as np
import pytest

import bigan_jax
from bigan_jax.data import batches
from bigan_jax.data.preprocess import to_uint8
from bigan_jax.evaluation import metrics
from bigan_jax.evaluation.sample_quality import comparing, described, in_training
from bigan_jax.models import build
from bigan_jax.settings import measures, rules
from bigan_jax.training import console
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.transfer import jobs
from tests.run_folders import rows


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: Callable) -> pathlib.Path:
  path, config = tmp_path_factory.mktemp("run"), tiny()
  config.eval.quality, config.eval.best = 80, "frechet"
  jobs.train(config, str(path))
  return path


def judge_of(config: object) -> metrics.Judge:
  train, judged = batches.load(config)
  return metrics.judge(config, build(config.model), OBJECTIVES["bigan"], train, judged)


def test_the_columns_are_of_fixed_samples_beside_the_judged_pictures(run: pathlib.Path) -> None:
  first, last = rows(run)
  assert tuple(last)[-6:] == in_training.COLUMNS and first["frechet"] > 0
  model = bigan_jax.load(str(run))
  judge = judge_of(model.config)
  made = np.asarray(to_uint8(model.G(judge.z[:80]), judge.value_range))
  describe = described.by_pixels(judge.references.images).of
  sides = (comparing.side(describe(x), 5, "") for x in (judge.images.images, made))
  expected, _ = comparing.compare(*sides)
  assert [last[name] for name in in_training.COLUMNS] == pytest.approx(list(expected), rel=1e-3)
  assert judge.criterion("frechet", in_training.COLUMNS) == ("frechet", "min")


def test_other_columns_do_not_change(
    run: pathlib.Path, tiny: Callable, tmp_path: pathlib.Path
) -> None:
  jobs.train(tiny(), str(tmp_path))
  without = rows(tmp_path)
  assert not without[0].keys() & set(in_training.COLUMNS)
  assert [{k: v for k, v in row.items() if k not in in_training.COLUMNS}
          for row in rows(run)] == without


def test_the_columns_are_named_and_shown(run: pathlib.Path) -> None:
  assert set(in_training.COLUMNS) <= measures.LEARNER.keys()
  shown = console.chief(rows(run)[-1])
  assert tuple(shown)[-6:] == in_training.COLUMNS
  assert len(shown["kernel"].partition(".")[2]) == 4


def test_more_than_are_drawn_and_too_few(tiny: Callable) -> None:
  config = tiny()
  config.eval.quality = 101
  with pytest.raises(ValueError, match="quality is 101, but only config.eval.samples = 100"):
    rules.validate(config)
  config.eval.quality, config.eval.images = 6, 5
  with pytest.raises(ValueError, match="There are 5 judged pictures, but 5 neighbours of each"):
    in_training.evaluator(config, judge_of(config))

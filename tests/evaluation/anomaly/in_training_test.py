"""config.eval.anomaly: a column of its own in runs that ask for it, and the same others."""

from collections.abc import Callable
import pathlib

import numpy as np
import pytest
from sklearn import metrics

import bigan_jax
from bigan_jax.data import batches, labels
from bigan_jax.evaluation.anomaly import in_training
from bigan_jax.transfer import jobs
from tests.run_folders import rows


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: Callable) -> pathlib.Path:
  """Trained without 1s and 7s, of which 1s are the anomalies."""
  path, config = tmp_path_factory.mktemp("run"), tiny()
  config.data.without_labels, config.eval.anomaly, config.eval.best = "1,7", "1", "AUROC"
  config.batch_size = 200
  jobs.train(config, str(path))
  return path


def test_the_column_is_the_default_score_s_on_held_out_pictures(run: pathlib.Path) -> None:
  first, last = rows(run)
  assert list(last)[-1] == "AUROC" and 0 < first["AUROC"] < 1
  model = bigan_jax.load(str(run))
  held_out, _ = batches.held_out(model.config)
  judged = labels.of_classes(held_out, [0, 1, 2, 3, 4, 5, 6, 8, 9])
  judged = batches.fixed(judged, model.config.eval.images, model.config, random=False)
  train, _ = batches.load(model.config)
  detector = bigan_jax.AnomalyDetector(model).fit(train.images)
  found = metrics.roc_auc_score(judged.labels == 1, detector.decision_function(judged.images))
  assert last["AUROC"] == pytest.approx(found, abs=1e-6)
  assert not np.isin(train.labels, (1, 7)).any()


def test_other_columns_do_not_change(
    run: pathlib.Path, tiny: Callable, tmp_path: pathlib.Path
) -> None:
  config = tiny()
  config.data.without_labels, config.batch_size = "1,7", 200
  jobs.train(config, str(tmp_path))
  without = rows(tmp_path)
  assert "AUROC" not in without[0]
  assert [{k: v for k, v in row.items() if k != "AUROC"} for row in rows(run)] == without


@pytest.mark.parametrize("strange, said", [
    ("10", "eval.anomaly is '10', but there is no class '10'"),
    ("0,2,3,4,5,6,8,9", "but of the 100 judged pictures 100 are anomalies: there must be both"),
])
def test_classes_that_leave_one_kind_alone(tiny: Callable, strange: str, said: str) -> None:
  config = tiny()
  config.data.without_labels, config.eval.anomaly = "1,7", strange
  with pytest.raises(ValueError, match=said):
    in_training.evaluator(config, None, batches.load(config)[0])


def test_an_unmeasured_column_cannot_be_the_best(tiny: Callable, tmp_path: pathlib.Path) -> None:
  config = tiny()
  config.eval.best = "AUROC"
  with pytest.raises(ValueError, match="eval.best is 'AUROC', which is not measured here"):
    jobs.train(config, str(tmp_path / "run"))

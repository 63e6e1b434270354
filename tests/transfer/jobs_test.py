"""Tests of whole jobs: every objective runs, under the names that scripts rely on."""

from collections.abc import Callable
import json
import os
import pathlib
import signal

import pytest

from bigan_jax.data import batches
from bigan_jax.runs.workdir import open_run
from bigan_jax.settings import measures
from bigan_jax.training import ending
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.transfer import jobs

LOSSES = {
    "bigan": {"JD", "G", "E", "D_real", "D_fake"},
    "gan": {"D", "G", "D_real", "D_fake"},
    "latent_regressor": {"D", "G", "E", "D_real", "D_fake"},
    "joint_latent_regressor": {"D", "G", "E", "D_real", "D_fake"},
    "autoencoder_l2": {"G", "E"},
    "autoencoder_l1": {"G", "E"},
    "alad": {"JD", "D_xx", "D_zz", "G", "E", "D_real", "D_fake"},
}
ENCODER = {
    "NNC_e", "NNC_e-", "CLS_e-", "code_std_mean", "code_std_min", "EGr", "EGr_b", "EGg", "EGg_b"
}
DISCRIMINATOR = {
    "gan": {"NNC_d", "CLS_d"}, "latent_regressor": {"NNC_d"}, "joint_latent_regressor": {"NNC_d"}
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_runs_from_end_to_end(
    tiny: Callable, name: str, tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture,
) -> None:
  jobs.train(tiny(name), str(tmp_path))
  first, last = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
  players = OBJECTIVES[name].players
  always = {"step", "epoch", "rate", "NND", "NND/10", "NND/100", "evaluation_seconds"}
  expected = always | LOSSES[name] | DISCRIMINATOR.get(name, set())
  expected |= ENCODER if "E" in players else set()
  assert set(first) == expected
  assert set(last) == expected | {f"grad_norm_{player}" for player in players}
  assert (last["step"], last["epoch"]) == (5, 1)
  assert expected <= measures.LEARNER.keys()
  printed = capsys.readouterr().out
  assert f"the lowest {'EGr' if 'E' in players else 'NND'} (config.eval.best)." in printed
  assert printed.splitlines()[-1] == ending.verdict([first, last], tmp_path)
  assert all(isinstance(value, (int, float)) for value in last.values())
  pictures = {"samples"} | ({"reconstructions"} if "E" in players else set())
  assert {p.name for p in (tmp_path / "pictures").iterdir()} == pictures
  folder = tmp_path / "networks" / "00000005"
  assert {p.name for p in folder.iterdir() if p.is_dir()} - {"info"} == set(players)


@pytest.mark.parametrize("name, metric", [("gan", "EGr"), ("bigan", "NNC_d")])
def test_the_best_by_what_is_not_measured_is_refused(
    tiny: Callable, tmp_path: pathlib.Path, name: str, metric: str
) -> None:
  config = tiny(name)
  config.eval.best = metric
  with pytest.raises(ValueError, match=f"config.eval.best is '{metric}', which is not measured"):
    jobs.train(config, str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()


def test_what_is_sure_to_be_refused_is_so_before_pictures_are_read(
    tiny: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(batches, "prepare_first", None)
  monkeypatch.setattr(batches, "load", None)
  (tmp_path / "config.json").write_text("{}")
  with pytest.raises(ValueError, match="belongs to another configuration"):
    jobs.train(tiny(), str(tmp_path))
  config = tiny()
  config.batch_size = 1
  with pytest.raises(ValueError, match="batch norm needs at least 2 images on each"):
    jobs.train(config, str(tmp_path / "new"))


def test_other_pictures_are_gone_on_with_where_one_says_so(
    tiny: Callable, tmp_path: pathlib.Path
) -> None:
  config = tiny()
  config.epochs = 0
  with open_run(str(tmp_path), config.to_dict()) as run:
    run.agree_on_data({"pictures": 3}, False)
  with pytest.raises(ValueError, match="or go on knowingly by --config.data.accept_change"):
    jobs.train(config, str(tmp_path))
  config.data.accept_change = True
  jobs.train(config, str(tmp_path))
  assert "pictures" not in (tmp_path / "data.json").read_text()
  assert (tmp_path / "metrics.jsonl").exists()


def test_a_signal_while_pictures_are_read_saves_and_ends(
    tiny: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  load = batches.load
  def signalled(*args: object, **options: object) -> object:
    os.kill(os.getpid(), signal.SIGTERM)
    return load(*args, **options)
  monkeypatch.setattr(batches, "load", signalled)
  jobs.train(tiny(), str(tmp_path))
  assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["00000000"]
  assert not (tmp_path / "metrics.jsonl").exists()

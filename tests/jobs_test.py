"""Tests of whole jobs: every objective runs, under the names that scripts rely on."""

import json
import pathlib
from collections.abc import Callable

import pytest

from bigan_jax import jobs
from bigan_jax.objectives import OBJECTIVES

LOSSES = {
    "bigan": {"JD", "G", "E", "D_real", "D_fake"},
    "gan": {"D", "G", "D_real", "D_fake"},
    "latent_regressor": {"D", "G", "E", "D_real", "D_fake"},
    "joint_latent_regressor": {"D", "G", "E", "D_real", "D_fake"},
    "autoencoder_l2": {"G", "E"},
    "autoencoder_l1": {"G", "E"},
}
ENCODER = {
    "NNC_e", "NNC_e-", "CLS_e-", "code_std_mean", "code_std_min", "EGr", "EGr_b", "EGg", "EGg_b"
}
DISCRIMINATOR = {
    "gan": {"NNC_d", "CLS_d"}, "latent_regressor": {"NNC_d"}, "joint_latent_regressor": {"NNC_d"}
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_runs_from_end_to_end(
    tiny: Callable, quick_compilation: None, name: str, tmp_path: pathlib.Path
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
  assert all(isinstance(value, (int, float)) for value in last.values())
  pictures = {"samples"} | ({"reconstructions"} if "E" in players else set())
  assert {p.name for p in (tmp_path / "pictures").iterdir()} == pictures
  folder = tmp_path / "networks" / "00000005"
  assert {p.name for p in folder.iterdir() if p.is_dir()} - {"info"} == set(players)

"""The package as Python sees it: what it shows, that it trains, and whose it is."""

from collections.abc import Callable
import configparser
import pathlib
import subprocess
import sys

import pytest
import yaml

import bigan_jax
from bigan_jax.settings import overrides
from tests.conftest import TINY
from tests.run_folders import rows

ROOT = pathlib.Path(__file__).parents[1]


def test_what_it_shows_before_jax_is_imported() -> None:
  code = ("import sys, bigan_jax; assert {'load', 'train', '__version__'} <= set(dir(bigan_jax));"
          "assert 'jax' not in sys.modules")
  subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_training_is_the_program_s(tmp_path: pathlib.Path, tiny: Callable) -> None:
  model = bigan_jax.train("configs/digits.py:bigan,recipe=official", tmp_path / "a", TINY)
  assert model.config.recipe == "official" and model.step == 5 and "JD" in model.metrics
  again = bigan_jax.train(tiny("bigan,recipe=official"), str(tmp_path / "a"))
  assert again.step == 5 and rows(tmp_path / "a")[-1]["step"] == 5
  with pytest.raises(ValueError, match="belongs to another config"):  # Another experiment's folder.
    bigan_jax.train("digits", tmp_path / "a", TINY)


def test_configs_in_all_forms(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.chdir(ROOT)
  forms = ("digits", "digits.py", "configs/digits", "configs/digits.py", ROOT / "configs/digits.py")
  for form in forms:
    assert overrides.read(form).to_dict() == overrides.read("digits:bigan").to_dict()
  assert overrides.read("digits:gan,recipe=official").objective == "gan"
  config = overrides.read("digits")
  assert overrides.read(config) is not config
  assert overrides.changed(config, {"epochs": 3, "optim.rate": 1e-3}).optim.rate == 1e-3


@pytest.mark.parametrize("config, fields, error, said", [
    ("digts", {}, FileNotFoundError, "There is no config digts.* did you mean 'digits"),
    ("digits:gun", {}, ValueError, "Unknown variant 'gun': did you mean 'gan'"),
    ("digits", {"epochz": 3}, ValueError, "Unknown config field 'epochz': did you mean 'epochs'"),
    ("digits", {"optim": {}}, ValueError, "config.optim is a section"),
    ("digits", {"epochs": "3"}, ValueError, "config.epochs cannot be '3': .* of type int"),
    ("digits", {"objective": "gan"}, ValueError, "config.objective also sets other fields"),
    ("digits", {"epochs": -1}, ValueError, "config.epochs is -1, but must be at least 0"),
    ("linear_probe", {}, ValueError, "config.job is 'linear_probe', which judges networks"),
])
def test_errors_come_before_training(
    tmp_path: pathlib.Path, config: str, fields: dict, error: type[Exception], said: str
) -> None:
  with pytest.raises(error, match=said):
    bigan_jax.train(config, tmp_path / "run", fields)
  assert not (tmp_path / "run").exists()


def test_everything_is_packed() -> None:
  """What is no Python is named by its folder's patterns, or pip would leave it out."""
  setup = configparser.ConfigParser()
  setup.read(ROOT / "setup.cfg")
  patterns = {ROOT.joinpath(*name.split("."), pattern.strip())
              for name, found in setup["options.package_data"].items()
              for pattern in found.split(",")}
  others = [path for path in (ROOT / "bigan_jax").rglob("*") if path.is_file()
            and path.suffix != ".py" and path.parent.name != "__pycache__"]
  assert {path.name for path in others} >= {"py.typed", "atlas.css", "map.js", "panel.js"}
  for path in others:
    assert any(path.match(str(pattern)) for pattern in patterns), path


def test_license_citation_and_types() -> None:
  setup = configparser.ConfigParser()
  setup.read(ROOT / "setup.cfg")
  assert setup["metadata"]["license"] == "Apache-2.0"
  assert "Version 2.0, January 2004" in (ROOT / setup["metadata"]["license_files"]).read_text()
  assert (ROOT / "bigan_jax" / setup["options.package_data"]["bigan_jax"]).is_file()
  citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
  assert citation["version"] == bigan_jax.__version__ and citation["license"] == "Apache-2.0"
  paper = citation["preferred-citation"]
  assert [author["family-names"] for author in paper["authors"]][0] == "Donahue"
  assert paper["year"] == 2017 and "1605.09782" in paper["url"]
  assert f"## {bigan_jax.__version__}" in (ROOT / "CHANGELOG.md").read_text()

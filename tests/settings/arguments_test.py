"""Tests of how configs are found, and of what may stand after the colon."""

import pathlib

import pytest

from bigan_jax.settings import arguments
from bigan_jax.settings import training as configs

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("argument, expected", [
    ("", ("bigan", "paper")),
    ("gan", ("gan", "paper")),
    ("recipe=official", ("bigan", "official")),
    ("latent_regressor,recipe=official", ("latent_regressor", "official")),
    ("recipe=official,latent_regressor", ("latent_regressor", "official")),
])
def test_arguments_after_the_colon(argument: str, expected: tuple[str, str]) -> None:
  objective, values = arguments.parse_argument(argument, {"recipe": "paper"})
  assert (objective, values["recipe"]) == expected
  config = configs.permutation_invariant(argument)
  assert (config.objective, config.recipe) == expected


def test_a_value_takes_the_type_of_its_default() -> None:
  _, values = arguments.parse_argument("crop=112,scale=2", {"crop": 64, "scale": 0.5, "name": "x"})
  assert values == {"crop": 112, "scale": 2.0, "name": "x"}
  assert type(values["crop"]) is int and type(values["scale"]) is float
  with pytest.raises(ValueError, match="crop=big is not of type int"):
    arguments.parse_argument("crop=big", {"crop": 64})


@pytest.mark.parametrize("argument, sentence", [
    ("bigann", "Unknown variant 'bigann': did you mean 'bigan'[?] choose from bigan, gan, "),
    ("latent_regresor", "did you mean 'latent_regressor'[?]"),
    ("xyz", "Unknown variant 'xyz': choose from bigan, "),
    ("recipe=offical", "Unknown recipe 'offical': did you mean 'official'[?]"),
    ("recipee=paper", "Unknown config argument 'recipee': did you mean 'recipe'[?]"),
    ("recipe=", "Unknown recipe '': choose from paper, official"),
])
def test_a_wrong_argument_is_answered_with_the_nearest(argument: str, sentence: str) -> None:
  with pytest.raises(ValueError, match=sentence):
    configs.permutation_invariant(argument)


def test_names_that_stand_for_other_fields_are_no_flags() -> None:
  arguments.refuse_derived(["epochs", "data.name"])
  for name in ("objective", "recipe", "job"):
    with pytest.raises(ValueError, match=f"config.{name} .* after the colon"):
      arguments.refuse_derived(["epochs", name])


def test_a_config_is_found_in_a_checkout_from_anywhere(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.chdir(ROOT)
  assert arguments.find_file("--config=configs/mnist.py:gan") == "--config=configs/mnist.py:gan"
  monkeypatch.chdir(tmp_path)
  found = f"--config={ROOT}/configs/mnist.py:gan,recipe=official"
  assert arguments.find_file("--config=configs/mnist.py:gan,recipe=official") == found
  assert arguments.find_file("--config=mnist.py") == f"--config={ROOT}/configs/mnist.py"
  (tmp_path / "mnist.py").write_text("# my own")
  assert arguments.find_file("--config=mnist.py") == "--config=mnist.py"


def test_a_config_is_found_in_an_installed_package(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  package = tmp_path / "site-packages" / "bigan_jax"
  for folder in (package / "configs", package.parent / "configs"):  # The latter is somebody's.
    folder.mkdir(parents=True)
    (folder / "mnist.py").touch()
  monkeypatch.setattr(arguments, "__file__", str(package / "settings" / "arguments.py"))
  monkeypatch.chdir(tmp_path)
  assert arguments.find_file("--config=configs/mnist.py") == f"--config={package}/configs/mnist.py"


def test_a_config_that_nobody_has_is_answered_with_the_nearest() -> None:
  sentence = r"no config configs/digts.py: did you mean 'digits.py'\? choose from .*mnist.py"
  with pytest.raises(FileNotFoundError, match=sentence):
    arguments.find_file("--config=configs/digts.py:gan")


@pytest.mark.parametrize("flag", [
    "--workdir=configs/nope.py", "--config.epochs=3", "--config", "configs/nope.py", "--help",
])
def test_other_arguments_are_left_alone(flag: str) -> None:
  assert arguments.find_file(flag) == flag

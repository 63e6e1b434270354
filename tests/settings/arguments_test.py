"""Tests of what may stand after the colon of --config."""

import pytest

from bigan_jax.settings import arguments
from bigan_jax.settings.perceptrons import permutation_invariant


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
  config = permutation_invariant(argument)
  assert (config.objective, config.recipe) == expected


def test_a_value_takes_the_type_of_its_default() -> None:
  _, values = arguments.parse_argument("crop=112,scale=2", {"crop": 64, "scale": 0.5, "name": "x"})
  assert values == {"crop": 112, "scale": 2.0, "name": "x"}
  assert type(values["crop"]) is int and type(values["scale"]) is float
  with pytest.raises(ValueError, match="crop=big is not of type int"):
    arguments.parse_argument("crop=big", {"crop": 64})
  with pytest.raises(ValueError, match="Unknown config argument 'size': this config takes none[.]"):
    arguments.parse_argument("size=small", {})


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
    permutation_invariant(argument)


def test_names_that_stand_for_other_fields_are_no_flags() -> None:
  arguments.refuse_derived(["epochs", "data.name"])
  for name in ("objective", "recipe", "job"):
    with pytest.raises(ValueError, match=f"config.{name} .* after the colon"):
      arguments.refuse_derived(["epochs", name])

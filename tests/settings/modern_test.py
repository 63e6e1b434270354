"""Tests of recipe=modern: what it sets in which config, and the rules of its fields."""

import functools
import importlib
import json
import pathlib
from typing import Any

import ml_collections
import pytest

from bigan_jax.models import latents
from bigan_jax.runs import workdir
from bigan_jax.settings import fields, modern, rules
from bigan_jax.training import augment
from bigan_jax.training import modern as games
from bigan_jax.training.objectives import OBJECTIVES
from tests import modern_parts

FILES = ("cifar10", "image_folder", "imagenet", "tiny_imagenet")


def get(file: str, argument: str = "") -> ml_collections.ConfigDict:
  return importlib.import_module(f"configs.{file}").get_config(argument)


def changed(file: str, argument: str) -> dict[str, Any]:
  """{field: value} where recipe=modern differs from the paper's."""
  config = get(file, f"{argument},recipe=modern")
  rules.validate(config)
  paper, found = fields.flat(get(file, argument)), fields.flat(config)
  assert paper.keys() == found.keys()
  return {name: value for name, value in found.items() if value != paper[name]}


ALONE = {"recipe": "modern", "average": 0.999, "optim.final_factor": 0.1}
WITH_E = {**ALONE, "model.E.rotation": 1.0}
AT_64 = {**ALONE, "model.E.rotation": 10.0}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_the_recipe_changes(file: str, objective: str) -> None:
  with_E = WITH_E if file == "cifar10" else AT_64
  assert changed(file, objective) == (ALONE if objective == "gan" else with_E)


@pytest.mark.parametrize("argument", ["bigan,encoder=alexnet", "bigan,batch=64"])
def test_it_goes_with_other_arguments_of_cifar10(argument: str) -> None:
  assert changed("cifar10", argument) == WITH_E


def test_it_goes_with_a_small_size() -> None:
  assert changed("image_folder", "bigan,size=small") == AT_64


@pytest.mark.parametrize("file", ["mnist", "fashion_mnist", "digits"])
def test_who_does_not_have_the_recipe_says_which_ones_there_are(file: str) -> None:
  with pytest.raises(ValueError, match="Unknown recipe 'modern': choose from paper, official."):
    get(file, "bigan,recipe=modern")


def test_the_names_are_those_that_are_known_where_they_are_used() -> None:
  assert modern.VIEWS == augment.KINDS and modern.LATENTS == latents.KINDS
  assert modern.LOSSES == tuple(games.LOSSES)


@pytest.mark.parametrize("name, value, sentence", [
    ("loss", "hing", "config.loss has 'hing': did you mean 'hinge'"),
    ("model.D.norm", "spectra", "config.model.D.norm has 'spectra': did you mean 'spectral'"),
    ("model.latents", "gauss", "config.model.latents has 'gauss': choose from uniform, normal"),
    ("augment", "flip,transl", "config.augment has 'transl': did you mean 'translation'"),
    ("average", 1.0, "config.average is 1.0, but must be at least 0 and below 1"),
    ("average", float("nan"), "config.average is nan"),
    ("optim.E_rate_factor", 0.0, "config.optim.E_rate_factor is 0.0, but must be a number above 0"),
    ("optim.E_rate_factor", float("inf"), "E_rate_factor is inf, but must be a number above 0"),
    ("model.E.rotation", -1.0, "config.model.E.rotation is -1.0, but must be a number from 0 on"),
    ("augment", "", "config.views shows D and E views of their own, but config.augment"),
    ("model.D.hidden", 0, "config.model.D.unary needs layers for z and for pairs, but.*is 0"),
])
def test_a_modern_field_that_cannot_be_is_refused(name: str, value: Any, sentence: str) -> None:
  config = modern_parts.take(get("cifar10", "bigan,recipe=modern"))
  config.update_from_flattened_dict({name: value})
  with pytest.raises(ValueError, match=sentence) as error:
    rules.validate(config)
  assert "\n" not in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize("objective, name, value", [
    ("latent_regressor", "model.D.unary", True), ("gan", "views", True),
    ("autoencoder_l1", "model.E.stochastic", True), ("autoencoder_l2", "augment", "flip"),
    ("autoencoder_l2", "loss", "hinge"), ("gan", "model.E.rotation", 1.0),
    ("gan", "optim.E_rate_factor", 4.0), ("autoencoder_l1", "model.D.norm", "spectral"),
])
def test_a_field_that_an_objective_has_no_use_for_is_refused(
    objective: str, name: str, value: Any
) -> None:
  config = get("cifar10", objective)
  rules.validate(config)
  config.update_from_flattened_dict({name: value})
  sentence = rf"config.{name} is .*, which {objective} has no use for .only .*: leave it out"
  with pytest.raises(ValueError, match=sentence):
    rules.validate(config)


@pytest.mark.parametrize("name, value", [
    *modern_parts.ALONE.items(), *modern_parts.JOINTLY.items(), ("model.latents", "normal"),
    ("model.E.stochastic", True), ("model.E.rotation", 1.0),
])
def test_each_part_may_be_taken_alone(name: str, value: Any) -> None:
  config = get("tiny_imagenet")
  with_it = {"views": {"augment": "flip"}, "model.D.unary": {"model.D.hidden": 8}}.get(name, {})
  config.update_from_flattened_dict({name: value, **with_it})
  rules.validate(config)


@pytest.mark.parametrize("file", ["cifar10", "image_folder", "digits"])
def test_a_run_of_before_goes_on_as_it_was_and_not_otherwise(
    file: str, tmp_path: pathlib.Path
) -> None:
  """Its config.json knows none of the fields; a sentence names those that are new."""
  config = get(file)
  old = json.loads(json.dumps(config.to_dict()))
  for name in rules.BEFORE:
    *sections, last = name.split(".")
    section = functools.reduce(dict.__getitem__, sections, old)
    if section.get(last) == rules.BEFORE[name]:
      del section[last]
  (tmp_path / "config.json").write_text(json.dumps(old))
  check = lambda: workdir.check_run(str(tmp_path), config.to_dict(), rules.FREE_TO_CHANGE)
  check()
  config.loss, config.average = "hinge", 0.9
  with pytest.raises(ValueError, match='configuration: average is 0.0 there and 0.9 here; loss is'
                     ' "logistic" there and "hinge" here; give the same values or another'):
    check()

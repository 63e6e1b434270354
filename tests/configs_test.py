"""Tests of every config file, in every variant and recipe: it builds, and is right."""

import functools
import importlib
import json
import pathlib

import jax
import ml_collections
import pytest

from bigan_jax import models
from bigan_jax.data import prepare
from bigan_jax.settings import arguments, rules
from bigan_jax.settings import training as shared
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.transfer import jobs


def get(file: str, argument: str) -> ml_collections.ConfigDict:
  return importlib.import_module(f"configs.{file}").get_config(argument)


ALL = sorted(p.stem for p in pathlib.Path(__file__).parents[1].glob("configs/[!_]*.py"))
FILES = [file for file in ALL if get(file, "").job == "train"]
PERCEPTRONS = ("digits", "fashion_mnist", "mnist")
EVERYTHING = pytest.mark.parametrize("file, objective, recipe", [
    (file, objective, recipe) for file in FILES for objective in arguments.OBJECTIVES
    for recipe in (arguments.RECIPES if file in PERCEPTRONS else arguments.MODERN)
])


def fields(tree: dict, prefix: str = "") -> dict[str, object]:
  """{"a": {"b": 1}} as {"a.b": 1}."""
  flat = {}
  for name, value in tree.items():
    nested = isinstance(value, dict)
    flat |= fields(value, f"{prefix}{name}.") if nested else {prefix + name: value}
  return flat


def test_the_known_objectives_are_those_that_exist() -> None:
  assert arguments.OBJECTIVES == tuple(OBJECTIVES)
  assert set(PERCEPTRONS) <= set(FILES)


@functools.cache  # Several files, and several objectives, have the same networks.
def shapes_of(
    model: ml_collections.FrozenConfigDict, players: tuple[str, ...], joint: bool
) -> dict:
  """What the networks of a config.model hold."""
  networks = models.build(model)
  return jax.eval_shape(
      lambda key: models.initialise(networks, model, players, joint, key), jax.random.PRNGKey(0)
  )


@EVERYTHING
def test_builds_and_is_valid(file: str, objective: str, recipe: str) -> None:
  config = get(file, f"{objective},recipe={recipe}")
  if config.model.encoder_shape != config.model.image_shape and (
      objective in arguments.SHOWS_E_SAMPLES):
    with pytest.raises(ValueError, match="shows E the images of G, but E sees 112 pixels"):
      rules.validate(config)
    return
  rules.validate(config)
  assert (config.objective, config.recipe) == (objective, recipe)
  assert config.job in jobs.JOBS and config.data.name in prepare.NAMES
  chosen = OBJECTIVES[objective]
  shapes = shapes_of(ml_collections.FrozenConfigDict(config.model), chosen.players, chosen.joint)
  assert set(shapes) == set(chosen.players)
  if file in PERCEPTRONS and "D" in chosen.players:
    assert ("fc2_z" in shapes["D"]["params"]) == chosen.joint


@EVERYTHING
def test_is_the_same_after_json(file: str, objective: str, recipe: str) -> None:
  """Otherwise a run could not be continued: its folder keeps the config as JSON."""
  config = fields(get(file, f"{objective},recipe={recipe}").to_dict())
  listed = {name: [*value] if isinstance(value, tuple) else value for name, value in config.items()}
  assert json.loads(json.dumps(config, allow_nan=False)) == listed


@pytest.mark.parametrize("file", FILES)
def test_the_default_is_bigan_by_the_paper(file: str) -> None:
  assert get(file, "").to_dict() == get(file, "bigan,recipe=paper").to_dict()


@pytest.mark.parametrize("file", ALL)
def test_the_docstring_gives_the_command(file: str) -> None:
  module = importlib.import_module(f"configs.{file}")
  commands = [line for line in module.__doc__.splitlines() if line.startswith("  python -m ")]
  assert f"bigan_jax.main --config=configs/{file}.py" in commands[0] and "--workdir=" in commands[0]


@pytest.mark.parametrize("file", FILES)
def test_an_unknown_variant_is_refused(file: str) -> None:
  with pytest.raises(ValueError, match="did you mean 'bigan'"):
    get(file, "bigann")


@pytest.mark.parametrize("file", PERCEPTRONS)
@pytest.mark.parametrize("objective", arguments.OBJECTIVES)
def test_the_recipes_differ_where_text_and_code_do(file: str, objective: str) -> None:
  """Reference section 10: what enters where in G and D, and what is decayed."""
  paper, official = (
      fields(get(file, f"{objective},recipe={r}").to_dict()) for r in ("paper", "official")
  )
  assert paper.keys() == official.keys()
  pairs = {name: (paper[name], official[name]) for name in paper}
  assert {name: pair for name, pair in pairs.items() if pair[0] != pair[1]} == {
      "recipe": ("paper", "official"),
      "optim.decay_shifts": (False, True),
      "model.G.first_bn": (False, True),
      "model.G.z_skip": (False, True),
      "model.D.z_output": (True, False),
  }


@pytest.mark.parametrize("file", PERCEPTRONS)
def test_the_variants_differ_in_what_their_losses_need(file: str) -> None:
  """Reference section 0: the output layer of E is zero at first where it regresses latents."""
  default = fields(get(file, "").to_dict())
  for objective in arguments.OBJECTIVES[1:]:
    variant = fields(get(file, objective).to_dict())
    differing = {name for name in default if variant[name] != default[name]}
    regresses = objective in ("latent_regressor", "joint_latent_regressor")
    assert differing == {"objective"} | ({"model.E.out_stddev"} if regresses else set())
    assert variant["model.E.out_stddev"] == (0.0 if regresses else 0.02)


@pytest.mark.parametrize("file", ["mnist", "fashion_mnist"])
def test_the_numbers_of_the_paper(file: str) -> None:
  """Section 4.2 and appendix A."""
  config = get(file, "")
  assert (config.batch_size, config.epochs, config.alternating) == (128, 400, 0)
  optim = config.optim
  assert (optim.rate, optim.b1, optim.b2, optim.weight_decay) == (2e-4, 0.5, 0.999, 2.5e-5)
  assert optim.rate * optim.final_factor == pytest.approx(2e-6)
  model = config.model
  assert model.latent_dim == 50 and model.value_range == (0.0, 1.0)
  assert model.G.width == model.E.width == model.D.width == 1024
  assert model.image_shape == model.encoder_shape == (28, 28, 1)
  judged = config.eval
  assert (judged.images, judged.references, judged.samples) == (10_000, 50_000, 100_000)
  assert (config.calibration_steps, judged.every) == (1000, 25)


@pytest.mark.parametrize("file", FILES)
def test_a_larger_batch_has_the_rate_that_goes_with_it(file: str) -> None:
  one, eight = (fields(get(file, f"gan,batch={n}").to_dict()) for n in (128, 1024))
  assert one == fields(get(file, "gan").to_dict())
  changed = {name: value for name, value in eight.items() if value != one[name]}
  assert changed == {
      "batch_size": 1024,
      "optim.rate": pytest.approx(8**0.5 * 2e-4, rel=1e-12),
      "optim.warmup_epochs": 5,
      "optim.b1": 0.0,
      "optim.b2": pytest.approx(0.992, rel=1e-12),
  }


@pytest.mark.parametrize("variant", ["bigan", "gan"])
def test_a_small_size_for_a_cpu(variant: str) -> None:
  config = get("image_folder", f"{variant},size=small")
  rules.validate(config)
  full = fields(get("image_folder", variant).to_dict())
  changed = {n: v for n, v in fields(config.to_dict()).items() if v != full[n]}
  assert changed.pop("model.D.z_stddev", 0.05) == 0.05
  assert changed.pop("model.D.widths", config.model.E.widths) == config.model.E.widths
  assert changed == {
      "batch_size": 32, "epochs": 140, "optim.rate": 3e-4, "model.latent_dim": 50,
      "model.image_shape": (32, 32, 3), "model.E.widths": (48, 128, 192, 192, 128),
  }
  double = get("image_folder", f"{variant},size=small,batch=64")
  assert double.optim.rate == pytest.approx(3e-4 * 2**0.5) and double.optim.warmup_epochs == 5
  assert get("image_folder", f"{variant},size=small,batch=16").optim.warmup_epochs == 0
  with pytest.raises(ValueError, match="Unknown size 'smal': did you mean 'small'"):
    get("image_folder", "size=smal")


def test_a_batch_of_one_is_refused() -> None:
  with pytest.raises(ValueError, match="batch=1: batch norm needs at least 2 images"):
    get("mnist", "batch=1")


def test_what_all_share_are_plain_values() -> None:
  config = shared.base("gan", "official")
  assert json.loads(json.dumps(config.to_dict())) == config.to_dict()
  assert (config.objective, config.recipe, config.job) == ("gan", "official", "train")

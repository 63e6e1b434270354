"""`variant,key=value` after the colon of --config, and how errors name what was meant."""

from collections.abc import Iterable
import difflib
from typing import Any

OBJECTIVES = (
    "bigan", "gan", "latent_regressor", "joint_latent_regressor", "autoencoder_l2",
    "autoencoder_l1", "alad",
)
SHOWS_E_SAMPLES = ("latent_regressor", "joint_latent_regressor", "alad")  # E must see what G makes
RECIPES = ("paper", "official")
MODERN = (*RECIPES, "modern")  # of configs of photos
SIZES = ("full", "small")
DERIVED = ("objective", "recipe", "job")  # fields that only name what others were set to


def nearest(name: str, known: tuple[str, ...]) -> str:
  """The end of an error message: the known names, and the one that was probably meant."""
  close = difflib.get_close_matches(name, known, n=1)
  hint = f"did you mean {close[0]!r}? " if close else ""
  return f"{hint}choose from {', '.join(known)}."


def parse_argument(
    argument: str, defaults: dict[str, Any], variants: tuple[str, ...] = OBJECTIVES,
    recipes: tuple[str, ...] = RECIPES,
) -> tuple[str, dict[str, Any]]:
  """Reads the part after the colon of `--config=FILE.py:variant,key=value,...`.

  Args:
    argument: "", "bigan" or "bigan,recipe=official"; the variant may be left out.
    defaults: the keys that the config knows; a value takes the type of its default.
    variants: those that the config knows, the default first.
    recipes: likewise.

  Returns:
    (variant, values).
  """
  variant, values = variants[0], dict(defaults)
  for part in filter(None, argument.split(",")):
    key, equals, value = part.partition("=")
    if not equals:
      variant = part
    elif key not in defaults:
      known = nearest(key, tuple(defaults)) if defaults else "this config takes none."
      raise ValueError(f"Unknown config argument {key!r}: {known}")
    else:
      values[key] = _typed(key, value, defaults[key])
  if variant not in variants:
    raise ValueError(f"Unknown variant {variant!r}: {nearest(variant, variants)}")
  recipe = values.get("recipe", "paper")
  if recipe not in recipes:
    raise ValueError(f"Unknown recipe {recipe!r}: {nearest(recipe, recipes)}")
  if values.get("size", "full") not in SIZES:
    raise ValueError(f"Unknown size {values['size']!r}: {nearest(values['size'], SIZES)}")
  return variant, values


def _typed(key: str, value: str, default: Any) -> Any:
  try:
    return type(default)(value)
  except ValueError:
    kind = type(default).__name__
    raise ValueError(f"Config argument {key}={value} is not of type {kind}.") from None


def refuse_derived(overrides: Iterable[str]) -> None:
  """Raises ValueError for a flag that would change a name but not the fields that it stands for."""
  for name in DERIVED:
    if name in overrides:
      raise ValueError(
          f"config.{name} also sets other fields: choose it after the colon, "
          "--config=FILE.py:bigan,recipe=official, not by a flag of its own."
      )

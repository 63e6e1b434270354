"""recipe=modern: what has been learned of such games since the paper, and rules of its fields."""

import math

import ml_collections

from bigan_jax.settings.arguments import nearest

LOSSES = ("logistic", "hinge")
VIEWS = ("flip", "translation", "cutout", "colour")
NORMS = ("batch", "spectral")
LATENTS = ("uniform", "normal")
JOINT = "bigan"  # the objective whose D judges pairs


def modernise(config: ml_collections.ConfigDict) -> None:
  """Sets the parts that a study has kept (docs/modern.md), each of which works alone."""
  config.average = 0.999
  config.optim.final_factor = 0.1
  if config.objective != "gan":
    config.model.E.rotation = 1.0


def kinds(config: ml_collections.ConfigDict) -> tuple[str, ...]:
  """The names in config.augment."""
  return tuple(name.strip() for name in config.augment.split(",") if name.strip())


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for the first field that is out of range, or contradicts another."""
  model, factor = config.model, config.optim.E_rate_factor
  for name, value, known in (
      ("loss", config.loss, LOSSES),
      ("model.latents", model.get("latents", LATENTS[0]), LATENTS),
      ("model.D.norm", model.D.get("norm", NORMS[0]), NORMS),
      *(("augment", kind, VIEWS) for kind in kinds(config)),
  ):
    if value not in known:
      raise ValueError(f"config.{name} has {value!r}: {nearest(str(value), known)}")
  if not 0 <= config.average < 1:
    raise ValueError(f"config.average is {config.average}, but must be at least 0 and below 1.")
  if not 0 < factor < math.inf:
    raise ValueError(f"config.optim.E_rate_factor is {factor}, but must be a number above 0.")
  rotation = model.E.get("rotation", 0.0)
  if not 0 <= rotation < math.inf:
    raise ValueError(f"config.model.E.rotation is {rotation}, but must be a number from 0 on.")
  _validate_game(config)


def _validate_game(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for a field that the objective has no use for, or that needs another."""
  objective, D = config.objective, config.model.D
  if objective == "alad":
    _refuse_for_alad(config)
  for name, value in (("augment", config.augment), ("loss", config.loss)):
    if objective.startswith("autoencoder") and value not in ("", LOSSES[0]):
      raise ValueError(f"config.{name} is {value!r}, which is for a game with D, but {objective}"
                       " has none: leave it out.")
  if objective == "gan" and config.model.E.get("rotation", 0):
    raise ValueError("config.model.E.rotation is for an E that learns, but gan has none: leave it"
                     " out.")
  for name, used in (("model.D.unary", D.get("unary")), ("views", config.views),
                     ("model.E.stochastic", config.model.E.get("stochastic"))):
    if used and objective != JOINT:
      raise ValueError(f"config.{name} is for a D that judges pairs of a picture and a code, but"
                       f" {objective} has none: leave it out, or take objective {JOINT}.")
  if config.views and not config.augment:
    raise ValueError("config.views shows D and E views of their own, but config.augment, which says"
                     ' what a view is, is "": give it such as --config.augment=flip,translation.')
  if D.get("unary") and not D.get("hidden"):
    raise ValueError(f"config.model.D.unary needs layers for z and for pairs, but"
                     f" config.model.D.hidden, their units, is {D.get('hidden', 0)}: give it such"
                     " as 512.")


def _refuse_for_alad(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for a field that says how one game is played: ALAD has three."""
  given = {"loss": config.loss, "augment": config.augment, "views": config.views,
           "model.D.unary": config.model.D.get("unary"),
           "model.E.stochastic": config.model.E.get("stochastic")}
  for name, value in given.items():
    if value and value != LOSSES[0]:
      raise ValueError(f"config.{name} is {value!r}, which is for a game of D alone, but alad has"
                       f" three: leave it out, or take objective {JOINT}.")

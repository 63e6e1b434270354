"""recipe=modern: what has been learned of such games since the paper, and rules of its fields."""

import math

import ml_collections

from bigan_jax.settings.arguments import OBJECTIVES, nearest

LOSSES = ("logistic", "hinge")
VIEWS = ("flip", "translation", "cutout", "colour")
NORMS = ("batch", "spectral")
LATENTS = ("uniform", "normal")
ONE_GAME = ("bigan", "gan", "latent_regressor", "joint_latent_regressor")  # ALAD has three
WITH_D = (*ONE_GAME, "alad")
WITH_E = tuple(name for name in OBJECTIVES if name != "gan")
PLAIN = {"loss": LOSSES[0], "model.D.norm": NORMS[0], "optim.E_rate_factor": 1.0}
USERS = {  # the objectives that have a use for a field
    "loss": ONE_GAME, "augment": ONE_GAME, "views": ("bigan",), "model.D.unary": ("bigan",),
    "model.E.stochastic": ("bigan",), "model.E.rotation": WITH_E, "optim.E_rate_factor": WITH_E,
    "model.D.norm": WITH_D,
}


def modernise(config: ml_collections.ConfigDict, rotation: float) -> None:
  """Sets the parts that a study has kept (docs/modern.md), each of which works alone.

  Args:
    rotation: weight of the question how a picture was turned, where there is an E.
  """
  config.average = 0.999
  config.optim.final_factor = 0.1
  if config.objective in USERS["model.E.rotation"]:
    config.model.E.rotation = rotation


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
  D, E = config.model.D, config.model.E
  given = {"loss": config.loss, "augment": config.augment, "views": config.views,
           "model.D.unary": D.get("unary"), "model.E.stochastic": E.get("stochastic"),
           "model.E.rotation": E.get("rotation"), "model.D.norm": D.get("norm"),
           "optim.E_rate_factor": config.optim.E_rate_factor}
  for name, users in USERS.items():
    if given[name] and given[name] != PLAIN.get(name) and config.objective not in users:
      raise ValueError(f"config.{name} is {given[name]!r}, which {config.objective} has no use for"
                       f" (only {', '.join(users)}): leave it out.")
  if config.views and not config.augment:
    raise ValueError("config.views shows D and E views of their own, but config.augment, which says"
                     ' what a view is, is "": give it such as --config.augment=flip,translation.')
  if D.get("unary") and not D.get("hidden"):
    raise ValueError(f"config.model.D.unary needs layers for z and for pairs, but"
                     f" config.model.D.hidden, their units, is {D.get('hidden', 0)}: give it such"
                     " as 512.")

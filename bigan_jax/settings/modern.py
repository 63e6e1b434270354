"""recipe=modern: what has been learned of such games since the paper, and rules of its fields."""

import ml_collections

from bigan_jax.settings.arguments import nearest

LOSSES = ("logistic", "hinge")
VIEWS = ("flip", "translation", "cutout", "colour")
NORMS = ("spectral", "batch")
JOINT = "bigan"  # the objective whose D judges pairs
PAIRS = {  # families of networks, and what they become: D in parts
    "dim": "dim_pairs", "dim_alexnet_E": "dcgan_pairs", "dcgan": "dcgan_pairs",
    "dcgan_alexnet_D": "dcgan_pairs",
}


def modernise(config: ml_collections.ConfigDict) -> None:
  """Sets the parts of the recipe, each of which works alone (docs/modern.md), in a config."""
  joint = config.objective == JOINT
  config.loss = "hinge"
  config.average = 0.999
  config.optim.E_rate_factor = 4.0
  config.optim.weight_decay = 0.0
  if not config.objective.startswith("autoencoder"):
    config.augment = "flip,translation"
    config.views = joint
  config.model.family = PAIRS[config.model.family]
  config.model.D = ml_collections.ConfigDict(
      {"width": 64, "hidden": 512, "norm": "spectral", "unary": joint}
  )


def kinds(config: ml_collections.ConfigDict) -> tuple[str, ...]:
  """The names in config.augment."""
  return tuple(name.strip() for name in config.augment.split(",") if name.strip())


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for the first field that is out of range, or contradicts another."""
  D = config.model.D
  for name, value, known in (
      ("loss", config.loss, LOSSES), ("model.D.norm", D.get("norm", NORMS[0]), NORMS),
      *(("augment", kind, VIEWS) for kind in kinds(config)),
  ):
    if value not in known:
      raise ValueError(f"config.{name} has {value!r}: {nearest(str(value), known)}")
  if not 0 <= config.average < 1:
    raise ValueError(f"config.average is {config.average}, but must be at least 0 and below 1.")
  if not config.optim.E_rate_factor > 0:
    raise ValueError(f"config.optim.E_rate_factor is {config.optim.E_rate_factor}, but must be"
                     " above 0.")
  joint = config.objective == JOINT
  if D.get("unary") and not joint:
    raise ValueError(f"config.model.D.unary scores x and z besides the pair, but the D of"
                     f" {config.objective} judges x alone: leave it out.")
  if config.views and not (joint and config.augment):
    raise ValueError("config.views shows E and the D of pairs two views of a picture: take"
                     " objective bigan, and say by config.augment what a view is.")
  if config.augment and config.objective.startswith("autoencoder"):
    raise ValueError(f"config.augment is {config.augment!r}, what D sees, but"
                     f" {config.objective} has no D: leave it out.")

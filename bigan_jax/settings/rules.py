"""What a config must hold to be run: every rule, and the sentence for who breaks it."""

from collections.abc import Sequence
from typing import Any

import ml_collections

from bigan_jax.settings import modern
from bigan_jax.settings.arguments import OBJECTIVES, SHOWS_E_SAMPLES, nearest
from bigan_jax.settings.data import data_section
from bigan_jax.settings.measures import CRITERIA, QUALITY_NEIGHBOURS

LAST_SEED = 2**32 - 1  # NumPy takes no more, and JAX drops the rest.
PRECISIONS = ("float32", "tf32", "bfloat16")
FREE_TO_CHANGE = (  # when a run is continued: fields that its results do not depend on
    "data_dir", "stop_epoch", "steps_per_dispatch", "save_every", "save_seconds", "eval.every",
    "eval.best", "eval.anomaly", "eval.quality", "data.path", "data.accept_change", "data.classes",
    "data.resident_gb", "data.workers", "proposals.cache_dir",
)
BEFORE = {  # what runs from before these fields are: continued as such, and not otherwise
    "loss": "logistic", "average": 0.0, "augment": "", "views": False, "optim.E_rate_factor": 1.0,
    "model.latents": "uniform", "model.E.stochastic": False, "model.E.rotation": 0.0,
    "model.D.norm": "batch", "model.D.unary": False, "model.D.hidden": 0,
    "data.only_labels": "", "data.without_labels": "",
}
LISTS = {  # of numbers above 0, or of a lower and a higher one
    "model.image_shape": (28, 28, 1), "model.encoder_shape": (28, 28, 1),
    "model.value_range": (0.0, 1.0), "model.hidden": (4096, 4096),
}
CONVOLUTIONS = 5  # of the AlexNet that is E, or D
CLASSES = ("only_labels", "without_labels")  # of whatever has labels
NAMED_USE = ("splits", "edge", "flip", *CLASSES)  # of a set of TFDS
USES = {  # fields of config.data that a set has a use for, beside ALL_USE; fake takes any config
    "image_folder": ("path", "splits", "edge", "flip", "validation_share", *CLASSES),
    "imagenet_presized": ("path", "splits", "edge", "flip", "max_labels", *CLASSES),
    "voc": ("path", "edge", "flip", "year", "classes"),
}
ALL_USE = ("name", "accept_change", "resident_gb", "workers")
TAKE = {  # what does use a field
    "path": "configs/image_folder.py", "edge": "configs/image_folder.py",
    "flip": "configs/image_folder.py", "validation_share": "configs/image_folder.py",
    "max_labels": "configs/imagenet.py", "only_labels": "configs/mnist.py",
    "without_labels": "configs/mnist.py", "year": "configs/voc_classification.py",
    "classes": "configs/voc_classification.py",
    "splits": "config.train_split and config.test_split",
}


def check_least(config: ml_collections.ConfigDict, least: dict[str, float]) -> None:
  """Raises ValueError for the first of the named fields that is below its least value.

  Args:
    least: {"section.field": value}; fields that the config lacks are passed over.
  """
  flat = dict(flat_fields(config))
  for name, value in least.items():
    if name in flat and not flat[name] >= value:
      raise ValueError(f"config.{name} is {flat[name]}, but must be at least {value}.")


def check_seed(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError unless the seed has 32 bits."""
  if not 0 <= config.seed <= LAST_SEED:
    raise ValueError(
        f"config.seed is {config.seed}, but must be at least 0 and at most {LAST_SEED}."
    )


def check_lists(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for the first list of numbers that is not what its name says.

  Fields that the config lacks are passed over.
  """
  flat = dict(flat_fields(config))
  for name, example in LISTS.items():
    value = flat.get(name, example)
    kinds = (int,) if isinstance(example[0], int) else (int, float)
    fits = len(value) == len(example) and all(type(number) in kinds for number in value)
    if not fits or not (min(value) > 0 if kinds == (int,) else value[0] < value[1]):
      raise ValueError(f"config.{name} is {tuple(value)}: give it such as "
                       f'--config.{name}="{example}".')


def check_widths(name: str, widths: Sequence[int]) -> None:
  """Raises ValueError unless these are channels that an AlexNet can have."""
  even = all(type(width) is int and width >= 2 and width % 2 == 0 for width in widths)
  if len(widths) != CONVOLUTIONS or not even:
    raise ValueError(
        f"config.{name} is {tuple(widths)}: give {CONVOLUTIONS} even numbers, of the channels of"
        " conv1 to conv5."
    )


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError, in one sentence, for the first field that is out of range."""
  check_least(config, {
      "batch_size": 2, "epochs": 0, "stop_epoch": 0, "alternating": 0, "steps_per_dispatch": 1,
      "calibration_steps": 1, "save_every": 1, "save_seconds": 0, "eval.every": 1, "eval.images": 0,
      "eval.references": 0, "eval.samples": 100, "eval.quality": 0, "model.latent_dim": 1,
      "model.G.width": 1, "model.E.width": 1, "model.D.width": 1, "model.E.hidden": 1,
      "model.D.hidden": 0, "model.G.kernel": 2, "optim.weight_decay": 0, "optim.warmup_epochs": 0,
      "data.resident_gb": 0, "data.workers": 0,
  })
  check_seed(config)
  flat = dict(flat_fields(config))
  for name in ("optim.rate", "optim.final_factor"):
    if not 0 < flat[name] <= 1:
      raise ValueError(f"config.{name} is {flat[name]}, but must be above 0 and at most 1.")
  for name in ("optim.b1", "optim.b2"):
    if not 0 <= flat[name] < 1:
      raise ValueError(f"config.{name} is {flat[name]}, but must be at least 0 and below 1.")
  if config.stop_epoch > config.epochs:
    raise ValueError(
        f"config.stop_epoch is {config.stop_epoch}, beyond config.epochs = {config.epochs}."
    )
  _validate_names(config)
  _validate_samples(config)
  if config.alternating and config.objective.startswith("autoencoder"):
    raise ValueError("config.alternating needs a discriminator; an autoencoder has none.")
  refuse_unused(config.data.name, changed_data(config.data, data_section()))
  modern.validate(config)
  _validate_sizes(config)


def _validate_names(config: ml_collections.ConfigDict) -> None:
  if config.objective not in OBJECTIVES:
    raise ValueError(
        f"config.objective is {config.objective!r}: {nearest(config.objective, OBJECTIVES)}"
    )
  if config.precision not in PRECISIONS:
    raise ValueError(
        f"config.precision is {config.precision!r}: {nearest(config.precision, PRECISIONS)}"
    )
  if config.eval.best not in ("", *CRITERIA):
    known = nearest(config.eval.best, CRITERIA)
    raise ValueError(f"config.eval.best is {config.eval.best!r}: {known}")


def _validate_samples(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError if samples cannot be judged as `config.eval` asks for."""
  if config.eval.samples % 100:
    raise ValueError(
        f"config.eval.samples is {config.eval.samples}, but must be a multiple of 100 (NND/100)."
    )
  if config.eval.quality > config.eval.samples:
    raise ValueError(
        f"config.eval.quality is {config.eval.quality}, but only config.eval.samples = "
        f"{config.eval.samples} samples are drawn: lower it."
    )
  if 0 < config.eval.quality <= QUALITY_NEIGHBOURS:
    raise ValueError(
        f"config.eval.quality is {config.eval.quality}, but samples are compared by "
        f"{QUALITY_NEIGHBOURS} neighbours of each: give more than that, or 0."
    )


def changed_data(
    data: ml_collections.ConfigDict, defaults: ml_collections.ConfigDict
) -> dict[str, Any]:
  """{field: value} of a `data` section where it is not the default."""
  return {name: value for name, value in data.items() if value != defaults.get(name)}


def refuse_unused(name: str, given: dict[str, Any]) -> None:
  """Raises ValueError for the first field of config.data that the set `name` has no use for.

  And for fields that choose its classes twice.
  """
  if set(CLASSES) <= given.keys():
    raise ValueError(
        f"config.data.only_labels is {given['only_labels']!r} and config.data.without_labels"
        f" {given['without_labels']!r}: give one of them."
    )
  for field, value in given.items():
    if name != "fake" and field not in (*ALL_USE, *USES.get(name, NAMED_USE)):
      raise ValueError(
          f"config.data.{field} is {value!r}, but {name} has no use for it: take {TAKE[field]},"
          " which has, or leave it out."
      )


def _validate_sizes(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError if layers, pictures, E's crops and G's images do not fit each other."""
  check_lists(config)
  for player in ("E", "D"):
    if "widths" in config.model[player]:
      check_widths(f"model.{player}.widths", config.model[player].widths)
  shapes = [tuple(config.model[name]) for name in ("image_shape", "encoder_shape")]
  for name, shape in zip(("image_shape", "encoder_shape"), shapes):
    if len(shape) != 3 or shape[0] != shape[1] or shape[2] not in (1, 3) or shape[0] < 1:
      raise ValueError(
          f"config.model.{name} is {shape}, but networks see squares of 1 or 3 channels: give"
          " (side, side, 3)."
      )
  if shapes[0][2] != shapes[1][2]:
    raise ValueError(
        f"config.model.image_shape is {shapes[0]} and config.model.encoder_shape {shapes[1]}: give"
        " both the same number of channels."
    )
  encoder_side, side = config.model.encoder_shape[0], config.model.image_shape[0]
  if config.data.edge and config.data.edge < encoder_side:
    raise ValueError(
        f"config.data.edge is {config.data.edge}, but E sees crops of {encoder_side} pixels: let "
        "it be at least that."
    )
  if encoder_side != side and config.objective in SHOWS_E_SAMPLES:
    raise ValueError(
        f"{config.objective} shows E the images of G, but E sees {encoder_side} pixels and G makes "
        f"{side}: take the config in which they are equal."
    )


def validate_batch(batch_size: int, images: int, devices: int, least: int = 2) -> None:
  """Raises ValueError if the batch exceeds the set, or as `validate_share`."""
  if batch_size > images:
    raise ValueError(
        f"config.batch_size is {batch_size}, but the training set has only {images} images: lower "
        "it."
    )
  validate_share(batch_size, devices, least)


def validate_share(batch_size: int, devices: int, least: int = 2) -> None:
  """Raises ValueError if the batch does not divide over devices.

  Args:
    least: images on each device, 2 for batch norm.
  """
  if batch_size % devices:
    raise ValueError(
        f"config.batch_size is {batch_size}, which does not divide over {devices} devices: take a "
        f"multiple of {devices}."
    )
  if batch_size // devices < least:
    raise ValueError(
        f"config.batch_size is {batch_size} for {devices} devices, but batch norm needs at least "
        "2 images on each."
    )


def validate_shape(config: ml_collections.ConfigDict, shape: tuple[int, ...]) -> None:
  """Raises ValueError if images of `shape` (H, W, C) are not what E sees."""
  if tuple(config.model.encoder_shape) != tuple(shape):
    raise ValueError(
        f"The encoder sees images of {tuple(config.model.encoder_shape)}, but the images of "
        f"{config.data.name} are {tuple(shape)}: resize them by"
        f" --config.data.edge={config.model.encoder_shape[0]}, or take the config, or an encoder,"
        " of that data set."
    )


def flat_fields(config: ml_collections.ConfigDict, prefix: str = "") -> list[tuple[str, Any]]:
  """[("section.field", value), ...]."""
  pairs = []
  for name, value in config.items():
    nested = isinstance(value, ml_collections.ConfigDict)
    pairs += flat_fields(value, f"{prefix}{name}.") if nested else [(prefix + name, value)]
  return pairs

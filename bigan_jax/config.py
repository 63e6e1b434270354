"""Training configs: what they share, the two settings of the paper, and every rule."""

import math
from typing import Any

import ml_collections

from bigan_jax.arguments import OBJECTIVES, nearest, parse_argument


PRECISIONS = ("float32", "tf32", "bfloat16")
BATCH = 128  # paper, appendix A
WARMUP = 5  # epochs, of larger batches
CONVOLUTIONS = 5  # of the AlexNet that is E, or D


def data_section() -> ml_collections.ConfigDict:
  """Which pictures, in every config that reads any."""
  data = ml_collections.ConfigDict()
  data.name = ""
  data.path = ""  # folder of a set of your own
  data.splits = "validation"  # or "test": train on all, evaluate on the test set
  data.edge = 0  # shorter side that pictures of unequal size are resized to; 0: as they are
  data.flip = False  # mirror training images with probability 1/2
  data.validation_share = 0.1  # of a folder without a split of its own
  data.max_labels = 0  # only images of the first so many classes; 0: all
  data.resident_gb = 0.0  # train on larger sets from disk; 0: larger than what memory holds
  data.workers = 0  # processes that decode those; 0: threads
  return data


def base(objective: str, recipe: str) -> ml_collections.ConfigDict:
  """What every training config has in common; configs/*.py fill in the rest."""
  config = ml_collections.ConfigDict()
  config.job = "train"
  config.objective = objective
  config.recipe = recipe  # only sets other fields; recorded here
  config.seed = 0
  config.batch_size = BATCH  # of all devices together
  config.epochs = 400  # constant and decaying together
  config.stop_epoch = 0  # end here, on the schedule of `epochs`; 0: at the end
  config.alternating = 0  # n > 0: n updates of D, then one of G and E; 0: simultaneous
  config.precision = "float32"  # of the networks in training; or "tf32", "bfloat16"
  config.data_dir = ""  # of prepared data sets; "": $TFDS_DATA_DIR or ~/tensorflow_datasets
  config.steps_per_dispatch = 100  # at most; one scan on the device
  config.calibration_steps = 1000  # before each evaluation (reference section 6)
  config.save_every = 5  # epochs between checkpoints for resuming

  config.data = data_section()

  config.optim = ml_collections.ConfigDict()
  config.optim.rate = 2e-4
  config.optim.warmup_epochs = 0  # over which the rate rises from zero
  config.optim.final_factor = 0.01  # the rate decays to 2e-6 (paper, appendix A)
  config.optim.b1 = 0.5
  config.optim.b2 = 0.999
  config.optim.weight_decay = 2.5e-5
  config.optim.decay_shifts = recipe == "official"  # reference section 5; paper: weights alone

  config.eval = ml_collections.ConfigDict()
  config.eval.every = 25  # epochs; besides, at 0, 1 and the end (reference section 6)
  config.eval.images = 10_000  # judged; 0: all
  config.eval.references = 50_000  # neighbours for 1-NN, of the training set; 0: all
  config.eval.samples = 100_000  # G(z) for NND and EGg
  return config


def scale_batch(config: ml_collections.ConfigDict, batch_size: int) -> ml_collections.ConfigDict:
  """Takes k times the batch at sqrt(k) times the rate, over as many epochs; 0: as it is.

  The gradient's noise gets sqrt(k) times smaller. Where it outweighs the gradient, Adam divides by
  it, so that sqrt(k) times the rate goes as far in an epoch as before, if both moments forget k
  times as fast (Malladi et al., 2022). From twice the batch on, nothing is left of a b1 of 1/2;
  with it, D runs away from G, and so it does if the first steps, which Adam takes at full length,
  are that large: larger batches warm up (Goyal et al., 2017; README, "Large batches").

  Raises:
    ValueError: no such batch.
  """
  if not batch_size:
    return config
  if batch_size < 2:
    raise ValueError(f"Config argument batch={batch_size}: batch norm needs at least 2 images.")
  factor = batch_size / config.batch_size
  config.batch_size = batch_size
  config.optim.rate *= math.sqrt(factor)
  config.optim.warmup_epochs = WARMUP if factor > 1 else 0
  config.optim.b1 = max(0.0, 1 - factor * (1 - config.optim.b1))
  config.optim.b2 = max(0.0, 1 - factor * (1 - config.optim.b2))
  return config


def permutation_invariant(argument: str) -> ml_collections.ConfigDict:
  """The multi-layer perceptrons of section 4.2 and appendix A.1 in either recipe.

  The argument also takes batch=N: another batch, at the rate that goes with it.
  """
  objective, values = parse_argument(argument, {"recipe": "paper", "batch": 0})
  official = values["recipe"] == "official"
  config = scale_batch(base(objective, values["recipe"]), values["batch"])
  config.model = ml_collections.ConfigDict()
  config.model.family = "mlp"
  config.model.latent_dim = 50
  config.model.image_shape = (28, 28, 1)
  config.model.encoder_shape = (28, 28, 1)  # what E sees
  config.model.value_range = (0.0, 1.0)  # pixel / 255 (reference section 1)
  config.model.G = ml_collections.ConfigDict()
  config.model.G.width = 1024
  config.model.G.first_bn = official  # reference section 1; A.1 has none there
  config.model.G.z_skip = official  # reference section 1; section 4 names D alone
  config.model.E = ml_collections.ConfigDict()
  config.model.E.width = 1024
  config.model.E.out_stddev = encoder_out_stddev(objective)
  config.model.D = ml_collections.ConfigDict()
  config.model.D.width = 1024
  config.model.D.z_output = not official  # section 4: "each linear layer thereafter"
  return config


def convolutional(
    argument: str, edge: int, crop: int, epochs: int = 100
) -> ml_collections.ConfigDict:
  """The convolutional networks of section 4.3 and appendix A.2 in either recipe.

  Args:
    argument: of the config file; also takes max_labels=K, for the first K classes alone,
      size=small (`_shrink`), and batch=N, another batch at the rate that goes with it.
    edge: shorter side that pictures are resized to.
    crop: side of the random crops that E sees. D and G work at 64 x 64; where E sees more,
      BiGAN is generalised (reference section 11).
    epochs: of all classes (reference section 5).
  """
  defaults = {"recipe": "paper", "max_labels": 0, "size": "full", "batch": 0}
  objective, values = parse_argument(argument, defaults)
  official = values["recipe"] == "official"
  config = base(objective, values["recipe"])
  config.epochs = 400 if values["max_labels"] else epochs
  config.steps_per_dispatch = 20  # 40 s on 2 CPU cores, after which a signal is heard
  config.data.edge = edge
  config.data.flip = not official  # appendix A.2; the authors' code has no flip
  config.data.max_labels = values["max_labels"]
  config.model = ml_collections.ConfigDict()
  # As a feature learner, D is the AlexNet that E is elsewhere (appendix A.2).
  config.model.family = "dcgan_alexnet_D" if objective == "gan" else "dcgan"
  config.model.latent_dim = 200
  config.model.image_shape = (64, 64, 3)
  config.model.encoder_shape = (crop, crop, 3)
  config.model.value_range = (-1.0, 1.0)
  config.model.G = ml_collections.ConfigDict({"width": 64, "z_skip": official})
  # Appendix A.2: batch norm on the output of each convolution; the authors' conv1 has none.
  alexnet = {"widths": (96, 256, 384, 384, 256), "first_bn": not official}
  config.model.E = ml_collections.ConfigDict(alexnet)
  config.model.E.out_stddev = encoder_out_stddev(objective)
  config.model.D = ml_collections.ConfigDict(alexnet if objective == "gan" else {
      "width": 64,
      "z_output": not official,  # section 4: "each linear layer thereafter"
      "z_stddev": 0.5,  # of projections of z at first (reference section 0)
  })
  if values["size"] == "small":
    _shrink(config)
  return scale_batch(config, values["batch"])


def _shrink(config: ml_collections.ConfigDict) -> None:
  """For some thousand pictures on a CPU: D and G work at 32 x 32, so that BiGAN is generalised.

  D keeps its width: at 64 x 64 and half of it, the machine's other choice, E and G did not find
  each other as well (README, "Clip art").
  """
  config.batch_size, config.epochs, config.optim.rate = 32, 140, 3e-4
  config.model.latent_dim = 50
  config.model.image_shape = (32, 32, 3)
  config.model.E.widths = (48, 128, 192, 192, 128)
  if "widths" in config.model.D:  # D is as E, the feature learner.
    config.model.D.widths = config.model.E.widths
  else:
    config.model.D.z_stddev = 0.05


def encoder_out_stddev(objective: str) -> float:
  """Initial weights of E's output layer: zero for the latent regressors (reference section 0)."""
  return 0.0 if objective.endswith("latent_regressor") else 0.02


def check_least(config: ml_collections.ConfigDict, least: dict[str, float]) -> None:
  """Raises ValueError for the first of the named fields that is below its least value.

  Args:
    least: {"section.field": value}; fields that the config lacks are passed over.
  """
  flat = dict(_fields(config))
  for name, value in least.items():
    if name in flat and not flat[name] >= value:
      raise ValueError(f"config.{name} is {flat[name]}, but must be at least {value}.")


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError, in one sentence, for the first field that is out of range."""
  check_least(config, {
      "batch_size": 2, "epochs": 0, "stop_epoch": 0, "alternating": 0, "steps_per_dispatch": 1,
      "calibration_steps": 1, "save_every": 1, "eval.every": 1, "eval.images": 0,
      "eval.references": 0, "eval.samples": 100, "model.latent_dim": 1, "model.G.width": 1,
      "model.E.width": 1, "model.D.width": 1, "optim.weight_decay": 0, "optim.warmup_epochs": 0,
      "seed": 0,
      "data.resident_gb": 0, "data.workers": 0,
  })
  flat = dict(_fields(config))
  for name in ("optim.rate", "optim.final_factor"):
    if not 0 < flat[name] <= 1:
      raise ValueError(f"config.{name} is {flat[name]}, but must be above 0 and at most 1.")
  for name in ("optim.b1", "optim.b2"):
    if not 0 <= flat[name] < 1:
      raise ValueError(f"config.{name} is {flat[name]}, but must be at least 0 and below 1.")
  if config.eval.samples % 100:
    raise ValueError(
        f"config.eval.samples is {config.eval.samples}, but must be a multiple of 100 (NND/100)."
    )
  if config.stop_epoch > config.epochs:
    raise ValueError(
        f"config.stop_epoch is {config.stop_epoch}, beyond config.epochs = {config.epochs}."
    )
  if config.objective not in OBJECTIVES:
    raise ValueError(
        f"config.objective is {config.objective!r}: {nearest(config.objective, OBJECTIVES)}"
    )
  if config.precision not in PRECISIONS:
    raise ValueError(
        f"config.precision is {config.precision!r}: {nearest(config.precision, PRECISIONS)}"
    )
  if config.alternating and config.objective.startswith("autoencoder"):
    raise ValueError("config.alternating needs a discriminator; an autoencoder has none.")
  _validate_sizes(config)


def _validate_sizes(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError if layers, pictures, E's crops and G's images do not fit each other."""
  for player in ("E", "D"):
    widths = config.model[player].get("widths", (2,) * CONVOLUTIONS)
    if len(widths) != CONVOLUTIONS or any(width < 2 or width % 2 for width in widths):
      raise ValueError(
          f"config.model.{player}.widths is {tuple(widths)}: give {CONVOLUTIONS} even numbers, of "
          "the channels of conv1 to conv5."
      )
  encoder_side, side = config.model.encoder_shape[0], config.model.image_shape[0]
  if config.data.edge and config.data.edge < encoder_side:
    raise ValueError(
        f"config.data.edge is {config.data.edge}, but E sees crops of {encoder_side} pixels: let "
        "it be at least that."
    )
  if encoder_side != side and config.objective.endswith("latent_regressor"):
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
        f"{config.data.name} are {tuple(shape)}: take the config, or an encoder, of that data set."
    )


def _fields(config: ml_collections.ConfigDict, prefix: str = "") -> list[tuple[str, Any]]:
  """[("section.field", value), ...]."""
  pairs = []
  for name, value in config.items():
    nested = isinstance(value, ml_collections.ConfigDict)
    pairs += _fields(value, f"{prefix}{name}.") if nested else [(prefix + name, value)]
  return pairs

"""Training configs of photos of 32 x 32 pixels: the encoder of Deep InfoMax's tables."""

import ml_collections

from bigan_jax.settings import modern
from bigan_jax.settings.arguments import MODERN, nearest, parse_argument
from bigan_jax.settings.training import base, encoder_out_stddev, scale_batch

ENCODERS = ("conv", "alexnet")
SIDE, LARGE = 32, 64  # pixels; what AlexNet sees


def photos_of_32(argument: str) -> ml_collections.ConfigDict:
  """Networks for pictures of 32 x 32; recipes are the paper's (sections 4.1, 4.3), and modern.

  The argument also takes batch=N, and encoder=alexnet: E is the paper's, and sees the pictures
  enlarged to 64 x 64, so that BiGAN is generalised (reference section 11).

  Raises:
    ValueError: another encoder.
  """
  objective, values = parse_argument(
      argument, {"recipe": "paper", "batch": 0, "encoder": ENCODERS[0]}, recipes=MODERN
  )
  encoder, official = values["encoder"], values["recipe"] == "official"
  if encoder not in ENCODERS:
    raise ValueError(f"Unknown encoder {encoder!r}: {nearest(encoder, ENCODERS)}")
  config = base(objective, values["recipe"])
  config.epochs = 100
  config.steps_per_dispatch = 50
  config.calibration_steps = 100
  config.data.flip = not official  # appendix A.2; the authors' code has no flip
  config.eval.samples = 10_000
  config.model = _networks(objective, official)
  if encoder == "alexnet":
    _enlarge(config, official)
  if values["recipe"] == "modern":
    modern.modernise(config, rotation=1.0)
  return scale_batch(config, values["batch"])


def _networks(objective: str, official: bool) -> ml_collections.ConfigDict:
  """The section `model`."""
  model = ml_collections.ConfigDict()
  model.family = "dim"
  model.latent_dim = 64  # numbers in z and in the code
  model.latents = "uniform"  # p(z): U(-1, 1), as in the paper; or "normal", N(0, 1)
  model.image_shape = (SIDE, SIDE, 3)  # what G makes and D sees
  model.encoder_shape = (SIDE, SIDE, 3)  # what E sees
  model.value_range = (-1.0, 1.0)  # of pixels
  model.G = ml_collections.ConfigDict({
      "width": 64,  # channels of its last hidden layer, doubled towards z
      "kernel": 4,  # side, in pixels
      "z_skip": official,  # reference section 2; section 4 names D alone
  })
  model.E = ml_collections.ConfigDict({
      "width": 64,  # channels of its first layer, then doubled
      "hidden": 1024,  # units of its layer fc
      "first_bn": not official,
  })
  model.E.out_stddev = encoder_out_stddev(objective)
  model.E.stochastic = False  # the code that D and G are given in training is drawn
  model.E.rotation = 0.0  # weight of telling how a picture was turned, in E's loss
  model.D = ml_collections.ConfigDict({
      "width": 64,  # channels of its first layer, then doubled
      "hidden": 1024,  # units of its layer fc
      "z_output": not official,  # section 4: "each linear layer thereafter"
  })
  # As the authors' code scales them by the kernel, which drowns x, or as any weights
  # (docs/results.md, "CIFAR-10").
  model.D.z_stddev = 0.32 if official else 0.02  # of projections of z at first; no use in parts
  model.D.norm = "batch"  # as in the paper; or "spectral", and biases
  model.D.unary = False  # D in parts: it scores x and z by themselves besides pairs
  return model


def _enlarge(config: ml_collections.ConfigDict, official: bool) -> None:
  """Makes E the paper's AlexNet, of pictures that are resized for its sake."""
  config.data.edge = LARGE
  config.model.family = "dim_alexnet_E"
  config.model.encoder_shape = (LARGE, LARGE, 3)
  config.model.E = ml_collections.ConfigDict({
      "widths": (96, 256, 384, 384, 256), "first_bn": not official,
      "out_stddev": config.model.E.out_stddev, "stochastic": False, "rotation": 0.0,
  })

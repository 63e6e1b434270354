"""Training configs of the paper's networks for images of 64 x 64 pixels and more."""

import ml_collections

from bigan_jax.settings import modern
from bigan_jax.settings.arguments import MODERN, parse_argument
from bigan_jax.settings.training import base, encoder_out_stddev, scale_batch


def convolutional(
    argument: str, edge: int, crop: int, epochs: int = 100
) -> ml_collections.ConfigDict:
  """The convolutional networks of section 4.3 and appendix A.2 in either recipe.

  Args:
    argument: of the config file; also takes max_labels=K, for the first K classes alone,
      size=small (`_shrink`), batch=N, another batch at the rate that goes with it, and
      recipe=modern.
    edge: shorter side that pictures are resized to.
    crop: side of the random crops that E sees. D and G work at 64 x 64; where E sees more,
      BiGAN is generalised (reference section 11).
    epochs: of all classes (reference section 5).
  """
  defaults = {"recipe": "paper", "max_labels": 0, "size": "full", "batch": 0}
  objective, values = parse_argument(argument, defaults, recipes=MODERN)
  official = values["recipe"] == "official"
  config = base(objective, values["recipe"])
  config.epochs = 400 if values["max_labels"] else epochs
  config.steps_per_dispatch = 20  # 40 s on 2 CPU cores, after which a signal is heard
  config.data.edge = edge
  config.data.flip = not official  # appendix A.2; the authors' code has no flip
  config.data.max_labels = values["max_labels"]
  config.model = _image_networks(objective, official, crop)
  if values["size"] == "small":
    _shrink(config)
  if values["recipe"] == "modern":
    modern.modernise(config, rotation=10.0)  # D wins: 1 is drowned (docs/modern.md)
  return scale_batch(config, values["batch"])


def _image_networks(objective: str, official: bool, crop: int) -> ml_collections.ConfigDict:
  """The section `model` of images (appendix A.2)."""
  model = ml_collections.ConfigDict()
  # As a feature learner, D is the AlexNet that E is elsewhere.
  model.family = "dcgan_alexnet_D" if objective == "gan" else "dcgan"
  model.latent_dim = 200  # numbers in z and in the code
  model.latents = "uniform"  # p(z): U(-1, 1), as in the paper; or "normal", N(0, 1)
  model.image_shape = (64, 64, 3)  # what G makes and D sees
  model.encoder_shape = (crop, crop, 3)  # what E sees
  model.value_range = (-1.0, 1.0)  # of pixels
  model.G = ml_collections.ConfigDict({
      "width": 64,  # channels of its last hidden layer, doubled towards z
      "z_skip": official,  # reference section 2; section 4 names D alone
  })
  # Batch norm on the output of each convolution; the authors' conv1 has none.
  alexnet = {"widths": (96, 256, 384, 384, 256), "first_bn": not official}
  model.E = ml_collections.ConfigDict(alexnet)
  model.E.out_stddev = encoder_out_stddev(objective)
  model.E.stochastic = False  # the code that D and G are given in training is drawn
  model.E.rotation = 0.0  # weight of telling how a picture was turned, in E's loss
  model.D = ml_collections.ConfigDict(alexnet if objective == "gan" else {
      "width": 64,  # channels of its first layer, then doubled
      "hidden": 0,  # units of a layer fc, and in parts of those of z; 0: none, as in the paper
      "z_output": not official,  # section 4: "each linear layer thereafter"
      "z_stddev": 0.5,  # of projections of z at first (reference section 0); no use in parts
      "unary": False,  # D in parts: it scores x and z by themselves besides pairs
  })
  model.D.norm = "batch"  # as in the paper; or "spectral", and biases
  return model


def _shrink(config: ml_collections.ConfigDict) -> None:
  """For some thousand pictures on a CPU: D and G work at 32 x 32, so that BiGAN is generalised.

  D keeps its width: at 64 x 64 and half of it, the machine's other choice, E and G did not find
  each other as well (docs/results.md, "Clip art").
  """
  config.batch_size, config.epochs, config.optim.rate = 32, 140, 3e-4
  config.model.latent_dim = 50  # numbers in z and in the code
  config.model.image_shape = (32, 32, 3)
  config.model.E.widths = (48, 128, 192, 192, 128)
  if "widths" in config.model.D:  # D is as E, the feature learner.
    config.model.D.widths = config.model.E.widths
  else:
    config.model.D.z_stddev = 0.05

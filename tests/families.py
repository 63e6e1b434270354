"""Configs of networks as small as they can be, one of each family, with what is unusual in them."""

import ml_collections

from configs import cifar10, image_folder
from tests import run_folders

WIDTHS = {"model.latent_dim": 3, "model.G.width": 2, "model.D.width": 2, "model.D.hidden": 4}


def dcgan() -> ml_collections.ConfigDict:
  """AlexNet as E, which sees what G makes."""
  config = run_folders.alexnet()
  config.model.image_shape = config.model.encoder_shape
  return config


def dim() -> ml_collections.ConfigDict:
  """Of Deep InfoMax's tables, with normal latents, a stochastic E, spectral D; z skips in G."""
  config = cifar10.get_config("bigan")
  shape = (8, 8, 3)
  config.model.image_shape = config.model.encoder_shape = shape
  config.update_from_flattened_dict({**WIDTHS, "model.E.width": 2, "model.E.hidden": 4})
  config.model.latents, config.model.E.stochastic = "normal", True
  config.model.D.norm, config.model.G.z_skip = "spectral", True
  return config


def small() -> ml_collections.ConfigDict:
  """AlexNet as E beside small G and D, which is in parts."""
  config = cifar10.get_config("bigan,encoder=alexnet")
  config.model.image_shape, config.model.encoder_shape = (8, 8, 3), (16, 16, 3)
  config.update_from_flattened_dict(WIDTHS)
  config.model.E.widths, config.model.D.unary = (4, 8, 8, 8, 8), True
  return config


def plain() -> ml_collections.ConfigDict:
  """A plain GAN with AlexNet as D."""
  config = image_folder.get_config("gan")
  config.model.image_shape, config.model.latent_dim = (16, 16, 3), 3
  config.model.G.width, config.model.D.widths = 2, (4, 8, 8, 8, 8)
  return config


CONVOLUTIONAL = (dcgan, dim, small, plain)  # All families but mlp.

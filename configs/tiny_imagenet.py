"""Six feature learners on Tiny ImageNet, photos of 64 x 64 pixels: the paper's networks.

  python -m bigan_jax.main --config=configs/tiny_imagenet.py --config.data.path=DIR --workdir=RUN
  python -m bigan_jax.main --config=configs/tiny_imagenet.py:bigan,size=small ...

DIR is tiny-imagenet-200 as its zip unpacks, or any folder with train/ and val/ of class folders.
Variants and recipes as in configs/imagenet.py; size=small is for CPUs: 5 epochs of 50,000 pictures
take 40 minutes of 2 cores, and a linear read-out of conv3 is then right in 22.2 % of 100 classes,
with recipe=modern in 25.6, untrained 20.9 (docs/results.md).
"""

import ml_collections

from bigan_jax.settings.images import convolutional


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/tiny_imagenet.py:argument`."""
  config = convolutional(argument, edge=64, crop=64)
  config.data.name = "image_folder"
  config.calibration_steps = 100
  config.eval.samples = 10_000
  return config

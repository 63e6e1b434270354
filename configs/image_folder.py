"""A BiGAN on your own pictures, 64 x 64, with or without class folders.

  python -m bigan_jax.main --config=configs/image_folder.py --config.data.path=DIR --workdir=RUN

Folders train/ and test/ (or val/) inside DIR are taken as such; otherwise a tenth is kept for
evaluation (--config.data.validation_share). Variants and recipes as in configs/imagenet.py. A
thousand pictures take about 25 s an epoch on 2 cores, at full width.
configs/image_folder.py:bigan,size=small is for some thousand pictures on a CPU: of 2,000, E sees
64 x 64 pixels, D and G 32 x 32, and 140 epochs take 45 minutes of one core (docs/results.md,
"Clip art"). recipe=modern is for photos, which have an up and a down: of clip art it learned less.
"""

import ml_collections

from bigan_jax.settings.images import convolutional


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/image_folder.py:argument`."""
  config = convolutional(argument, edge=72, crop=64, epochs=400)
  config.data.name = "image_folder"
  config.calibration_steps = 100
  config.eval.samples = 10_000
  return config

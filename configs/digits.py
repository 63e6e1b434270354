"""A BiGAN on scikit-learn's 1,797 real 8x8 digits: the quick start, with nothing to download.

  python -m bigan_jax.main --config=configs/digits.py --workdir=/tmp/digits

The same perceptrons as on MNIST (paper, appendix A.1) at a quarter of the width. Variants as in
configs/mnist.py.
"""

import ml_collections

from bigan_jax.settings.perceptrons import permutation_invariant


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/digits.py:argument`."""
  config = permutation_invariant(argument)
  config.data.name = "digits"
  config.model.image_shape = config.model.encoder_shape = (8, 8, 1)
  for player in "GED":
    config.model[player].width = 256
  config.epochs = 200  # in 20 s on 2 cores
  config.calibration_steps = 100
  config.eval.samples = 10_000
  config.eval.every = 50
  config.save_every = 50
  return config

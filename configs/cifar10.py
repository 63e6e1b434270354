"""Six feature learners on CIFAR-10, photos of 32 x 32 pixels.

  python -m bigan_jax.main --config=configs/cifar10.py --workdir=RUN
  python -m bigan_jax.main --config=configs/cifar10.py:bigan,encoder=alexnet --workdir=RUN

Variants as in configs/mnist.py; recipe=paper (default), official or modern (docs/modern.md). E is
that of Deep InfoMax's tables, so that published numbers stand beside ours: layers conv3 (4,096
numbers), fc (1,024) and code (64). encoder=alexnet: the paper's E, which sees pictures enlarged to
64 x 64. Any other set of 32 x 32 pictures is a matter of its name: --config.data.name=cifar100,
svhn_cropped, ...
"""

import ml_collections

from bigan_jax.settings.photos import photos_of_32


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/cifar10.py:argument`."""
  config = photos_of_32(argument)
  config.data.name = "cifar10"
  return config

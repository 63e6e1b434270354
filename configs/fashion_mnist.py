"""Section 4.2 on clothes: six feature learners on permutation-invariant Fashion-MNIST.

  python -m bigan_jax.main --config=configs/fashion_mnist.py --workdir=/tmp/fashion_mnist
  python -m bigan_jax.main --config=configs/fashion_mnist.py:latent_regressor,recipe=official ...

Variants: bigan, gan, latent_regressor, joint_latent_regressor, autoencoder_l2, autoencoder_l1,
and alad (docs/anomaly.md); recipe=paper (default) or official. Table 1 is on the test set:
--config.data.splits=test.
"""

import ml_collections

from bigan_jax.settings.perceptrons import permutation_invariant


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/fashion_mnist.py:argument`."""
  config = permutation_invariant(argument)
  config.data.name = "fashion_mnist"
  return config

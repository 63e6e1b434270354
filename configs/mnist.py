"""The paper's section 4.2: six feature learners on permutation-invariant MNIST.

  python -m bigan_jax.main --config=configs/mnist.py --workdir=/tmp/mnist
  python -m bigan_jax.main --config=configs/mnist.py:latent_regressor,recipe=official ...

Variants: bigan, gan, latent_regressor, joint_latent_regressor, autoencoder_l2, autoencoder_l1,
and alad (docs/anomaly.md); recipe=paper (default) or official. Table 1 is on the test set:
--config.data.splits=test.
"""

import ml_collections

from bigan_jax.settings.perceptrons import permutation_invariant


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/mnist.py:argument`."""
  config = permutation_invariant(argument)
  config.data.name = "mnist"
  return config

"""Training configs of the paper's multi-layer perceptrons, of MNIST and the like."""

import ml_collections

from bigan_jax.settings.arguments import parse_argument
from bigan_jax.settings.training import base, encoder_out_stddev, scale_batch


def permutation_invariant(argument: str) -> ml_collections.ConfigDict:
  """The multi-layer perceptrons of section 4.2 and appendix A.1 in either recipe.

  The argument also takes batch=N: another batch, at the rate that goes with it.
  """
  objective, values = parse_argument(argument, {"recipe": "paper", "batch": 0})
  official = values["recipe"] == "official"
  config = scale_batch(base(objective, values["recipe"]), values["batch"])
  config.model = ml_collections.ConfigDict()
  config.model.family = "mlp"
  config.model.latent_dim = 50  # numbers in z and in the code
  config.model.latents = "uniform"  # p(z): U(-1, 1), as in the paper; or "normal", N(0, 1)
  config.model.image_shape = (28, 28, 1)  # what G makes and D sees
  config.model.encoder_shape = (28, 28, 1)  # what E sees
  config.model.value_range = (0.0, 1.0)  # pixel / 255 (reference section 1)
  config.model.G = ml_collections.ConfigDict()
  config.model.G.width = 1024  # units of each hidden layer
  config.model.G.first_bn = official  # reference section 1; A.1 has none there
  config.model.G.z_skip = official  # reference section 1; section 4 names D alone
  config.model.E = ml_collections.ConfigDict()
  config.model.E.width = 1024  # units of each hidden layer
  config.model.E.out_stddev = encoder_out_stddev(objective)
  config.model.D = ml_collections.ConfigDict()
  config.model.D.width = 1024  # units of each hidden layer
  config.model.D.z_output = not official  # section 4: "each linear layer thereafter"
  config.model.D.norm = "batch"  # as in the paper; or "spectral", and biases
  return config

"""Training configs: what they share, whatever their networks."""

import math

import ml_collections

from bigan_jax.settings.data import data_section

BATCH = 128  # paper, appendix A
WARMUP = 5  # epochs, of larger batches


def base(objective: str, recipe: str) -> ml_collections.ConfigDict:
  """What every training config has in common; configs/*.py fill in the rest."""
  config = ml_collections.ConfigDict()
  config.job = "train"
  config.objective = objective
  config.recipe = recipe  # only sets other fields; recorded here
  config.seed = 0  # of weights, z, and the order and crops of pictures
  config.batch_size = BATCH  # of all devices together
  config.epochs = 400  # constant and decaying together
  config.stop_epoch = 0  # end here, on the schedule of `epochs`; 0: at the end
  config.alternating = 0  # n > 0: n updates of D, then one of G and E; 0: simultaneous
  config.loss = "logistic"  # of the game with D, as in the paper; or "hinge"
  config.average = 0.0  # decay of the means of E's and G's parameters, which are judged; 0: none
  config.augment = ""  # how D sees real and made-up pictures: of flip,translation,cutout,colour
  config.views = False  # E sees such a view of its own of the same picture
  config.precision = "float32"  # of the networks in training; or "tf32", "bfloat16"
  config.data_dir = ""  # of prepared data sets; "": $TFDS_DATA_DIR or ~/tensorflow_datasets
  config.steps_per_dispatch = 100  # at most; one scan on the device
  config.calibration_steps = 1000  # before each evaluation (reference section 6)
  config.save_every = 5  # epochs between checkpoints for resuming
  config.save_seconds = 10.0  # at least, between them; other epochs are passed over

  config.data = data_section()
  config.optim = _optim(recipe)
  config.eval = ml_collections.ConfigDict()
  config.eval.every = 25  # epochs; besides, at 0, 1, half and the end (reference section 6)
  config.eval.images = 10_000  # judged; 0: all
  config.eval.references = 50_000  # neighbours for 1-NN, of the training set; 0: all
  config.eval.samples = 100_000  # G(z) for NND and EGg
  config.eval.anomaly = ""  # classes that are anomalies, by number or name: AUROC; "": none
  config.eval.quality = 0  # of these samples, compared with the judged pictures by pixels; 0: none
  config.eval.best = ""  # metric that the best networks are kept by; "": EGr with an E, else NND
  return config


def _optim(recipe: str) -> ml_collections.ConfigDict:
  """The section `optim`: Adam's."""
  optim = ml_collections.ConfigDict()
  optim.rate = 2e-4  # of Adam, constant for the first half (paper, appendix A)
  optim.warmup_epochs = 0  # the rate rises meanwhile; at most half of the constant ones
  optim.final_factor = 0.01  # the rate decays to 2e-6 (paper, appendix A)
  optim.E_rate_factor = 1.0  # of the rate, for E
  optim.b1 = 0.5  # how slowly the mean gradient is forgotten (paper, appendix A)
  optim.b2 = 0.999  # and the mean square
  optim.weight_decay = 2.5e-5  # l2 (paper, appendix A)
  optim.decay_shifts = recipe == "official"  # reference section 5; paper: weights alone
  return optim


def scale_batch(config: ml_collections.ConfigDict, batch_size: int) -> ml_collections.ConfigDict:
  """Takes k times the batch at sqrt(k) times the rate, over as many epochs; 0: as it is.

  The gradient's noise gets sqrt(k) times smaller. Where it outweighs the gradient, Adam divides by
  it, so that sqrt(k) times the rate goes as far in an epoch as before, if both moments forget k
  times as fast (Malladi et al., 2022). From twice the batch on, nothing is left of a b1 of 1/2. D
  may run away from G if the first steps, which Adam takes at full length, are that large: larger
  batches warm up (Goyal et al., 2017; docs/results.md, "Large batches").

  Raises:
    ValueError: no such batch.
  """
  if not batch_size:
    return config
  if batch_size < 2:
    raise ValueError(f"Config argument batch={batch_size}: batch norm needs at least 2 images.")
  factor = batch_size / config.batch_size
  config.batch_size = batch_size
  config.optim.rate *= math.sqrt(factor)
  config.optim.warmup_epochs = WARMUP if factor > 1 else 0
  config.optim.b1 = max(0.0, 1 - factor * (1 - config.optim.b1))
  config.optim.b2 = max(0.0, 1 - factor * (1 - config.optim.b2))
  return config


def encoder_out_stddev(objective: str) -> float:
  """Initial weights of E's output layer: zero for the latent regressors (reference section 0)."""
  return 0.0 if objective.endswith("latent_regressor") else 0.02

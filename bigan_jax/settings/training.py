"""Training configs: what they share, and the two settings of the paper."""

import math

import ml_collections

from bigan_jax.settings import modern
from bigan_jax.settings.arguments import MODERN, parse_argument

BATCH = 128  # paper, appendix A
WARMUP = 5  # epochs, of larger batches


def data_section() -> ml_collections.ConfigDict:
  """Which pictures, in every config that reads any."""
  data = ml_collections.ConfigDict()
  data.name = ""  # "image_folder", "imagenet_presized", a set of TFDS, or "fake": noise
  data.path = ""  # folder of a set of your own
  data.splits = "validation"  # or "test": train on all, evaluate on the test set
  data.edge = 0  # shorter side that pictures are resized to; 0: as they are
  data.flip = False  # mirror training images with probability 1/2
  data.validation_share = 0.1  # of a folder without a split of its own
  data.max_labels = 0  # only images of the first so many classes; 0: all
  data.only_labels = ""  # only images of these classes, by number or name: "horse,3"; "": all
  data.without_labels = ""  # only images of all classes but these, likewise; "": all
  data.accept_change = False  # go on with a run though its pictures or classes changed
  data.resident_gb = 0.0  # train on larger sets from disk; 0: larger than what memory holds
  data.workers = 0  # processes that decode those; 0: threads
  return data


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
  config.eval.every = 25  # epochs; besides, at 0, 1 and the end (reference section 6)
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
  model.G = ml_collections.ConfigDict({"width": 64, "z_skip": official})
  # Batch norm on the output of each convolution; the authors' conv1 has none.
  alexnet = {"widths": (96, 256, 384, 384, 256), "first_bn": not official}
  model.E = ml_collections.ConfigDict(alexnet)
  model.E.out_stddev = encoder_out_stddev(objective)
  model.E.stochastic = False  # the code that D and G are given in training is drawn
  model.E.rotation = 0.0  # weight of telling how a picture was turned, in E's loss
  model.D = ml_collections.ConfigDict(alexnet if objective == "gan" else {
      "width": 64,
      "hidden": 0,  # units of a layer fc, and in parts of those of z; 0: none, as in the paper
      "z_output": not official,  # section 4: "each linear layer thereafter"
      "z_stddev": 0.5,  # of projections of z at first (reference section 0)
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


def encoder_out_stddev(objective: str) -> float:
  """Initial weights of E's output layer: zero for the latent regressors (reference section 0)."""
  return 0.0 if objective.endswith("latent_regressor") else 0.02

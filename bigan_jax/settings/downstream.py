"""Configs of the jobs that judge or use trained networks: what they share, and every rule."""

import ml_collections

from bigan_jax.settings.arguments import nearest
from bigan_jax.settings.data import data_section
from bigan_jax.settings.rules import (
  LAST_SEED,
  PRECISIONS,
  changed_data,
  check_least,
  check_lists,
  check_seed,
  check_widths,
  refuse_unused,
)

VOC_TRAINED = ("fc6_8", "fc8", "all")  # layers, in classification
VOC_SOURCES = ("pretrained", "random", "kmeans")
SOURCES = (*VOC_SOURCES, "supervised")  # of the layers of configs/frozen_layers.py
OWN_DATA = ("flip", "accept_change", "resident_gb", "workers")  # that no encoder decides
CLASSIFIERS = ("logistic", "mlp")
INITS = ("gaussian", "k-means", "plain")  # of layers that are not transferred


def base(job: str) -> ml_collections.ConfigDict:
  """What every such config has in common; configs/*.py fill in the rest."""
  config = ml_collections.ConfigDict()
  config.job = job
  config.encoder = ""  # a run folder
  config.encoder_step = "latest"  # or "best", or a step
  config.seed = 0  # of all that is drawn at random
  config.batch_size = 128  # of all devices together
  config.data_dir = ""  # of prepared data sets; "": $TFDS_DATA_DIR or ~/tensorflow_datasets
  config.data = data_section()  # name "": the set that the encoder was trained on
  config.data.splits = ""  # as the encoder's run had them; or "validation", "test"
  return config


def voc(job: str, source: str) -> ml_collections.ConfigDict:
  """What the configs of jobs on PASCAL VOC have in common; configs/voc_*.py fill in the rest.

  Args:
    source: of the layers, one of VOC_SOURCES.

  Raises:
    ValueError: another one.
  """
  if source not in VOC_SOURCES:
    raise ValueError(f"Config argument source={source}: {nearest(source, VOC_SOURCES)}")
  config = base(job)
  config.source = source  # of conv1 to conv5, and what the table calls the run
  config.init = "k-means" if source == "kmeans" else "gaussian"  # of layers not transferred
  config.equalise = True  # scale all layers to learn equally fast (reference section 9)
  config.init_images = 160  # that initialisation looks at (reference section 9)
  config.precision = "float32"  # of the network in training; or "tf32", "bfloat16"
  config.stop_epoch = 0  # end here, on the schedule of `epochs`; 0: at the end
  config.steps_per_dispatch = 20  # at most; one scan on the device, whose batches wait there
  config.save_every = 5  # epochs between checkpoints for resuming
  config.save_seconds = 10.0  # at least, between them; other epochs are passed over
  config.train_split, config.test_split = "trainval", "test"  # or train, val
  config.data.name = "voc"
  config.data.year = 2007  # or 2012; config.data.path: the devkit or the folder of its tars
  config.data.classes = ""  # a file or a,b,c; "": VOC's, or those of the devkit's annotations
  config.data.flip = True  # mirror training pictures with probability 1/2

  config.optim = ml_collections.ConfigDict()
  config.optim.rate = 0.001  # of stochastic gradient descent, at first
  config.optim.drop = 0.1  # factor of the rate every drop_every epochs
  config.optim.drop_every = 0  # 0: never
  config.optim.momentum = 0.9
  config.optim.weight_decay = 5e-4
  config.optim.decay_biases = False  # or of weights alone
  config.optim.bias_rate = 2.0  # factor of the rate of biases
  config.optim.clip = 0.0  # longest gradient; 0: any
  layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")
  config.optim.rates = ml_collections.ConfigDict({name: 1.0 for name in layers})  # factors

  config.eval = ml_collections.ConfigDict()
  config.eval.every = 5  # epochs; besides, at 0, 1, half and the end

  # With an encoder, widths and value_range are the encoder's.
  config.model = ml_collections.ConfigDict()
  config.model.family = "alexnet"
  config.model.widths = (96, 256, 384, 384, 256)
  config.model.encoder_shape = (227, 227, 3)
  config.model.image_shape = (227, 227, 3)  # what the network sees
  config.model.value_range = (-1.0, 1.0)
  config.model.hidden = (4096, 4096)  # units of fc6 and fc7
  config.model.dropout = 0.5
  config.model.padded = False  # conv1 and pools, as in the encoder's training; False: as in Caffe
  config.model.pool5 = True
  return config


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError, in one sentence, for the first field that is out of range."""
  files = bool(config.get("real_features", ""))
  if not (config.encoder or files) and config.get("source", "pretrained") == "pretrained":
    raise ValueError("config.encoder is empty: name a run folder, --config.encoder=RUN.")
  # Only what recomputes statistics of batch norm needs two images.
  check_least(config, {"batch_size": 1 if "optim" in config else 2})
  check_seed(config)
  if "optim" in config:
    _validate_training(config)
  if "layers" in config:
    _validate_layers(config)
  if "sample_features" in config:
    _validate_quality(config)
  if config.job.startswith("voc_"):
    _validate_voc(config)
  given = changed_data(config.data, base("").data)
  if config.data.name:  # Else it is the encoder's set, which is not known yet.
    refuse_unused(config.data.name, {n: v for n, v in given.items() if n not in OWN_DATA})
  unread = [name for name in ("flip", "resident_gb", "workers") if name in given]
  if "optim" not in config and unread:
    raise ValueError(
        f"config.data.{unread[0]} is {given[unread[0]]!r}, but the job {config.job} trains no"
        " network on these pictures and has no use for it: leave it out."
    )


def _validate_training(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for a field that is out of range of a job that trains a network."""
  check_least(config, {
      "epochs": 0, "stop_epoch": 0, "steps_per_dispatch": 1, "save_every": 1, "save_seconds": 0,
      "eval.every": 1, "frozen": 0, "crop": 0, "init_images": 1, "optim.drop_every": 0,
      "optim.momentum": 0, "optim.weight_decay": 0, "optim.bias_rate": 0, "optim.clip": 0,
      "model.dropout": 0,
  })
  for name in ("rate", "drop"):
    if not 0 < config.optim[name] <= 1:
      raise ValueError(
          f"config.optim.{name} is {config.optim[name]}, but must be above 0 and at most 1."
      )
  for section, name in (("optim", "momentum"), ("model", "dropout")):
    value = config.get(section, {}).get(name, 0)
    if not value < 1:
      raise ValueError(f"config.{section}.{name} is {value}, but must be below 1.")
  check_lists(config)
  if config.stop_epoch > config.epochs:
    raise ValueError(
        f"config.stop_epoch is {config.stop_epoch}, beyond config.epochs = {config.epochs}."
    )
  sources = VOC_SOURCES if config.job.startswith("voc_") else SOURCES
  for name, known in (("source", sources), ("precision", PRECISIONS), ("init", INITS)):
    if config[name] not in known:
      raise ValueError(f"config.{name} is {config[name]!r}: {nearest(config[name], known)}")
  untrained = {"random": ("gaussian", "plain"), "kmeans": ("k-means",)}
  if config.init not in untrained.get(config.source, INITS):
    after = config.source if config.job == "frozen_layers" else f"source={config.source}"
    raise ValueError(
        f"config.source is {config.source} but config.init is {config.init}: leave both out, and "
        f"choose the source after the colon, --config=configs/{config.job}.py:{after}."
    )
  if config.model.family == "alexnet":
    check_widths("model.widths", config.model.widths)


def _validate_voc(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for a field that is out of range of the jobs on PASCAL VOC."""
  rates = {f"optim.rates.{name}": 0 for name in config.optim.rates}
  check_least(config, {
      "data.year": 2007, "data.edge": 0, "data.workers": 0, "data.resident_gb": 0, "eval.crops": 1,
      "model.kernel": 1, **rates,
  })
  if config.data.name != "voc":
    raise ValueError(
        f"config.data.name is {config.data.name!r}, but the job {config.job} reads a devkit of"
        " PASCAL VOC: leave it out, and name yours by --config.data.path=DIR."
    )
  trained = config.get("trained", VOC_TRAINED[0])
  if trained not in VOC_TRAINED:
    raise ValueError(f"config.trained is {trained!r}: {nearest(trained, VOC_TRAINED)}")
  if config.get("stride", 32) not in (32, 16, 8):
    raise ValueError(
        f"config.stride is {config.stride}, but scores can be 32, 16 or 8 pixels apart: choose "
        "fcn32s, fcn16s or fcn8s after the colon."
    )


def _validate_layers(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for a field that is out of range of a job that judges features."""
  check_least(config, {
      "neighbours": 1, "queries": 1, "train_images": 0, "judged_images": 0, "calibration_steps": 1,
      "probe.size": 0,
  })
  if not all(isinstance(name, str) for name in config.layers):
    raise ValueError(
        f"config.layers is {config.layers}: give names, --config.layers=conv3 --config.layers=e-."
    )
  if "probe" in config:
    _validate_probe(config)


def _validate_quality(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for a field that is out of range of the job sample_quality."""
  check_least(config, {
      "samples": 2, "neighbours": 1, "components": 1, "train_images": 0, "judged_images": 0,
      "resamples": 0,
  })
  if config.resamples == 1:
    raise ValueError("config.resamples is 1, but a spread is of two at least: give more, or 0.")
  if bool(config.real_features) != bool(config.sample_features):
    raise ValueError(
        f"config.real_features is {config.real_features!r} and config.sample_features "
        f"{config.sample_features!r}: give both files, or neither."
    )
  if config.real_features and (config.encoder or config.dump):
    name = "encoder" if config.encoder else "dump"
    raise ValueError(f"config.{name} is {config[name]!r}, but features of both sides are given and "
                     "no network is asked: leave it out.")


def _validate_probe(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for a field that is out of range of the job linear_probe."""
  check_least(config, {
      "pca": 0, "vote.neighbours": 0, "mlp.hidden": 1, "mlp.epochs": 1, "mlp.patience": 1,
      "mlp.batch_size": 2,
  })
  if config.classifier not in CLASSIFIERS:
    known = nearest(config.classifier, CLASSIFIERS)
    raise ValueError(f"config.classifier is {config.classifier!r}: {known}")
  if config.baseline not in ("", "random"):
    raise ValueError(f"config.baseline is {config.baseline!r}: leave it empty or choose random.")
  seeds = config.baseline_seeds
  whole = all(type(n) is int and 0 <= n <= LAST_SEED for n in seeds)
  if not seeds or len(set(seeds)) < len(seeds) or not whole:
    raise ValueError(f"config.baseline_seeds is {seeds}: give one or more different whole numbers"
                     f" up to {LAST_SEED}, --config.baseline_seeds=\"(0,1,2)\".")
  for name, value in (("features_gb", config.features_gb), ("mlp.drop", config.mlp.drop),
                      ("vote.temperature", config.vote.temperature)):
    if not value > 0:
      raise ValueError(f"config.{name} is {value}, but must be above 0.")
  for name, values in (("probe.l2", config.probe.l2), ("mlp.rates", config.mlp.rates)):
    if not values or not all(isinstance(n, (int, float)) and n > 0 for n in values):
      raise ValueError(f"config.{name} is {values}: give one or more numbers above 0.")
  if not config.mlp.dropouts or not all(0 <= rate < 1 for rate in config.mlp.dropouts):
    raise ValueError(
        f"config.mlp.dropouts is {config.mlp.dropouts}: give one or more numbers from 0 to below 1."
    )
  share = config.probe.validation_share
  if not 0 < share < 1:
    raise ValueError(
        f"config.probe.validation_share is {share}, but must be above 0 and below 1."
    )

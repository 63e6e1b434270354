"""Configs of the jobs that judge or use trained networks: what they share, and every rule."""

import ml_collections

from bigan_jax.arguments import nearest
from bigan_jax.config import PRECISIONS, check_least, data_section

INITS = ("gaussian", "k-means", "plain")  # of layers that are not transferred


def base(job: str) -> ml_collections.ConfigDict:
  """What every such config has in common; configs/*.py fill in the rest."""
  config = ml_collections.ConfigDict()
  config.job = job
  config.encoder = ""  # a run folder
  config.encoder_step = "latest"  # or "best", or a step
  config.seed = 0
  config.batch_size = 128
  config.data_dir = ""  # of prepared data sets; "": $TFDS_DATA_DIR or ~/tensorflow_datasets
  config.data = data_section()  # name "": the set that the encoder was trained on
  return config


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError, in one sentence, for the first field that is out of range."""
  if not config.encoder and config.get("source", "pretrained") == "pretrained":
    raise ValueError("config.encoder is empty: name a run folder, --config.encoder=RUN.")
  check_least(config, {"seed": 0, "batch_size": 2})
  if "optim" in config:
    _validate_training(config)
  if "layers" in config:
    _validate_layers(config)


def _validate_training(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for a field that is out of range of a job that trains a network."""
  check_least(config, {
      "epochs": 0, "stop_epoch": 0, "steps_per_dispatch": 1, "save_every": 1, "eval.every": 1,
      "frozen": 0, "crop": 0, "init_images": 1, "optim.drop_every": 0, "optim.momentum": 0,
      "optim.weight_decay": 0, "optim.bias_rate": 0, "optim.clip": 0, "model.dropout": 0,
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
  if config.stop_epoch > config.epochs:
    raise ValueError(
        f"config.stop_epoch is {config.stop_epoch}, beyond config.epochs = {config.epochs}."
    )
  for name, known in (("precision", PRECISIONS), ("init", INITS)):
    if config.get(name, known[0]) not in known:
      raise ValueError(f"config.{name} is {config[name]!r}: {nearest(config[name], known)}")


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
  if "probe" not in config:
    return
  if config.baseline not in ("", "random"):
    raise ValueError(f"config.baseline is {config.baseline!r}: leave it empty or choose random.")
  strengths, share = config.probe.l2, config.probe.validation_share
  if not strengths or not all(isinstance(l2, (int, float)) and l2 > 0 for l2 in strengths):
    raise ValueError(f"config.probe.l2 is {strengths}: give one or more numbers above 0.")
  if not 0 < share < 1:
    raise ValueError(
        f"config.probe.validation_share is {share}, but must be above 0 and below 1."
    )

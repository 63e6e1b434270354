"""Configs of the jobs that judge or use trained networks: what they share, and every rule."""

import ml_collections

from bigan_jax.config import check_least, data_section


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
  if not config.encoder:
    raise ValueError("config.encoder is empty: name a run folder, --config.encoder=RUN.")
  check_least(config, {"seed": 0, "batch_size": 2})

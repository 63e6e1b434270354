"""How like real pictures a model's samples are, over features that need no download.

  python -m bigan_jax.main --config=configs/sample_quality.py --config.encoder=RUN --workdir=OUT

RUN is the folder of any feature learner of this program, or an export: its G is judged. Frechet and
kernel distance, precision, recall, density and coverage of samples beside the judged pictures, with
their spread, and the same of two halves of those pictures: docs/metrics.md. OUT gets results.json,
results.csv and results.md. None of these is FID, which is over a layer of Inception:
--config.dump=DIR writes samples and pictures as PNGs, and prints the commands of torch-fidelity and
clean-fid that measure it.

For 10,000 samples of configs/cifar10.py it takes 30 s of one core, and 2 minutes over 1,024
features of an E.
"""

import ml_collections

from bigan_jax.settings import downstream, measures
from bigan_jax.settings.arguments import parse_argument


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/sample_quality.py:argument`."""
  parse_argument(argument, {}, ("samples",))
  config = downstream.base("sample_quality")
  config.samples = 10_000  # G(z), of config.seed
  config.judged_images = 10_000  # to compare them with; 0: all
  config.features = "pixels"  # or the run folder or export of another network, which describes both
  config.layer = "e-"  # of that network
  config.components = 64  # of pixels, found on training images
  config.train_images = 10_000  # on which they are found; 0: all
  config.neighbours = measures.QUALITY_NEIGHBOURS  # whose distance is a ball's radius
  config.resamples = 20  # for the spreads; 0: none
  config.real_features = ""  # a file of bigan_jax.features, of pictures; instead of an encoder
  config.sample_features = ""  # and one of samples
  config.dump = ""  # a new folder for samples and pictures as PNGs, for other programs; "": none
  return config

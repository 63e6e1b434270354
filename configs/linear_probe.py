"""What a linear classifier and nearest neighbours make of each layer of a frozen encoder.

  python -m bigan_jax.main --config=configs/linear_probe.py --config.encoder=RUN --workdir=OUT

RUN is the folder of any feature learner of this program; of a plain GAN, D is judged. OUT gets
results.json, results.csv, results.md and a confusion_LAYER.csv for each layer, "e-" being the last
hidden one and "e" the code. --config.layers=conv3 --config.layers=e- judges these alone,
--config.baseline=random the network with initial weights beside it, and --config.data.name on
another data set of the same size and channels.

On a CPU the three layers of configs/digits.py take 10 s; of 60,000 images with 1,024 features, the
probe takes 30 s on one core (six strengths of l2), and the neighbours 30 s. After 25 epochs of
configs/mnist.py:bigan,recipe=official, e- gives 97.2 % on the validation images.
"""

import ml_collections

from bigan_jax.settings import downstream
from bigan_jax.settings.arguments import parse_argument


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/linear_probe.py:argument`."""
  parse_argument(argument, {}, ("probe",))
  config = downstream.base("linear_probe")
  config.layers = ()  # names; (): all
  config.baseline = ""  # "random": also judge the network with initial weights of config.seed
  config.calibration_steps = 100  # batches that its statistics come from
  config.train_images = 0  # to learn from; 0: all
  config.judged_images = 0  # to judge by; 0: all
  config.neighbours = 5  # that vote, beside the nearest alone
  config.probe = ml_collections.ConfigDict()
  config.probe.size = 4  # side that maps are averaged down to; 0: as they are
  # Mean cross entropy + l2 / 2 |weights|^2: scikit-learn's C is 1 / (l2 * images).
  config.probe.l2 = (1.0, 0.1, 0.01, 0.001, 0.0001, 0.00001)  # to choose from
  config.probe.validation_share = 0.2  # of the training images, to choose by
  return config

"""What a classifier and nearest neighbours make of each layer of a frozen encoder.

  python -m bigan_jax.main --config=configs/linear_probe.py --config.encoder=RUN --workdir=OUT

RUN is the folder of any feature learner of this program; of a plain GAN, D is judged. OUT gets
results.json, results.csv, results.md, pictures/layers.png and a confusion_LAYER.csv for each layer,
"e-" being the last hidden one and "e" the code. --config.layers=conv3 --config.layers=e- judges
these alone, --config.baseline=random the network with initial weights beside it (compared.md), and
--config.data.name on another data set of the same size and channels. --config.discriminator=True
judges the layers of a BiGAN's D that see x alone too (D.conv1, ...), --config.pca=64 every layer at
that dimension too, and --config.classifier=mlp puts one hidden layer in the place of the linear
classifier: docs/evaluation.md.

On a CPU the three layers of configs/digits.py take 10 s. conv3 of configs/cifar10.py, 4,096
features of 60,000 images, takes 86 s of 2 cores: 8 to read the images, 23 to make features, 27 for
the linear classifier (four strengths of l2), the rest for the neighbours. After 25 epochs of
configs/mnist.py:bigan,recipe=official, e- gives 97.2 % on the validation images.

In memory are the pictures (8 bits a channel); one layer's features (float32), up to features_gb;
as much again while the logistic regression is fitted; and matrices of the square of their number.
Features beyond features_gb go to a file in OUT's folder, as float16, and are reduced to as many
leading principal components as fit, which is said.
"""

import ml_collections

from bigan_jax.settings import downstream
from bigan_jax.settings.arguments import parse_argument


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/linear_probe.py:argument`."""
  parse_argument(argument, {}, ("probe",))
  config = downstream.base("linear_probe")
  config.layers = ()  # names; (): all
  config.discriminator = False  # also those of a BiGAN's D that see x alone: D.conv1, ...
  config.classifier = "logistic"  # and neighbours; or "mlp", one with a hidden layer
  config.pca = 0  # also judge so many leading principal components of every layer; 0: do not
  config.baseline = ""  # "random": also judge the network with initial weights
  config.baseline_seeds = (0,)  # of those weights, a network each
  config.calibration_steps = 100  # batches that its statistics come from
  config.train_images = 0  # to learn from; 0: all
  config.judged_images = 0  # to judge by; 0: all
  config.features_gb = 4.0  # of one layer's features in memory
  config.neighbours = 5  # that vote, beside the nearest alone
  config.vote = ml_collections.ConfigDict()
  config.vote.neighbours = 200  # nearest by cosine s that vote by exp(s / temperature); 0: none
  config.vote.temperature = 0.07
  config.probe = ml_collections.ConfigDict()
  config.probe.size = 4  # side that maps are averaged down to; 0: as they are
  # Mean cross entropy + l2 / 2 |weights|^2: scikit-learn's C is 1 / (l2 * images).
  config.probe.l2 = (1.0, 0.1, 0.01, 0.001, 0.0001, 0.00001)  # to choose from
  config.probe.validation_share = 0.2  # of the training images, to choose by
  config.mlp = ml_collections.ConfigDict()
  config.mlp.hidden = 200  # units
  config.mlp.rates = (0.001, 0.0001)  # of Adam, to choose from; in Deep InfoMax 0.0001
  config.mlp.dropouts = (0.1, 0.5)  # to choose from; in Deep InfoMax 0.1
  config.mlp.epochs = 30  # at most; the held-out images say how many
  config.mlp.patience = 5  # epochs without a better accuracy on them that end a training
  config.mlp.drops = (10, 20)  # epochs after which the rate falls; in Deep InfoMax 50 and 100
  config.mlp.drop = 0.1  # factor of the rate there
  config.mlp.batch_size = 256  # in Deep InfoMax 64
  return config

"""The paper's Table 2: the first N layers of an encoder frozen, the rest trained with labels.

  python -m bigan_jax.main --config=configs/frozen_layers.py --config.encoder=RUN --workdir=OUT

RUN is the folder of any feature learner of this program, --config.frozen=N says how many of its
layers are frozen (3), and OUT/results.json holds the accuracy on its data set's held-out pictures,
by ten crops of each. Variants: pretrained; random and kmeans, untrained layers of the encoder's
shape by data-dependent initialisation; supervised, all layers trained with labels, of which another
run with --config.encoder=OUT then freezes some. launch/table2.sh runs the whole table.

size=small (configs/frozen_layers.py:pretrained,size=small) has fc6 and fc7 of 512 units and 60
epochs, for sets of some thousands: 2,076 clip art pictures of 64 pixels take 10 to 20 minutes on 2
cores. The numbers of full size are those of Caffe's AlexNet, which Noroozi and Favaro's protocol
trains; the paper states none of its own. Its pictures were 227 pixels wide, without padding:
--config.crop=227 --config.data.edge=256 --config.model.padded=False.
"""

import ml_collections

from bigan_jax.settings import downstream
from bigan_jax.settings.arguments import parse_argument


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/frozen_layers.py:argument`."""
  source, values = parse_argument(argument, {"size": "full"}, downstream.SOURCES)
  small = values["size"] == "small"
  config = downstream.base("frozen_layers")
  config.source = source  # of the frozen layers, and what the table calls the run
  config.frozen = 0 if source == "supervised" else 3  # layers, from conv1 (or fc1) on
  config.init = "k-means" if source == "kmeans" else "gaussian"  # of layers not transferred
  config.equalise = True  # scale layers so that all that are trained learn equally fast
  config.init_images = 160  # that initialisation looks at (reference section 9)
  config.crop = 0  # side of what the network sees; 0: as the encoder did
  config.precision = "float32"  # of the network in training; or "tf32", "bfloat16"
  config.epochs = 60 if small else 90
  config.stop_epoch = 0  # end here, on the schedule of `epochs`; 0: at the end
  config.steps_per_dispatch = 100  # at most; one scan on the device
  config.save_every = 5  # epochs between checkpoints for resuming
  config.save_seconds = 10.0  # at least, between them; other epochs are passed over
  config.data.flip = True

  config.optim = ml_collections.ConfigDict()
  config.optim.rate = 0.003 if small else 0.01
  config.optim.drop = 0.1  # factor of the rate every drop_every epochs
  config.optim.drop_every = 20
  config.optim.momentum = 0.9
  config.optim.weight_decay = 5e-4  # of weights, not of biases
  config.optim.bias_rate = 2.0  # factor of the rate of biases
  config.optim.clip = 0.0  # longest gradient; 0: any

  config.eval = ml_collections.ConfigDict()
  config.eval.every = 5  # epochs; besides, at 0, 1, half and the end

  # With an encoder, the first five are the encoder's.
  config.model = ml_collections.ConfigDict()
  config.model.family = "alexnet"
  config.model.widths = (96, 256, 384, 384, 256)
  config.model.encoder_shape = (64, 64, 3)  # the crops
  config.model.image_shape = (64, 64, 3)  # what the network sees of them
  config.model.value_range = (-1.0, 1.0)
  config.model.hidden = (512, 512) if small else (4096, 4096)  # units of fc6 and fc7
  config.model.dropout = 0.5
  config.model.padded = True  # conv1 and pools, as in the encoder; False: as in Caffe
  config.model.pool5 = True
  return config

"""The paper's Table 3, classification: layers of an encoder trained on PASCAL VOC's twenty classes.

  python -m bigan_jax.main --config=configs/voc_classification.py --config.encoder=RUN --workdir=OUT

RUN is the folder of any feature learner of this program. The first time, --config.data.path names
the devkit, or the folder of its tars (VOCtrainval_06-Nov-2007.tar and VOCtest_06-Nov-2007.tar).
Variants say what is trained: fc6_8, all layers behind the encoder's convolutions; fc8, the last one
alone, behind fc6 and fc7 of random weights; all, everything. source=random and source=kmeans are
untrained convolutions, in the shape of RUN if it is given. As in the authors' script, all layers
are scaled through an fc8 of 1000 outputs before the one of 20 takes its place: convolutions that
are frozen differ from RUN's by scale alone. OUT/results.json holds the mean average precision by
the area under the curve and by VOC2007's 11 points, OUT/classes.md each class's, and
OUT/pictures/surest the test pictures that the network is surest of, framed green if it is right.
The numbers of full size are those of the authors' script (reference section 9).

"mAP" is scikit-learn's average precision as it is today, the area under steps; until 0.19 (2017),
and so most likely in the paper, it was interpolated linearly, 0.1 to 0.2 points lower for VOC2007.

size=small (configs/voc_classification.py:fc6_8,size=small) is for some hundreds of pictures, which
it sees at 96 pixels, and takes a minute on one core; its rate and dropout were chosen on VOC's val
list. Of 240 composed pictures of six classes, one run on a BiGAN of 64 pixels ended at 38.4 % mAP
on 120 others, where a random order of them has 35.2 +- 1.8 %, and one on untrained convolutions
(source=random) at 43.6 %: the objects are small on loud grounds, and drawings of other objects than
those trained on.
"""

import ml_collections

from bigan_jax.settings import downstream
from bigan_jax.settings.arguments import parse_argument


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/voc_classification.py:argument`."""
  defaults = {"size": "full", "source": "pretrained"}
  trained, values = parse_argument(argument, defaults, downstream.VOC_TRAINED)
  small = values["size"] == "small"
  config = downstream.voc("voc_classification", values["source"])
  config.trained = trained
  config.crop = 96 if small else 227  # side of what the network sees; 0: as the encoder did
  config.batch_size = 16
  config.epochs = 60 if small else 255  # 80,000 batches of 5,011 pictures
  config.data.edge = 144 if small else 0  # shorter side that pictures are resized to; 0: as is

  config.optim.rate = 0.01 if small else 0.001
  config.optim.drop = 0.5
  config.optim.drop_every = 15 if small else 32  # epochs; 10,000 batches
  config.optim.weight_decay = 1e-6
  config.optim.decay_biases = True
  config.optim.clip = 10.0
  config.optim.rates.fc8 = 1.0

  config.eval.every = 10 if small else 32
  config.eval.crops = 10  # random ones of each test picture, whose scores are added

  if small:
    config.model.hidden = (512, 512)
    config.model.padded = True
  return config

"""The paper's Table 3, segmentation: an encoder as a fully convolutional network on PASCAL VOC.

  python -m bigan_jax.main --config=configs/voc_segmentation.py --config.encoder=RUN --workdir=OUT

RUN is the folder of any feature learner of pictures, and OUT/results.json holds the mean
intersection over union (IU), with the IU of every class and what background alone would have.
Variants, after Long, Shelhamer and Darrell (2015): fcn32s, the scores of fc7 interpolated to
pixels; fcn16s and fcn8s, with scores of pool2, and of pool1 too, added on the way, all trained at
once. source=random and source=kmeans take no weights from the encoder but its shape. The numbers of
full size are those authors' for AlexNet: all layers trained, batches of 20 whole pictures, a
constant rate, 175 epochs of VOC2012 train, judged on val.

Pictures lie top left on squares of --config.crop pixels, mirrored at random and never cropped;
larger ones are scaled down. They are judged at their own size. Borders are padded layer by layer as
the encoder's, fc6 by half its kernel, instead of pictures by 100 pixels, which takes twice as long.
conv1 to fc7 start as in configs/voc_classification.py, initialised for crops of training pictures.

size=small (configs/voc_segmentation.py:fcn8s,size=small) is for sets of some hundred pictures, on
VOC2007's lists of trainval and test: pictures of 160 pixels, fc6 and fc7 of 256 channels, 40
epochs, 3 minutes on one core. Measured with fcn8s on a devkit of 240 and 120 composed clip art
pictures, six classes and background present, by a narrow encoder (32 to 96 channels) that BiGAN
trained on clip art of 64 pixels: mean IU 27.4 %. Background alone, which is chance here, has 12.8
%: IU is to be at least 8 points above it. Rate, dropout and clipping were chosen on the list val.
Of one seed each, source=random has 28.7 % and source=kmeans 28.8 %: where all layers are trained
from so few pictures, the encoder makes no difference that could be told from luck (in the paper,
34.9 against 32.6 %).
"""

import ml_collections

from bigan_jax.settings import downstream
from bigan_jax.settings.arguments import parse_argument

STRIDES = {"fcn32s": 32, "fcn16s": 16, "fcn8s": 8}  # pixels between the finest scores


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/voc_segmentation.py:argument`."""
  defaults = {"size": "full", "source": "pretrained"}
  variant, values = parse_argument(argument, defaults, tuple(STRIDES))
  small = values["size"] == "small"
  config = downstream.voc("voc_segmentation", values["source"])
  config.stride = STRIDES[variant]
  config.crop = 160 if small else 500  # side of what holds a whole picture; 0: as the encoder saw
  config.batch_size = 4 if small else 20
  config.epochs = 40 if small else 175
  config.eval.every = 10 if small else 25
  config.optim.rate = 0.01 if small else 0.001  # for the mean over pixels
  config.optim.drop_every = 30 if small else 0
  for layer in ("score", "score_pool2", "score_pool1"):
    config.optim.rates[layer] = 1.0
  config.model.kernel = 3 if small else 6  # side of fc6's
  config.model.padded = True
  del config.model.pool5  # It is always there.
  if small:
    config.model.hidden = (256, 256)
    config.optim.clip = 10.0  # At this rate, training diverged without.
  else:
    config.data.year = 2012
    config.train_split, config.test_split = "train", "val"
  return config

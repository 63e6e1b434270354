"""The paper's Table 3, detection: Fast R-CNN on the layers of an encoder, on PASCAL VOC.

  python -m bigan_jax.main --config=configs/voc_detection.py --config.encoder=RUN --workdir=OUT

VOC's tars lie in downloads/manual of the data sets, or --config.data.path names them or the devkit.
RUN is the folder of any feature learner of convolutions, and OUT/results.json holds the mean
average precision on VOC2007's test pictures by its own 11 points ("mAP"; "mAP_area" is the later
rule), that of each class, and how many objects the proposals meet. Difficult objects are trained on
and do not count in the test; classes without a test object are left out of the mean and named.
OUT/pictures/detections shows what was found beside what there is.

Proposals are read from --config.proposals.train=FILE and --config.proposals.test=FILE (.mat of
Fast R-CNN's selective search, or .npz), or searched for and kept, which takes the extra
bigan_jax[detection] and once 0.3 to 0.8 s a picture.

The numbers are Fast R-CNN's (Girshick, 2015) for AlexNet; the paper states none of its own. All
layers are trained; its AlexNet left conv1 alone: --config.optim.rates.conv1=0.0. Pictures are
scaled to a shorter side of 600 and lie on a canvas of 1000 x 1000, blank around them, the one size
compiled. conv1 to fc7 start as in configs/voc_classification.py, initialised for crops of training
pictures. Full size was not run yet. source=random and source=kmeans take untrained layers.

size=small (configs/voc_detection.py:size=small) has a canvas of 320, fc6 and fc7 of 256 units, 20
epochs: 240 pictures with clip art of six classes take some 5 minutes of one core (added up from its
parts), and once 2 more for proposals. On conv1 to conv5 of a BiGAN of 64-pixel clip art, one run
ended at mAP 20.8 % (18.8 % by area) on 120 test pictures, whose objects are not in training. Chance
is 0.2 %, the network before training, or 2.3 %, the trained one with the class scores of each
picture's regions dealt out anew among them ("mAP_shuffled"): it then knows what there is, but not
where. At a rate of 0.01 training diverges within an epoch.
"""

import ml_collections

from bigan_jax.settings import downstream
from bigan_jax.settings.arguments import parse_argument


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/voc_detection.py:argument`."""
  _, values = parse_argument(argument, {"size": "full", "source": "pretrained"}, ("all",))
  small = values["size"] == "small"
  config = downstream.voc("voc_detection", values["source"])
  config.shorter = 240 if small else 600  # pixels that a picture's shorter side is scaled to
  config.longest = 320 if small else 1000  # of its longer side at most; both of the canvas
  config.batch_size = 2  # pictures
  config.epochs = 20 if small else 16  # 40,000 batches of 5,011 pictures
  config.save_every = 4

  config.regions = ml_collections.ConfigDict()
  config.regions.count = 64  # drawn from each picture
  config.regions.foreground = 0.25  # share of them, at most, that overlaps an object by half

  config.proposals = ml_collections.ConfigDict()
  config.proposals.train = ""  # a .mat or .npz of the training pictures; "": they are searched for
  config.proposals.test = ""  # of the test pictures
  config.proposals.longest = 300 if small else 500  # pixels at which larger pictures are searched
  config.proposals.most = 2000  # of a picture
  config.proposals.cache_dir = ""  # where found ones are kept; "": "proposals" in data_dir

  config.optim.rate = 0.003 if small else 0.001
  config.optim.drop_every = 15 if small else 12  # epochs; 30,000 batches
  config.optim.rates.fc8 = 1.0

  config.eval.every = 10 if small else 4
  config.eval.images = 0 if small else 500  # judged on the way, all at the end; 0: always all
  config.eval.overlap = 0.3  # of two boxes of a class, from which on only the surer one is kept
  config.eval.floor = 0.05  # less sure detections are dropped
  config.eval.most = 100  # detections of a picture

  del config.model.padded, config.model.pool5  # It is padded, and regions are pooled.
  if small:
    config.model.hidden = (256, 256)
  return config

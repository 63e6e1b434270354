"""The paper's section 4.3: six feature learners on ImageNet, 64 x 64.

  python -m bigan_jax.main --config=configs/imagenet.py --workdir=RUN
  python -m bigan_jax.main --config=configs/imagenet.py:bigan,recipe=official,max_labels=10 ...

Variants as in configs/mnist.py; recipe=paper (default), official or modern (docs/modern.md).
ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar are read from --config.data.path on first use
and kept at shorter edge 72. The authors' log of recipe=official at the end of 400 epochs of the
first 10 classes: JD 0.4361, NND 36.57, NNC_e 32.09, NNC_e- 48.54, EGr 50.72, EGr_b 80.74; of all
classes after 100 epochs (50 constant, 50 decaying): JD 0.0003, NND 42.61, NNC_e- 3.78, EGr 64.98,
EGr_b 82.64. The paper took 40 minutes an epoch on a Titan X.
"""

import ml_collections

from bigan_jax.settings.images import convolutional


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/imagenet.py:argument`."""
  config = convolutional(argument, edge=72, crop=64)
  config.data.name = "imagenet_presized"
  return config

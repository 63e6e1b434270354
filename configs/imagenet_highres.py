"""The generalised BiGAN on ImageNet: E sees 112 x 112, D and G work at 64 x 64.

  python -m bigan_jax.main --config=configs/imagenet_highres.py --workdir=RUN

As configs/imagenet.py, but kept at shorter edge 128. The authors' log of recipe=official at the
end of 400 epochs of the first 10 classes: JD 0.3877, NND 37.46, NNC_e 34.30, NNC_e- 48.60,
EGr 53.20, EGr_b 80.37; of all classes after 100 epochs: JD 0.0004, NND 43.74, NNC_e- 3.84,
EGr 66.49, EGr_b 81.08.
"""

import ml_collections

from bigan_jax.settings.images import convolutional


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """The config of `configs/imagenet_highres.py:argument`."""
  config = convolutional(argument, edge=128, crop=112)
  config.data.name = "imagenet_presized"
  config.eval.images = 3_566  # reference section 7
  config.eval.references = 17_830
  config.eval.samples = 35_600
  return config

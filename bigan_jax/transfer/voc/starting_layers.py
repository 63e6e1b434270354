"""What the jobs on PASCAL VOC start from: an AlexNet reinitialised as the authors' script does it.

The script sets fc6 to fc8 of Caffe's AlexNet anew behind an encoder's convolutions, scales all
eight layers, the convolutions among them, so that they would learn at the same relative rate, and
only then cuts off fc8 with its 1000 outputs (reference section 9). How the networks of detection
and segmentation were initialised the reference does not say; as Fast R-CNN and FCN take over the
weights of such an AlexNet, they get those of this one.
"""

import jax.numpy as jnp
import ml_collections

from bigan_jax.data import preprocess
from bigan_jax.transfer import fine_tuning, head, initialise, source
from bigan_jax.transfer.fine_tuning import Params
from bigan_jax.transfer.voc import dataset
from bigan_jax.transfer.voc.dataset import Pictures

OUTPUTS = 1000  # of the fc8 that is cut off, ImageNet's classes
LAST = "fc8"


def layers(
    config: ml_collections.ConfigDict, origin: source.Source | None, train: Pictures,
    network: head.AlexNet, side: int,
) -> Params:
  """conv1 to fc7 of a network before training; those of an encoder differ from it by scale alone.

  Args:
    config: resolved.
    origin: the encoder, if there is one.
    train: training pictures, at crops of which initialisation looks.
    network: whatever its number of classes.
    side: of the crops.
  """
  network = network.clone(classes=OUTPUTS)
  crops = jnp.asarray(dataset.first_crops(config, train, side))
  x = preprocess.to_native(crops, tuple(config.model.value_range))
  transferred = dataset.transferred(config)
  params = fine_tuning.transplant(network, x, transferred, origin)
  new = tuple(name for name in network.layers if name not in transferred)
  params = initialise.initialise(network, params, x, new, config.init, config.seed)
  if config.equalise and config.init != "plain":
    params = initialise.equalise(network, params, x, network.layers, config.seed)
  return {name: layer for name, layer in params.items() if name != LAST}


def caffe_layers(
    config: ml_collections.ConfigDict, origin: source.Source | None, train: Pictures, bins: int
) -> Params:
  """The same of Caffe's AlexNet, which pads nothing; fc6 sees `bins` x `bins` places of pool5."""
  model = config.model
  network = head.AlexNet(OUTPUTS, tuple(model.widths), tuple(model.hidden), padded=False)
  # 6 x 6 places are of 227 pixels, and 32 pixels make one more.
  return layers(config, origin, train, network, 227 + 32 * (bins - 6))

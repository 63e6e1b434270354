"""How a config turns stored pictures into batches, in training and in evaluation."""

from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

from bigan_jax.config import validate_shape
from bigan_jax.data import fake, preprocess, sources
from bigan_jax.data.sources import Split
from bigan_jax.data.strips import Strips
from bigan_jax.objectives import Batch

FAKE_IMAGES = (2_560, 512)  # to train on and to judge by

Views = Callable[[jax.Array], Batch]


def load(config: ml_collections.ConfigDict) -> tuple[Split, Split]:
  """The pictures to train on and those to judge by, of a config's `data` section.

  Raises:
    ValueError: they do not fit the config's networks, and what sources.load_experiment raises.
  """
  data, shape = config.data, tuple(config.model.encoder_shape)
  if data.name == "fake":
    return tuple(fake.split(count, shape, data.edge, count) for count in FAKE_IMAGES)
  train, judged = sources.load_experiment(
      data.name, data.splits, config.data_dir, data.path, edge=data.edge,
      validation_share=data.validation_share, max_labels=data.max_labels,
  )
  if not isinstance(train.images, Strips):
    validate_shape(config, train.images.shape[1:])
  return train, judged


def views(config: ml_collections.ConfigDict) -> Views:
  """uint8 images as E sees them [b, H, W, C] -> Batch; g_X makes D's of them where they differ."""
  value_range, size = tuple(config.model.value_range), config.model.image_shape[0]
  def view(images: jax.Array) -> Batch:
    x_encoder = preprocess.to_native(images, value_range)
    if images.shape[1] == size:
      return Batch(x_encoder, x_encoder)
    return Batch(preprocess.to_native(preprocess.shrink(images, size), value_range), x_encoder)
  return view


def assembler(config: ml_collections.ConfigDict) -> Callable[[Any, jax.Array, jax.Array], Batch]:
  """(stored pictures, indices [b], draws [b, DRAWS]) -> Batch, for training."""
  view, crop, flip = views(config), config.model.encoder_shape[0], config.data.flip
  if not config.data.edge:
    return lambda images, indices, draws: view(images[indices])
  def assemble(pictures: preprocess.Lines, indices: jax.Array, draws: jax.Array) -> Batch:
    images = preprocess.random_crop(pictures, indices, draws, crop)
    return view(preprocess.random_flip(images, draws[:, 2]) if flip else images)
  return assemble


def stored(split: Split) -> np.ndarray | preprocess.Lines:
  """The pictures of a split in the form in which they go to the device."""
  strips = isinstance(split.images, Strips)
  return preprocess.lines_of(split.images) if strips else split.images


def fixed(split: Split, count: int, config: ml_collections.ConfigDict, random: bool) -> Split:
  """The first `count` pictures (0: all), each as one image of E's size, for all evaluations.

  Args:
    random: crop anywhere, as training images that 1-NN refers to; otherwise in the middle.
  """
  count, size = count or len(split.labels), config.model.encoder_shape[0]
  images, labels = split.images, split.labels[:count]
  if isinstance(images, Strips):
    images = images.take(np.arange(len(labels)))
    crops = preprocess.random_crops(images, size, seed=42) if random else (
        preprocess.centre_crops(images, size)
    )
    return Split(crops, labels, split.num_classes)
  return Split(images[:count], labels, split.num_classes)

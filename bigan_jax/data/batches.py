"""How a config turns stored pictures into batches, in training and in evaluation."""

from collections.abc import Callable
import contextlib
import math
import os
import pathlib
import socket
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from bigan_jax.data import fake, prepare, preprocess, sources, survey
from bigan_jax.data.batch import Batch
from bigan_jax.data.splits import Split, Stored
from bigan_jax.machine import processes
from bigan_jax.settings.rules import validate_shape

FAKE_IMAGES = (2_560, 512)  # to train on and to judge by
RESIDENT_SHARE = 0.6  # of memory that pictures may fill; the rest is for the networks
CGROUP_LIMITS = (  # of version 2 ("max": none) and of version 1, as seen from within
    "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"
)

Views = Callable[[jax.Array], Batch]


class Assembler(NamedTuple):
  """How stored pictures become batches, in two steps, of which a stream does the first itself.

  Attributes:
    side: of the images that E sees.
    cut: (pictures in a form of `shares`, indices [b], draws [b, DRAWS] from U[0, 1)) ->
      uint8 [b, side, side, C].
    view: (those images, draws) -> Batch.
  """

  side: int
  cut: Callable[[Any, jax.Array, jax.Array], jax.Array]
  view: Callable[[jax.Array, jax.Array], Batch]


def load(
    config: ml_collections.ConfigDict, may_stream: bool = False
) -> tuple[Split | Stored, Split | Stored]:
  """The pictures to train on and those to judge by, of a config's `data` section.

  Args:
    may_stream: leave on disk what does not fit in memory (config.data.resident_gb).

  Raises:
    ValueError: they do not fit the config's networks, and what sources.load_experiment raises.
  """
  data, shape = config.data, tuple(config.model.encoder_shape)
  if data.name == "fake":
    train, judged = (fake.split(count, shape, data.edge, count) for count in FAKE_IMAGES)
    print(survey.line(fake.about(train, judged)))
    return train._replace(about=fake.about(train, judged)), judged
  many = may_stream and processes.count() > 1
  most_bytes = resident_bytes(data.resident_gb) if may_stream else math.inf
  with processes.together():
    train, judged = sources.load_experiment(
        data.name, data.splits, config.data_dir, data.path, edge=data.edge,
        validation_share=data.validation_share, max_labels=data.max_labels,
        most_bytes=0 if many else most_bytes,
    )
    if many:  # Each is going to read its own part.
      train = train._replace(resident=train.memory() <= most_bytes)
  sizes = processes.everyones(train.size)
  if len(set(sizes)) > 1:
    raise ValueError(f"The processes find {sizes} training pictures: give all of them the same.")
  train, judged = _in_channels(train, judged, shape[2])
  if processes.first():
    print(survey.line(train.about))
  if train.shape:
    validate_shape(config, train.shape)
  return train, judged


def _in_channels(
    train: Split | Stored, judged: Split | Stored, channels: int
) -> tuple[Split | Stored, Split | Stored]:
  """Grey pictures for networks of colours, colours for networks of grey; others as they are."""
  if (train.shape[2] if train.shape else 3) == channels:
    return train, judged
  about = train.about._replace(converted={1: "grey", 3: "three equal channels"}[channels])
  return train.in_channels(channels)._replace(about=about), judged.in_channels(channels)


def prepare_first(config: ml_collections.ConfigDict) -> None:
  """Process 0 prepares the set; the others, where they share a disk, are going to find it there.

  That may take hours, but is begun where a signal ended it.
  """
  data = config.data
  with processes.together():
    if processes.first() and data.name != "fake":
      prepare.find_or_prepare(
          data.name, config.data_dir, data.path, data.edge, data.validation_share
      )


def resident_bytes(gigabytes: float) -> float:
  """How large a set may be to be held in memory: as stated, or by what hosts and devices have."""
  if gigabytes:
    return gigabytes * 1e9
  hosts = len(set(processes.everyones(socket.gethostname())))
  memory = host_bytes() * hosts
  stats = [device.memory_stats() for device in jax.local_devices()]  # None on CPU
  if all(stats):
    memory = min(memory, sum(s["bytes_limit"] for s in stats) * processes.count())
  else:
    memory /= 2  # The devices' copy lies beside the one that was read.
  return RESIDENT_SHARE * min(processes.everyones(memory))


def host_bytes(limits: tuple[str, ...] = CGROUP_LIMITS) -> float:
  """This machine's memory, or what a container or a batch job is given of it."""
  found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
  for path in limits:
    with contextlib.suppress(OSError):
      text = pathlib.Path(path).read_text().strip()
      found += [int(text)] if text.isdigit() else []
  return float(min(found))


def views(config: ml_collections.ConfigDict) -> Views:
  """uint8 images as E sees them [b, H, W, C] -> Batch; g_X makes D's of them where they differ."""
  value_range, size = tuple(config.model.value_range), config.model.image_shape[0]
  def view(images: jax.Array) -> Batch:
    x_encoder = preprocess.to_native(images, value_range)
    if images.shape[1] == size:
      return Batch(x_encoder, x_encoder)
    return Batch(preprocess.to_native(preprocess.shrink(images, size), value_range), x_encoder)
  return view


def assembler(config: ml_collections.ConfigDict, flip: bool | None = None) -> Assembler:
  """How a config's training batches are made.

  Args:
    flip: mirror pictures at random; None: as config.data.flip says.
  """
  look, side = views(config), config.model.encoder_shape[0]
  flip = config.data.flip if flip is None else flip
  def cut(pictures: Any, indices: jax.Array, draws: jax.Array) -> jax.Array:
    if not config.data.edge:
      return pictures[indices]
    return preprocess.random_crop(pictures, indices, draws, side, config.model.encoder_shape[2])
  def view(images: jax.Array, draws: jax.Array) -> Batch:
    return look(preprocess.random_flip(images, draws[:, 2]) if flip else images)
  return Assembler(side, cut, view)


def shares(split: Split, count: int, size: int = 0) -> list[np.ndarray | preprocess.Lines]:
  """The pictures in the form in which they go to devices: consecutive ones to each.

  Args:
    size: how many; 0: as many as are needed for all of them.
  """
  size = size or -(-split.size // count)
  cuts = [slice(k * size, (k + 1) * size) for k in range(count)]
  if split.shape:
    return [split.images[c] for c in cuts]
  return [preprocess.lines_of(split.images.part(c)) for c in cuts]


def fixed(
    split: Split | Stored, count: int, config: ml_collections.ConfigDict, random: bool
) -> Split:
  """`count` pictures (0: all), each as one image of E's size, for all evaluations.

  They are spread evenly over the split, which may be stored class by class.

  Args:
    random: crop anywhere, as training images that 1-NN refers to; otherwise in the middle.
  """
  size = config.model.encoder_shape[0]
  count = min(count or split.size, split.size)
  split = split.take(np.arange(count) * split.size // count)
  if isinstance(split, Stored):
    split = split.read()
  if split.shape:
    return split
  images = preprocess.random_crops(split.images, size, seed=42) if random else (
      preprocess.centre_crops(split.images, size)
  )
  return split._replace(images=images)

"""Training batches of Fast R-CNN: pictures on a canvas of one size, and regions drawn from them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from absl import logging
import jax
import ml_collections
import numpy as np

from bigan_jax.data import preprocess, voc
from bigan_jax.data.batch import Batch
from bigan_jax.transfer.voc import canvas, regions
from bigan_jax.transfer.voc.dataset import REGIONS, Keys, Pictures, indices, randoms
from bigan_jax.transfer.voc.fast_rcnn import Targets
from bigan_jax.transfer.voc.regions import BACKGROUND

OBJECT = 0.5  # overlap from which on a region counts as an object
SIGNS = np.array([-1, 1, 1, 1], np.float32)  # of deltas in a mirrored picture

Scenes = tuple[np.ndarray, np.ndarray]  # uint8 [B, S, S, 3]; boxes float32 [B, R, 4] in its pixels


class Canvas(NamedTuple):
  """Where all pictures have room, so that one program is compiled: a square of `longest` pixels.

  What a picture leaves free is next to 0 for the network. Fast R-CNN fills pictures up in the same
  way, to the size of the largest in their batch.

  Attributes:
    shorter: pixels to which a picture's shorter side is scaled, up or down.
    longest: of its longer side, where that would be longer.
    fill: pixels around it.
  """

  shorter: int
  longest: int
  fill: int

  def scale(self, width: int, height: int) -> float:
    """Pixels of the canvas for one of the picture."""
    return min(self.shorter / min(width, height), self.longest / max(width, height))

  def put(self, image: np.ndarray) -> np.ndarray:
    """A picture uint8 [H, W, 3], scaled, in the upper left corner: uint8 [S, S, 3]."""
    scale = self.scale(image.shape[1], image.shape[0])
    size = tuple(min(max(round(n * scale), 1), self.longest) for n in image.shape[:2])
    pixels = np.full((self.longest, self.longest, 3), self.fill, np.uint8)
    pixels[:size[0], :size[1]] = canvas.resize(image, size)
    return pixels


def view(value_range: preprocess.Range) -> Callable[[Scenes, jax.Array], Batch]:
  """How a streamed batch reaches the network: x is (images, boxes)."""
  def of(scenes: Scenes, draws: jax.Array) -> Batch:
    del draws  # Mirrored already, with their boxes.
    images = preprocess.to_native(scenes[0], value_range)
    return Batch((images, scenes[1]), images)
  return of


class Material(NamedTuple):
  """What training batches are made of.

  Attributes:
    pictures: all of the training list.
    chosen: indices of those with objects.
    proposals: of each picture, float32 [n, 4].
    means, stds: of the deltas of each class, [K + 1, 4].
    canvas: for the pictures.
    count: regions drawn from each.
    foreground: share of these that may be objects.
    flip: whether half of the pictures are mirrored.
  """

  pictures: Pictures
  chosen: np.ndarray
  proposals: Sequence[np.ndarray]
  means: np.ndarray
  stds: np.ndarray
  canvas: Canvas
  count: int
  foreground: float
  flip: bool


def gather(
    config: ml_collections.ConfigDict, pictures: Pictures, proposals: Sequence[np.ndarray]
) -> Material:
  """The material of a resolved config; difficult objects count, as in Fast R-CNN.

  Pictures without objects are left out, and counted in the log.

  Raises:
    ValueError: none has an object.
  """
  chosen = np.array([i for i, p in enumerate(pictures.pictures) if len(p.boxes)], np.int64)
  skipped = len(pictures) - len(chosen)
  if not len(chosen):
    raise ValueError(
        f"None of the {skipped} pictures of {config.train_split!r} has an object: choose another "
        "split."
    )
  if skipped:
    logging.warning("%d of the %d pictures of %s have no objects and are left out.", skipped,
                    len(pictures), config.train_split)
  means, stds = statistics(pictures, chosen, proposals, config.data.flip)
  frame = Canvas(config.shorter, config.longest, canvas.blank(config.model.value_range))
  return Material(
      pictures, chosen, proposals, means, stds, frame, config.regions.count,
      config.regions.foreground, config.data.flip,
  )


def statistics(
    pictures: Pictures, chosen: np.ndarray, proposals: Sequence[np.ndarray], flip: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Means and standard deviations [K + 1, 4] of the deltas of all objects' regions."""
  near = []
  for i in chosen:
    found = drawable(pictures.pictures[i], proposals[i])
    near += [regions.Regions(*(field[found.overlaps >= OBJECT] for field in found))]
  mirrored = [found._replace(deltas=found.deltas * SIGNS) for found in near] if flip else []
  return regions.delta_statistics(near + mirrored, len(pictures.classes), OBJECT)


def drawable(picture: voc.Picture, proposals: np.ndarray) -> regions.Regions:
  """The regions of a picture that training may draw from."""
  return regions.regions_of(proposals, picture.boxes, picture.labels + 1)


def batch(
    material: Material, batch_size: int, keys: Keys, step: int
) -> tuple[Scenes, Targets]:
  """The scenes of a step and what the network should say of them, for feeds.streamed."""
  which = material.chosen[indices(keys, step, batch_size, len(material.chosen))]
  mirrored = [material.flip and r.random() < 0.5 for r in randoms(keys, step, batch_size)]
  return scenes(material, which, mirrored, (*keys[1], step, REGIONS))


def scenes(
    material: Material, which: Sequence[int], mirrored: Sequence[bool], seed: Sequence[int]
) -> tuple[Scenes, Targets]:
  """Pictures `which`, mirrored or not, each with the regions that `seed` draws from it."""
  found, scales, pixels = [], [], []
  for i, flip in zip(which, mirrored, strict=True):
    picture, image = material.pictures.pictures[i], material.pictures.image(i)
    own = drawable(picture, material.proposals[i])
    if flip:
      image = np.ascontiguousarray(image[:, ::-1])
      boxes = regions.mirror(own.boxes, picture.width)
      own = own._replace(boxes=boxes, deltas=own.deltas * SIGNS)
    found.append(own)
    scales.append(material.canvas.scale(picture.width, picture.height))
    pixels.append(material.canvas.put(image))
  drawn = regions.sample(found, seed, material.count, material.foreground, OBJECT)
  boxes = drawn.boxes * np.float32(scales)[:, None, None]
  return (np.stack(pixels), boxes), targets(drawn, material.means, material.stds)


def targets(drawn: regions.Sample, means: np.ndarray, stds: np.ndarray) -> Targets:
  """What the network should say: deltas are normalised by the statistics of their class."""
  labels = drawn.labels
  deltas = (drawn.deltas - means[labels]) / stds[labels]
  return Targets(labels, deltas * (labels != BACKGROUND)[..., None], drawn.weights)

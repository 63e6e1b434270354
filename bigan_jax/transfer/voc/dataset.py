"""What jobs on PASCAL VOC share: pictures, crops, an encoder's layers, randomness, drawing."""

from collections.abc import Sequence
import hashlib

import ml_collections
import numpy as np
from PIL import Image, ImageDraw

from bigan_jax.data import batches, codec, order, stream, survey, voc
from bigan_jax.data.builders import devkit
from bigan_jax.transfer import fine_tuning, source

NAMES = devkit.CLASSES  # the twenty
Keys = tuple[order.HostKey, order.HostKey]  # of the order of pictures and of their crops
# What random numbers are for is the last number of their seed, and never 0, as numpy's generators
# take (1, 2) and (1, 2, 0) for the same.
BATCHES, REGIONS, FIRST_CROPS, TEST_CROPS, LAST_LAYER = 1, 2, 3, 4, 5
SMALLEST, LARGEST = 0.5, 2.0  # scale of the windows that crops are made of (reference section 9)


class Pictures:
  """Pictures whose pixels stay in memory once they were decoded, as far as it reaches.

  May be sent to other processes and used by several threads.
  """

  def __init__(
      self, pictures: Sequence[voc.Picture], most_bytes: float, edge: int = 0,
      classes: tuple[str, ...] = NAMES,
  ) -> None:
    """Decodes nothing yet.

    Args:
      most_bytes: the first pictures that fit in are kept; the others are decoded every time.
      edge: shorter side that they are resized to, antialiased; 0: left as they are.
      classes: names of those of the whole set.
    """
    self.classes = classes
    self.pictures, self._most_bytes, self._edge = list(pictures), most_bytes, edge
    sizes = np.cumsum([3 * int(np.prod(self._size(picture))) for picture in pictures])
    self._kept, self._decoded = int(np.searchsorted(sizes, most_bytes, side="right")), {}

  def __reduce__(self) -> tuple:
    return Pictures, (self.pictures, self._most_bytes, self._edge, self.classes)  # Not pixels.

  def __len__(self) -> int:
    return len(self.pictures)

  def image(self, i: int) -> np.ndarray:
    """Pixels of picture i, uint8 [H, W, 3], not to be written to."""
    if (pixels := self._decoded.get(i)) is None:
      picture = self.pictures[i]
      pixels = picture.image()
      if self._edge:
        small = Image.fromarray(pixels).resize(self._size(picture), Image.Resampling.LANCZOS)
        pixels = np.asarray(small)
      if i < self._kept:
        self._decoded[i] = pixels
    return pixels

  def _size(self, picture: voc.Picture) -> tuple[int, int]:
    """Width and height of what `image` returns."""
    size = picture.width, picture.height
    return codec.scaled_size(*size, self._edge) if self._edge else size


def load(
    config: ml_collections.ConfigDict, split: str, task: str = "main", edge: int = 0
) -> Pictures:
  """The pictures of a list of the devkit that a config's `data` section names.

  Of all decoded pictures, at most config.data.resident_gb is kept in memory (0: as it has room).

  Raises:
    ValueError: the list holds no picture; and as `voc.load`.
  """
  data = config.data
  pictures = voc.load(*_asked(config, split, task))
  if not pictures:
    raise ValueError(
        f"The list {split!r} of VOC{data.year} holds no picture: choose another split."
    )
  if task == "segmentation" and pictures[0].classes != NAMES:
    raise ValueError(
        f"This devkit has {len(pictures[0].classes)} classes of its own, but segmentation knows"
        " VOC's twenty alone: take configs/voc_classification.py or configs/voc_detection.py."
    )
  # Every process that makes training batches keeps its own, and this one the test pictures.
  share = batches.resident_bytes(data.resident_gb) / (1 + max(data.workers, 1))
  return Pictures(pictures, share, edge, pictures[0].classes)


def _asked(
    config: ml_collections.ConfigDict, split: str, task: str
) -> tuple[int, str, str, str, str, str]:
  """The arguments of voc.load and voc.left_out."""
  data = config.data
  return data.year, split, task, config.data_dir, data.path, data.get("classes", "")


def load_both(
    config: ml_collections.ConfigDict, task: str = "main", edge: int = 0
) -> tuple[Pictures, Pictures, survey.Survey]:
  """The pictures to train on, those to test on, and what was found, which is printed."""
  train, test = (
      load(config, split, task, edge) for split in (config.train_split, config.test_split)
  )
  facts = [(p.name, p.checksum, p.labels.tolist()) for some in (train, test) for p in some.pictures]
  contents = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
  left = [pair for split in (config.train_split, config.test_split)
          for pair in voc.left_out(*_asked(config, split, task))]
  about = survey.Survey(
      "voc", config.data.path or f"the prepared VOC{config.data.year}",
      (config.train_split, config.test_split), len(train), len(test), train.classes,
      left=tuple(left), contents=contents,
  )
  print(survey.line(about))
  return train, test, about


def resolve(
    config: ml_collections.ConfigDict, origin: source.Source | None
) -> ml_collections.ConfigDict:
  """An unlocked copy of a config with all filled in that it takes from the encoder.

  The shapes of pictures are left to the job, as far as config.crop does not give them: then
  config.model.image_shape is what the encoder saw.

  Raises:
    ValueError: the encoder is a perceptron, or sees grey pictures.
  """
  config = config.copy_and_resolve_references().unlock()
  config.learner = ""
  if origin is not None:
    fine_tuning.take_encoder(config, origin)
  model = config.model
  if model.family != "alexnet":
    raise ValueError(
        f"The layers of {config.encoder} are fully connected, but VOC takes convolutions: give an "
        "encoder of pictures, such as configs/imagenet.py trains."
    )
  channels = model.image_shape[2]
  if channels != 3:
    raise ValueError(
        f"The encoder of {config.encoder} sees images of {channels} channel(s), but those of VOC "
        "have 3: take another encoder."
    )
  if config.get("crop"):
    model.encoder_shape = model.image_shape = (config.crop, config.crop, channels)
  return config


def transferred(config: ml_collections.ConfigDict) -> tuple[str, ...]:
  """The layers that a resolved config takes over: all convolutions, or none of an untrained."""
  return source.hidden_layers(config.model) if config.source == "pretrained" else ()


def indices(keys: Keys, step: int, batch_size: int, size: int) -> np.ndarray:
  """Which pictures a step of training sees, [batch_size]; for a `make` of feeds.streamed."""
  with stream.on_host():
    return order.window(keys[0], step, batch_size, size)


def randoms(keys: Keys, step: int, batch_size: int) -> list[np.random.Generator]:
  """One source of random numbers for each picture of a step's batch."""
  return [np.random.default_rng((*keys[1], step, i, BATCHES)) for i in range(batch_size)]


def random_crop(
    image: np.ndarray, random: np.random.Generator, side: int, flip: bool
) -> np.ndarray:
  """A window anywhere in a picture, half to twice the size of the crop: uint8 [side, side, 3].

  Squares of `side` * s, s uniform in [min(1/2, most), most] with most = min(2, shorter side /
  `side`), resampled bilinearly, without antialiasing (reference section 9).
  """
  height, width = image.shape[:2]
  most = min(LARGEST, min(height, width) / side)
  length = side * random.uniform(min(SMALLEST, most), most)
  top, left = (random.random() * max(0, room - length) for room in (height, width))
  rows, columns = (positions(first, length, side) for first in (top, left))
  mirrored = random.random() < 0.5 and flip
  return resample(image, rows, columns[::-1] if mirrored else columns)


def positions(first: float, length: float, count: int) -> np.ndarray:
  """Where to sample `length` pixels from `first` on to make `count` of them: float [count]."""
  return first + (np.arange(count) + 0.5) * (length / count) - 0.5


def resample(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
  """Bilinear samples, without antialiasing: uint8 [H, W, C] -> [len(rows), len(columns), C].

  Args:
    rows, columns: from 0, in pixels; positions outside the picture show its edge. Falling columns
      mirror.
  """
  lines = _between(image, rows)
  found = _between(lines.swapaxes(0, 1), columns).swapaxes(0, 1)
  return np.uint8(found + np.float32(0.5))


def _between(image: np.ndarray, places: np.ndarray) -> np.ndarray:
  """Linear interpolation along the first axis: float32 [len(places), ...]."""
  places = places.clip(0, len(image) - 1)
  low = places.astype(np.int64)
  share = (places - low).astype(np.float32).reshape(-1, *[1] * (image.ndim - 1))
  below = image[low].astype(np.float32)
  return below + share * (image[np.minimum(low + 1, len(image) - 1)] - below)


def first_crops(config: ml_collections.ConfigDict, train: Pictures, side: int) -> np.ndarray:
  """What initialisation looks at: a random crop each of config.init_images random pictures, uint8.
  """
  random = np.random.default_rng((config.seed, FIRST_CROPS))
  chosen = random.permutation(len(train))[:config.init_images]
  flip = config.data.flip
  return np.stack([random_crop(train.image(i), random, side, flip) for i in chosen.tolist()])


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
  """A picture uint8 [H, W, 3] made to fit into the middle of a white square [side, side, 3]."""
  height, width = (max(1, round(n * side / max(image.shape[:2]))) for n in image.shape[:2])
  small = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
  square = np.full((side, side, 3), 255, np.uint8)
  top, left = (side - height) // 2, (side - width) // 2
  square[top:top + height, left:left + width] = small
  return square


def framed(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
  """A copy of a picture uint8 [H, W, 3] whose outermost pixels are of one colour."""
  wide = 1 + len(image) // 40
  framed = np.full_like(image, colour)
  framed[wide:-wide, wide:-wide] = image[wide:-wide, wide:-wide]
  return framed


def sign(text: str, side: int) -> np.ndarray:
  """A white square uint8 [side, side, 3] with lines of text."""
  square = Image.new("RGB", (side, side), "white")
  ImageDraw.Draw(square).multiline_text((2, 2), text, "black", font_size=max(8, side // 7))
  return np.asarray(square)


def left_out(found: dict) -> str:
  """A sentence of results about classes that are not among the tested pictures, if any."""
  absent = found["absent"]
  return (
      f" {len(absent)} classes that {found['test_split']} does not hold are left out: "
      f"{', '.join(absent)}." if absent else ""
  )

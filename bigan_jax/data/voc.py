"""PASCAL VOC for the jobs that transfer to it: the pictures of a year, split and task."""

from collections.abc import Sequence
import dataclasses
import io
from typing import TYPE_CHECKING
import zlib

from absl import logging
import numpy as np
from PIL import Image

from bigan_jax.data import codec, prepare
from bigan_jax.data.builders import devkit

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

BLOCK = 256  # Records read at a time: 30 MB.
MASKED = 255  # A class of which a picture holds difficult objects only.


@dataclasses.dataclass(frozen=True)
class Picture:
  """One picture; its pixels and its mask are decoded when asked for, from the prepared set.

  boxes: float32 [n, 4], first and last pixel (x1, y1, x2, y2) counted from 0. labels: int32 [n],
  positions in `classes`. difficult, truncated: bool [n]. checksum: of the encoded
  picture, to name caches by. classes: their names.
  """

  name: str
  width: int
  height: int
  boxes: np.ndarray
  labels: np.ndarray
  difficult: np.ndarray
  truncated: np.ndarray
  segmented: bool
  checksum: int
  _source: Sequence[dict] = dataclasses.field(repr=False)
  _index: int = dataclasses.field(repr=False)
  classes: tuple[str, ...] = dataclasses.field(default=devkit.CLASSES, repr=False)

  def image(self) -> np.ndarray:
    """Pixels, uint8 [H, W, 3]."""
    with Image.open(io.BytesIO(self._source[self._index]["image"])) as picture:
      return np.asarray(codec.to_rgb(picture))

  def mask(self) -> np.ndarray:
    """Classes uint8 [H, W]: 0 background, 1 .. 20 the classes, 255 void.

    Raises:
      ValueError: the picture is not segmented.
    """
    if not self.segmented:
      raise ValueError(f"Picture {self.name} has no mask: take those of the segmentation task.")
    return codec.decode(self._source[self._index]["mask"])


def load(
    year: int, split: str, task: str = "main", data_dir: str = "", path: str = "",
    classes: str = "",
) -> list[Picture]:
  """The pictures of a list, in its order, preparing the set first if need be.

  Args:
    year: 2007 or 2012.
    split: "train", "val", "trainval" or "test".
    task: "main" (classification and detection) or "segmentation".
    data_dir: parent of the prepared sets; see `prepare.find_or_prepare`.
    path: of the devkit; see `builders.devkit.find_sources`. If empty, what is prepared already.
    classes: of a devkit of one's own, a comma list or a file; those of its annotations if empty.

  Raises:
    ValueError: another year, or a split that the devkit does not list; a damaged set.
    FileNotFoundError: neither prepared nor to be prepared.
  """
  builder, names, skipped = _listed(year, split, task, data_dir, path, classes)
  if skipped:
    logging.warning("VOC%d: %d of the %d pictures of %s cannot be decoded and are left out.", year,
                    len(skipped), len(names), split)
  wanted = [name for name in names if name not in skipped]
  pictures, chosen = {}, set(wanted)
  for stored, names in builder.info.metadata["stored"].items():
    indices = [i for i, name in enumerate(names) if name in chosen]
    pictures |= _read(builder, stored, names, indices)
  return [pictures[name] for name in wanted]


def left_out(
    year: int, split: str, task: str = "main", data_dir: str = "", path: str = "",
    classes: str = "",
) -> list[tuple[str, str]]:
  """(name, why) of the pictures of a list that `load` leaves out; takes and raises the same."""
  _, names, skipped = _listed(year, split, task, data_dir, path, classes)
  return [(name, codec.DAMAGED) for name in names if name in skipped]


def _listed(
    year: int, split: str, task: str, data_dir: str, path: str, classes: str
) -> tuple["tfds.core.DatasetBuilder", list[str], set[str]]:
  """The prepared set, the names of a list, and which of those cannot be decoded."""
  builder = prepare.find_or_prepare_voc(year, data_dir, path, classes)
  metadata = builder.info.metadata
  given, there = builder.builder_config.classes, metadata.get("classes", devkit.CLASSES)
  if given and given != tuple(there):
    raise ValueError(f"The VOC{year} at {builder.data_path} was prepared with {len(there)} other"
                     " classes than config.data.classes: name its devkit by config.data.path.")
  found = metadata["lists"].get(task, {})
  if split not in found:
    known = ", ".join(f"{t} {s}" for t, splits in metadata["lists"].items() for s in splits)
    raise ValueError(f"This VOC{year} has no list of {split!r} for {task!r} but {known}: choose one"
                     ", or put the tar that holds it beside the others.")
  return builder, found[split], set(metadata["skipped"]).intersection(found[split])


def _read(
    builder: "tfds.core.DatasetBuilder", stored: str, names: Sequence[str], indices: Sequence[int]
) -> dict[str, Picture]:
  """{name: picture} of the records `indices` of a stored split."""
  import tensorflow_datasets as tfds

  source = builder.as_data_source(stored, decoders={"image": tfds.decode.SkipDecoding()})
  classes = tuple(builder.info.metadata.get("classes", devkit.CLASSES))
  pictures = {}
  try:
    for start in range(0, len(indices), BLOCK):
      block = indices[start:start + BLOCK]
      for index, record in zip(block, source.__getitems__(block)):
        if record["name"].decode() != names[index]:
          raise ValueError(f"record {index} of {stored} is not {names[index]}")
        pictures[names[index]] = _picture(record, source, index, classes)
  except (RuntimeError, OSError, ValueError) as error:  # ArrayRecord's, Pillow's, a wrong record.
    raise ValueError(f"The prepared voc at {builder.data_path} is damaged ({error}): delete that"
                     " directory and prepare it again.") from error
  return pictures


def _picture(
    record: dict, source: Sequence[dict], index: int, classes: tuple[str, ...]
) -> Picture:
  with Image.open(io.BytesIO(record["image"])) as picture:
    width, height = picture.size
  return Picture(
      name=record["name"].decode(),
      width=width,
      height=height,
      boxes=record["boxes"],
      labels=np.array(record["labels"], np.int32),
      difficult=record["difficult"],
      truncated=record["truncated"],
      segmented=bool(record["mask"]),
      checksum=zlib.crc32(record["image"]),
      _source=source,
      _index=index,
      classes=classes,
  )


def num_classes(pictures: Sequence[Picture]) -> int:
  """How many classes their set has."""
  return len(pictures[0].classes) if pictures else len(devkit.CLASSES)


def class_labels(pictures: Sequence[Picture]) -> np.ndarray:
  """uint8 [N, classes]: 1 where the class is present, 0 where not, MASKED if difficult alone.

  The same as VOC's own lists of each class (1, -1 and 0 there).
  """
  labels = np.zeros((len(pictures), num_classes(pictures)), np.uint8)
  for row, picture in zip(labels, pictures):
    row[picture.labels[picture.difficult]] = MASKED
    row[picture.labels[~picture.difficult]] = 1
  return labels


def colours() -> np.ndarray:
  """VOC's palette, uint8 [256, 3]: the bits of an index, dealt to red, green, blue in turn."""
  index = np.arange(256)[:, None]
  return sum(((index >> (3 * k + np.arange(3))) & 1) << (7 - k) for k in range(8)).astype(np.uint8)

"""PASCAL VOC's devkit as people have it, in its tars or unpacked, read and checked file by file."""

from collections.abc import Sequence
import io
import os
import re
import tarfile
from typing import NamedTuple
import xml.etree.ElementTree as ElementTree

import numpy as np
from PIL import Image

from bigan_jax.data import codec
from bigan_jax.data.builders import presize

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)
VOID = 255  # of a mask: the border of an object, or one that is too hard
TARS = {
    2007: ("VOCtrainval_06-Nov-2007.tar", "VOCtest_06-Nov-2007.tar"),
    2012: ("VOCtrainval_11-May-2012.tar",),
}
TASKS = {"main": "ImageSets/Main", "segmentation": "ImageSets/Segmentation"}
SIDES = ("xmin", "ymin", "xmax", "ymax")
FOLDERS = ("Annotations", *TASKS.values(), "JPEGImages", "SegmentationClass")
Lists = dict[str, dict[str, list[str]]]  # Of each task the names of each split's pictures.


class Devkit(NamedTuple):
  """Where each file of a VOC<year> lies, by its path in there, such as JPEGImages/000001.jpg."""

  place: str
  files: dict[str, presize.Piece]

  def picture(self, name: str) -> str:
    """Where a listed picture lies, whatever its ending; as VOC has it if it is not there."""
    endings = (*codec.EXTENSIONS, *map(str.upper, codec.EXTENSIONS))
    paths = [f"JPEGImages/{name}{ending}" for ending in endings]
    return next((path for path in paths if path in self.files), paths[0])

  def read(self, name: str) -> bytes:
    """The content of a file that is in `files`."""
    piece = self.files[name]
    with open(piece.path, "rb") as file:
      file.seek(piece.offset)
      return file.read(piece.size)


class Picture(NamedTuple):
  """What is known of one picture.

  boxes: float32 [n, 4], first and last pixel (x1, y1, x2, y2) counted from 0, within the picture:
  VOC's own numbers less 1. labels: int64 [n], positions in the classes. difficult, truncated:
  bool [n]. clipped: how many boxes were cut to the picture.
  """

  boxes: np.ndarray
  labels: np.ndarray
  difficult: np.ndarray
  truncated: np.ndarray
  clipped: int


def find_sources(path: str, year: int) -> list[str]:
  """The unpacked VOC<year> at or below `path`, or else those of its tars that are there.

  Args:
    path: a VOC<year> (or the like by another name), the VOCdevkit around it, a folder that
      holds the latter or tars, or a tar.

  Raises:
    FileNotFoundError: there is none of these.
  """
  name = f"VOC{year}"
  own = os.path.basename(os.path.abspath(path)) == name
  own |= all(os.path.isdir(os.path.join(path, part)) for part in ("JPEGImages", "ImageSets"))
  folders = [path] if own else []
  folders += [os.path.join(path, name), os.path.join(path, "VOCdevkit", name)]
  unpacked = [folder for folder in folders if os.path.isdir(os.path.join(folder, "ImageSets"))]
  if unpacked:
    return unpacked[:1]
  tars = [path] if path.endswith(".tar") else [os.path.join(path, tar) for tar in TARS[year]]
  tars = [tar for tar in tars if os.path.isfile(tar)]
  if not tars:
    raise FileNotFoundError(
        f"{path} holds neither {' nor '.join(TARS[year])} nor an unpacked {name}: put them there,"
        " or name the folder that holds the VOCdevkit by its path."
    )
  return tars


def stats(sources: Sequence[str]) -> list[tuple[str, int, int]]:
  """(path, size, time of change) of all files: what tells one devkit from another, or from itself.

  Args:
    sources: from `find_sources`.
  """
  files = []
  for source in sources:
    pieces = _files(source).values() if os.path.isdir(source) else [presize.Piece(source, source)]
    files += sorted(os.path.realpath(piece.path) for piece in pieces)
  return [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in files]


def open_devkit(sources: Sequence[str], year: int) -> Devkit:
  """Finds all files in the folder or tars of `find_sources`.

  Raises:
    ValueError: a tar is damaged, or holds no VOC<year>.
  """
  files = {}
  for source in sources:
    files |= _files(source) if os.path.isdir(source) else _members(source, year)
  return Devkit(" and ".join(sources), files)


def _files(folder: str) -> dict[str, presize.Piece]:
  files = {}
  for part in FOLDERS:
    directory = os.path.join(folder, part)
    if os.path.isdir(directory):
      found = [entry for entry in os.scandir(directory) if entry.is_file()]
      files |= {f"{part}/{entry.name}": presize.Piece(entry.name, entry.path) for entry in found}
  return files


def _members(path: str, year: int) -> dict[str, presize.Piece]:
  inside = re.compile(rf"(?:.*/)?VOC{year}/((?:{'|'.join(FOLDERS)})/[^/]+)")
  try:
    with tarfile.open(path, "r:") as tar:
      members = [(inside.fullmatch(member.name), member) for member in tar if member.isfile()]
  except (tarfile.TarError, OSError) as error:
    raise ValueError(f"{path} is not a whole tar ({error}): download it again.") from error
  size = os.path.getsize(path)
  files = {
      found[1]: presize.Piece(member.name, path, member.offset_data, member.size)
      for found, member in members if found
  }
  if not files or max(piece.offset + piece.size for piece in files.values()) > size:
    what = "ends too early" if files else f"holds no VOC{year}"
    raise ValueError(f"{path} {what}: download it again.")
  return files


def check_files(devkit: Devkit, lists: Lists) -> None:
  """Raises FileNotFoundError unless every listed picture, annotation and mask is there."""
  names = {name for found in lists.values() for split in found.values() for name in split}
  masked = {name for split in lists["segmentation"].values() for name in split}
  wanted = [devkit.picture(name) for name in names]
  wanted += [f"Annotations/{name}.xml" for name in names]
  wanted += [mask_path(name) for name in masked]
  if missing := sorted(set(wanted) - devkit.files.keys()):
    raise FileNotFoundError(
        f"{devkit.place} lacks {len(missing)} of the files that its lists name, such as"
        f" {missing[0]}: unpack VOC's tars there again."
    )


def mask_path(name: str) -> str:
  """Where the class mask of a picture lies."""
  return f"SegmentationClass/{name}.png"


def find_classes(devkit: Devkit, names: Sequence[str], masked: bool) -> tuple[str, ...]:
  """VOC's twenty if the devkit is VOC's, else all that its annotations name, sorted.

  It is if they name no others, or all of the twenty, or if there are masks, whose indices they are.

  Raises:
    ValueError: an annotation is damaged.
  """
  found = set()
  for name in names:
    found |= {class_name for class_name, _ in _objects(devkit, f"Annotations/{name}.xml")}
  vocs = masked or found <= set(CLASSES) or found >= set(CLASSES)
  return CLASSES if vocs else tuple(sorted(found))


def examine(
    devkit: Devkit, name: str, masked: bool, classes: tuple[str, ...] = CLASSES
) -> Picture | None:
  """Decodes a picture, and its mask if it has one, and reads its annotation; None if undecodable.

  Raises:
    ValueError: an annotation or a mask that is damaged or does not fit the picture.
  """
  try:
    with Image.open(io.BytesIO(devkit.read(devkit.picture(name)))) as picture:
      picture.load()
      size = picture.size
  except (OSError, SyntaxError, Image.DecompressionBombError):  # What Pillow raises.
    return None
  if masked:
    _check_mask(devkit, name, size, len(classes))
  return _annotation(devkit, f"Annotations/{name}.xml", classes, *size)


def _check_mask(devkit: Devkit, name: str, size: tuple[int, int], most: int) -> None:
  path = mask_path(name)
  try:
    with Image.open(io.BytesIO(devkit.read(path))) as mask:
      pixels, mode = np.asarray(mask), mask.mode
  except (OSError, SyntaxError) as error:
    raise ValueError(f"{path} of {devkit.place} cannot be decoded ({error}): unpack it again."
                     ) from error
  if mode not in ("P", "L"):
    raise ValueError(f"{path} of {devkit.place} is {mode}, not a palette picture whose indices are"
                     " classes: take the one that VOC gives.")
  if pixels.shape[::-1] != size:
    raise ValueError(f"{path} of {devkit.place} has {pixels.shape[1]} x {pixels.shape[0]} pixels"
                     f" but its picture {size[0]} x {size[1]}: one of them is another's.")
  strange = pixels[(pixels > most) & (pixels != VOID)]
  if strange.size:
    raise ValueError(f"{path} of {devkit.place} holds class {strange[0]}: only 0 to {most}"
                     f" and {VOID} for void are known.")


def _objects(devkit: Devkit, path: str) -> list[tuple[str, ElementTree.Element]]:
  """(class, element) of all objects of an annotation; ValueError if it is damaged."""
  try:
    found = ElementTree.fromstring(devkit.read(path)).findall("object")
    return [(_text(element, "name").strip().lower(), element) for element in found]
  except (ElementTree.ParseError, ValueError) as error:
    raise ValueError(f"{path} of {devkit.place} is damaged ({error}): unpack it again.") from error


def _annotation(
    devkit: Devkit, path: str, classes: tuple[str, ...], width: int, height: int
) -> Picture:
  where, found = f"{path} of {devkit.place}", _objects(devkit, path)
  names, objects = [name for name, _ in found], [element for _, element in found]
  try:
    corners = [[float(_text(element, f"bndbox/{side}")) for side in SIDES] for element in objects]
  except ValueError as error:
    raise ValueError(f"{where} is damaged ({error}): unpack it again.") from error
  if unknown := sorted(set(names) - set(classes)):
    known = "VOC" if classes == CLASSES else "config.data.classes"
    raise ValueError(f"{where} holds the unknown class {unknown[0]!r}: {known} has {len(classes)}"
                     " others; name all by --config.data.classes.")
  boxes = np.array(corners, np.float32).reshape(-1, 4) - 1
  last = np.array([width, height] * 2, np.float32) - 1
  low, high = np.maximum(boxes[:, :2], 0), np.minimum(boxes[:, 2:], last[2:])
  if not (low <= high).all():  # NaN, turned around, or outside.
    bad = corners[int(np.flatnonzero(~(low <= high).all(axis=1))[0])]
    raise ValueError(f"{where} has the box {bad} (xmin, ymin, xmax, ymax), of which nothing lies in"
                     f" its picture of {width} x {height}: correct or remove it.")
  flag = lambda tag: np.array([e.findtext(tag, "0").strip() == "1" for e in objects], bool)
  cut = np.concatenate([low, high], axis=1)
  return Picture(
      boxes=cut,
      labels=np.array([classes.index(name) for name in names], np.int64),
      difficult=flag("difficult"),
      truncated=flag("truncated"),
      clipped=int((cut != boxes).any(axis=1).sum()),
  )


def _text(element: ElementTree.Element, tag: str) -> str:
  """The text of a tag; ValueError if there is none."""
  text = element.findtext(tag)
  if not text:
    raise ValueError(f"an object lacks {tag}")
  return text

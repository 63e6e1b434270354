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
SPLITS = ("train", "val", "trainval", "test")
FOLDERS = ("Annotations", *TASKS.values(), "JPEGImages", "SegmentationClass")
Lists = dict[str, dict[str, list[str]]]  # Of each task the names of each split's pictures.


class Devkit(NamedTuple):
  """Where each file of a VOC<year> lies, by its path in there, such as JPEGImages/000001.jpg."""

  place: str
  files: dict[str, presize.Piece]

  def read(self, name: str) -> bytes:
    """The content of a file that is in `files`."""
    piece = self.files[name]
    with open(piece.path, "rb") as file:
      file.seek(piece.offset)
      return file.read(piece.size)


class Picture(NamedTuple):
  """What is known of one picture.

  boxes: float32 [n, 4], first and last pixel (x1, y1, x2, y2) counted from 0, within the picture:
  VOC's own numbers less 1. labels: int64 [n], positions in CLASSES. difficult, truncated: bool [n].
  clipped: how many boxes were cut to the picture.
  """

  boxes: np.ndarray
  labels: np.ndarray
  difficult: np.ndarray
  truncated: np.ndarray
  clipped: int


def find_sources(path: str, year: int) -> list[str]:
  """The unpacked VOC<year> at or below `path`, or else those of its tars that are there.

  Args:
    path: a VOC<year>, the VOCdevkit around it, a folder that holds the latter or tars, or a tar.

  Raises:
    FileNotFoundError: there is none of these.
  """
  name = f"VOC{year}"
  folders = [path] if os.path.basename(os.path.abspath(path)) == name else []
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


def read_lists(devkit: Devkit) -> Lists:
  """The splits of each task that the devkit has; trainval is train and val unless it is listed.

  Raises:
    ValueError: no split at all; a picture twice in a list, or in two that must not share any.
  """
  lists = {}
  for task, folder in TASKS.items():
    paths = {split: f"{folder}/{split}.txt" for split in SPLITS}
    found = {s: _read_list(devkit, path) for s, path in paths.items() if path in devkit.files}
    if {"train", "val"} <= found.keys():
      found.setdefault("trainval", found["train"] + found["val"])
    for one, other in (("train", "val"), ("train", "test"), ("val", "test"), ("trainval", "test")):
      if common := set(found.get(one, ())) & set(found.get(other, ())):
        raise ValueError(f"{devkit.place} lists {min(common)} in both {paths[one]} and"
                         f" {paths[other]}: remove it from one of them.")
    lists[task] = found
  if not any(lists["main"].values()):
    raise ValueError(f"{devkit.place} lists no pictures in {TASKS['main']} (train.txt, val.txt,"
                     " trainval.txt or test.txt): unpack VOC's tars there again.")
  return lists


def _read_list(devkit: Devkit, path: str) -> list[str]:
  names = [line.split()[0] for line in devkit.read(path).decode().splitlines() if line.strip()]
  if len(set(names)) < len(names):
    twice = next(name for name in names if names.count(name) > 1)
    raise ValueError(f"{path} of {devkit.place} lists {twice} twice: remove one of the lines.")
  return names


def check_files(devkit: Devkit, lists: Lists) -> None:
  """Raises FileNotFoundError unless every listed picture, annotation and mask is there."""
  names = {name for found in lists.values() for split in found.values() for name in split}
  masked = {name for split in lists["segmentation"].values() for name in split}
  wanted = [f"JPEGImages/{name}.jpg" for name in names]
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


def examine(devkit: Devkit, name: str, masked: bool) -> Picture | None:
  """Decodes a picture, and its mask if it has one, and reads its annotation; None if undecodable.

  Raises:
    ValueError: an annotation or a mask that is damaged or does not fit the picture.
  """
  try:
    with Image.open(io.BytesIO(devkit.read(f"JPEGImages/{name}.jpg"))) as picture:
      picture.load()
      size = picture.size
  except (OSError, SyntaxError, Image.DecompressionBombError):  # What Pillow raises.
    return None
  if masked:
    _check_mask(devkit, name, size)
  return _annotation(devkit, f"Annotations/{name}.xml", *size)


def _check_mask(devkit: Devkit, name: str, size: tuple[int, int]) -> None:
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
  strange = pixels[(pixels > len(CLASSES)) & (pixels != VOID)]
  if strange.size:
    raise ValueError(f"{path} of {devkit.place} holds class {strange[0]}: only 0 to {len(CLASSES)}"
                     f" and {VOID} for void are known.")


def _annotation(devkit: Devkit, path: str, width: int, height: int) -> Picture:
  where = f"{path} of {devkit.place}"
  try:
    objects = ElementTree.fromstring(devkit.read(path)).findall("object")
    names = [_text(element, "name").strip().lower() for element in objects]
    corners = [[float(_text(element, f"bndbox/{side}")) for side in SIDES] for element in objects]
  except (ElementTree.ParseError, ValueError) as error:
    raise ValueError(f"{where} is damaged ({error}): unpack it again.") from error
  if unknown := sorted(set(names) - set(CLASSES)):
    raise ValueError(f"{where} holds the unknown class {unknown[0]!r}: VOC has twenty others.")
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
      labels=np.array([CLASSES.index(name) for name in names], np.int64),
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

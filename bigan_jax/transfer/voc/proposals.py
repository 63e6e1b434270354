"""Object proposals, the boxes that detection judges: read from a file, or found here and kept."""

from collections.abc import Sequence
import concurrent.futures
import hashlib
import io
import os
import pathlib
import zipfile
import zlib

import numpy as np

from bigan_jax.data import voc
from bigan_jax.data.builders import presize
from bigan_jax.machine import disk, progress
from bigan_jax.transfer.voc import regions

PICTURES_PER_FILE = 64  # of the cache: at most so much work is lost to a kill.
METHOD = "opencv selective search, fast, 1"  # Changes with the boxes that it finds.
SLACK = 1.0  # pixels by which a given box may reach beyond its picture, before it is cut


def for_pictures(
    pictures: Sequence[voc.Picture], path: str, cache_dir: str, longest: int
) -> list[np.ndarray]:
  """Of each picture its proposals float32 [n, 4], first and last pixel from 0, within the picture.

  Args:
    pictures: of one split.
    path: a file for `read`; if empty, proposals are found by `selective_search`.
    cache_dir: where found ones are kept, and taken from the next time.
    longest: of `selective_search`.

  Raises:
    ValueError: a file that is damaged, lacks a picture, or has boxes outside of one.
    FileNotFoundError: no such file.
    ImportError: proposals have to be found and OpenCV's contributed modules are not installed.
    OSError: the cache cannot be written to.
  """
  if path:
    return _matched(read(path), pictures, path)
  folder = pathlib.Path(cache_dir).expanduser()
  found = []
  with concurrent.futures.ThreadPoolExecutor(presize.cores()) as pool:  # OpenCV frees the lock.
    with progress.bar(len(pictures), "proposals", " pictures") as bar:
      for start in range(0, len(pictures), PICTURES_PER_FILE):
        block = pictures[start:start + PICTURES_PER_FILE]
        found += _block(block, folder, longest, pool)
        bar.update(len(block))
  return found


def read(path: str) -> dict[str, np.ndarray]:
  """{picture's name: float32 [n, 4]} of (x1, y1, x2, y2), first and last pixel counted from 0.

  Args:
    path: either a .mat as Fast R-CNN's selective search data (`images`, a cell of names, and
      `boxes`, a cell of arrays (y1, x1, y2, x2) counted from 1), or a .npz with `names` [N],
      `counts` [N], how many boxes each has, and `boxes` [total, 4] (x1, y1, x2, y2) counted from 0.

  Raises:
    FileNotFoundError: no such file.
    ValueError: another kind of file, or a damaged one.
  """
  path = os.path.expanduser(path)
  if not os.path.isfile(path):
    raise FileNotFoundError(f"{path} does not exist: name a .mat or .npz file of proposals, or none"
                            " to have them found.")
  suffix = pathlib.Path(path).suffix
  if suffix not in (".mat", ".npz"):
    raise ValueError(f"{path} is no file of proposals: give Fast R-CNN's .mat, or a .npz.")
  try:
    return _read_mat(path) if suffix == ".mat" else _read_npz(path)
  except NotImplementedError as error:  # scipy's, of HDF5.
    raise ValueError(f"{path} is in MATLAB's format 7.3, which is not read here: save it with -v7."
                     ) from error
  except (KeyError, ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile,
          zlib.error) as error:
    reason = disk.first_line(error)
    raise ValueError(f"{path} is damaged or holds other variables than proposals ({reason}): make"
                     " it again.") from error


def _read_mat(path: str) -> dict[str, np.ndarray]:
  from scipy import io as matlab

  try:
    content = matlab.loadmat(path)
  except matlab.matlab.MatReadError as error:
    raise ValueError(error) from error
  paths = [pathlib.PurePath(str(np.ravel(cell)[0])) for cell in np.ravel(content["images"])]
  cells = [np.asarray(cell, np.float32).reshape(-1, 4) for cell in np.ravel(content["boxes"])]
  boxes = [cell[:, [1, 0, 3, 2]] - 1 for cell in cells]
  return {path.name.removesuffix(".jpg"): part for path, part in zip(paths, boxes, strict=True)}


def _read_npz(path: str) -> dict[str, np.ndarray]:
  with np.load(path) as content:
    names, counts, boxes = (content[key] for key in ("names", "counts", "boxes"))
  if boxes.shape != (counts.sum(), 4):
    raise ValueError(f"boxes are {boxes.shape} but counts add up to {counts.sum()}")
  parts = np.split(boxes.astype(np.float32), np.cumsum(counts))[:-1]
  return {str(name): part for name, part in zip(names, parts, strict=True)}


def pack(proposals: dict[str, np.ndarray]) -> bytes:
  """The content of a .npz file from which `read` returns `proposals`."""
  buffer = io.BytesIO()
  np.savez_compressed(
      buffer,
      names=np.array(list(proposals), np.str_),
      counts=np.array([len(boxes) for boxes in proposals.values()], np.int64),
      boxes=np.concatenate([*proposals.values(), np.zeros((0, 4))]).astype(np.float32),
  )
  return buffer.getvalue()


def _matched(
    given: dict[str, np.ndarray], pictures: Sequence[voc.Picture], path: str
) -> list[np.ndarray]:
  """The boxes given for each picture, cut to it."""
  if missing := [picture.name for picture in pictures if picture.name not in given]:
    raise ValueError(f"{path} lacks {len(missing)} of the {len(pictures)} pictures, such as"
                     f" {missing[0]}: name the file that was made for this split.")
  for picture in pictures:
    boxes = given[picture.name]
    last = np.array([picture.width, picture.height] * 2) - 1
    inside = (boxes >= -SLACK) & (boxes <= last + SLACK)
    if not (inside.all() and (boxes[:, :2] <= boxes[:, 2:]).all()):
      raise ValueError(
          f"{path} has boxes outside of picture {picture.name} ({picture.width} x"
          f" {picture.height}): a .mat counts (y1, x1, y2, x2) from 1, a .npz (x1, y1, x2, y2)"
          " from 0."
      )
  return [regions.clip(given[p.name], p.width, p.height) for p in pictures]


def _block(
    pictures: Sequence[voc.Picture], folder: pathlib.Path, longest: int,
    pool: concurrent.futures.Executor,
) -> list[np.ndarray]:
  """Proposals of some pictures: those in the cache, or found now and put there."""
  key = (METHOD, longest, [(picture.name, picture.checksum) for picture in pictures])
  path = folder / f"proposals-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.npz"
  if not path.exists():
    boxes = list(pool.map(lambda picture: selective_search(picture.image(), longest), pictures))
    with disk.one_sentence(folder, "--config.proposals.cache_dir"):
      folder.mkdir(parents=True, exist_ok=True)
      disk.write_atomically(path, pack({p.name: b for p, b in zip(pictures, boxes)}))
  return _matched(read(str(path)), pictures, str(path))


def selective_search(image: np.ndarray, longest: int) -> np.ndarray:
  """Proposals float32 [n, 4] (x1, y1, x2, y2) of one picture, sorted, by OpenCV's fast mode.

  Args:
    image: uint8 [H, W, 3], RGB.
    longest: a larger picture is searched at this longer side, in pixels. Measured on drawings, one
      core: 0.8 s and 830 boxes at 500, 0.3 s and 420 at 300, 0.1 s and 250 at 200.

  Raises:
    ImportError: OpenCV's contributed modules are not installed.
  """
  cv2 = _opencv()
  height, width = image.shape[:2]
  scale = min(1.0, longest / max(height, width))
  size = max(round(width * scale), 1), max(round(height * scale), 1)
  small = cv2.resize(np.ascontiguousarray(image[:, :, ::-1]), size, interpolation=cv2.INTER_AREA)
  search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
  search.setBaseImage(small)
  search.switchToSelectiveSearchFast()
  found = np.asarray(search.process(), np.float32).reshape(-1, 4)
  corners = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)
  corners *= np.array([width / size[0], height / size[1]] * 2, np.float32)
  corners[:, 2:] -= 1  # The last pixel, not the one after it.
  return np.unique(regions.clip(corners.round(), width, height), axis=0)


def _opencv() -> object:
  """The module cv2, with what is needed of it."""
  try:
    import cv2
    cv2.ximgproc.segmentation.createSelectiveSearchSegmentation
  except (ImportError, AttributeError) as error:
    raise ImportError(
        f"Finding object proposals needs OpenCV's contributed modules ({error}): install the extra"
        " bigan_jax[detection] and no other opencv-* package, or name a file of proposals."
    ) from error
  return cv2

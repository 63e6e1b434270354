"""What lies in a folder of pictures: the files that are read, and those that are left out."""

import os
import pathlib
from typing import NamedTuple

from bigan_jax.data import codec

OTHERS = (  # Pictures all the same, which are counted and told.
    *codec.HEIF_EXTENSIONS, ".jxl", ".jp2", ".j2k", ".jpx", ".jxr", ".wdp", ".svg", ".psd",
    ".tga", ".ico", ".ppm", ".pgm", ".pbm", ".pnm", ".pcx", ".eps", ".exr", ".hdr", ".dcm", ".xcf",
    ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".apng", ".dib", ".jif", ".mpo",
)
HOLDING = (".zip", ".tar", ".tgz", ".7z", ".rar", ".npy", ".npz", ".tfrecord")  # them, packed
# Where systems keep thumbnails, resource forks and what was deleted, in lower case.
PASSED_OVER = ("@eadir", "__macosx", "#recycle", "$recycle.bin", "system volume information",
               "lost+found", "__pycache__")
ANNOTATIONS = "val_annotations.txt"  # Tiny ImageNet's classes of its validation pictures.
NO_FILE, EMPTY = "pipes or devices", "empty folders"
UNNAMED = "pictures without an ending such as .jpg"
SKIPPED_FILE = "skipped.txt"  # beside a prepared set, what was left out: name, tab, reason


class Found(NamedTuple):
  """Paths relative to the folder, sorted; only files without an ending were opened.

  pictures: files named as pictures. left: (path, what it is) of what looks like pictures and is not
  read. annotations: files called ANNOTATIONS.
  """

  pictures: list[str]
  left: list[tuple[str, str]]
  annotations: list[str]


def scan(root: str) -> Found:
  """Looks through all folders below `root`, those behind links too, each under all of its names."""
  found = Found([], [], [])
  todo = [("", (os.path.realpath(root),))]
  while todo:
    folder, above = todo.pop()
    try:
      with os.scandir(os.path.join(root, folder)) as entries:
        inner = [entry.name for entry in entries if _is_folder(found, folder, entry)]
    except PermissionError:
      found.left.append((os.path.join(folder, ""), codec.FORBIDDEN))
      continue
    for name in inner:
      path = os.path.join(folder, name)
      real = os.path.realpath(os.path.join(above[-1], name))
      if real not in above:  # Otherwise a link back to a folder above.
        todo.append((path, (*above, real)))
    if not inner and not os.listdir(os.path.join(root, folder)):
      found.left.append((os.path.join(folder, ""), EMPTY))
  for paths in found:
    paths.sort()
  return found


def _is_folder(found: Found, folder: str, entry: os.DirEntry) -> bool:
  """Whether to look into an entry; otherwise puts it where it belongs."""
  name, path = entry.name, os.path.join(folder, entry.name)
  ending = os.path.splitext(name)[1].lower()
  try:
    inner = entry.is_dir()
  except PermissionError:  # A link to where one may not look.
    found.left.append((path, codec.FORBIDDEN))
    return False
  except OSError:  # A link to itself, like one to nowhere below.
    found.pictures.extend([path] if ending in codec.EXTENSIONS else [])
    return False
  if inner:
    passed = name.startswith(".") or name.lower() in PASSED_OVER
    if passed:
      found.left.append((os.path.join(path, ""), f"folders {name}"))
    return not passed
  if name.startswith("."):  # Such as ._x.jpg, which is nobody's picture.
    return False
  if ending in codec.EXTENSIONS:
    # A link to nowhere is going to be skipped and counted like any unreadable picture.
    if entry.is_file() or not os.path.exists(entry.path):
      found.pictures.append(path)
    else:
      found.left.append((path, NO_FILE))
  elif ending in OTHERS + HOLDING:
    found.left.append((path, ending))
  elif name == ANNOTATIONS:
    found.annotations.append(path)
  elif not ending and entry.is_file() and _starts_as_picture(entry.path):
    found.left.append((path, UNNAMED))
  return False


def _starts_as_picture(path: str) -> bool:
  """Whether a file whose name does not say so begins as JPEG or PNG."""
  try:
    with open(path, "rb") as file:
      return file.read(8).startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))
  except OSError:
    return False


def holds(folder: str | os.PathLike[str], inner: str | os.PathLike[str]) -> bool:
  """Whether `inner` is the folder, or lies in it, links followed."""
  return pathlib.Path(inner).resolve().is_relative_to(pathlib.Path(folder).resolve())


def escape(name: str) -> str:
  """A file's name as text: bytes that are not UTF-8 become \\xNN, a backslash becomes two.

  text.encode().decode("unicode_escape").encode("latin-1") are the name's own bytes again.
  """
  text = name.replace("\\", "\\\\").encode("utf-8", "surrogateescape")
  return text.decode("utf-8", "backslashreplace").replace("\n", "\\x0a").replace("\r", "\\x0d")

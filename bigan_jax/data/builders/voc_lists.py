"""Which pictures a devkit's lists name, however they were written."""

import codecs
import collections
import os

from bigan_jax.data import codec
from bigan_jax.data.builders import devkit

SPLITS = ("train", "val", "trainval", "test")


def read_lists(kit: devkit.Devkit) -> devkit.Lists:
  """The splits of each task that the devkit has; trainval is train and val unless it is listed.

  Raises:
    ValueError: no split at all; a picture twice in a list, or in two that must not share any.
  """
  lists = {}
  for task, folder in devkit.TASKS.items():
    paths = {split: f"{folder}/{split}.txt" for split in SPLITS}
    found = {s: _read_list(kit, path) for s, path in paths.items() if path in kit.files}
    if {"train", "val"} <= found.keys():
      found.setdefault("trainval", found["train"] + found["val"])
    for one, other in (("train", "val"), ("train", "test"), ("val", "test"), ("trainval", "test")):
      if common := set(found.get(one, ())) & set(found.get(other, ())):
        raise ValueError(
            f"{kit.place} lists {_these(common)} in both {paths[one]} and {paths[other]}: remove"
            f" {'it' if len(common) == 1 else 'them'} from one of them."
        )
    lists[task] = found
  if not any(lists["main"].values()):
    raise ValueError(f"{kit.place} lists no pictures in {devkit.TASKS['main']} (train.txt, val.txt,"
                     " trainval.txt or test.txt): unpack VOC's tars there again.")
  return lists


def _these(names: set[str]) -> str:
  count = len(names)
  return min(names) if count == 1 else f"{count:,} pictures (such as {min(names)})"


def _read_list(kit: devkit.Devkit, path: str) -> list[str]:
  lines = _text(kit, path).splitlines()
  names = [_name(kit, line.strip()) for line in lines if line.strip()]
  if len(set(names)) < len(names):
    twice = next(name for name, count in collections.Counter(names).items() if count > 1)
    raise ValueError(f"{path} of {kit.place} lists {twice} twice: remove one of the lines.")
  return names


def _text(kit: devkit.Devkit, path: str) -> str:
  """A list in UTF-8, or in what its first bytes say: Windows' PowerShell writes UTF-16."""
  content = kit.read(path)
  wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
  try:
    return content.decode("utf-16" if wide else "utf-8-sig")
  except UnicodeDecodeError as error:
    raise ValueError(f"{path} of {kit.place} is neither UTF-8 nor UTF-16 ({error}): save it as"
                     " UTF-8.") from error


def _name(kit: devkit.Devkit, line: str) -> str:
  """The picture that a line names: with or without an ending, and perhaps with a number behind."""
  stem, ending = os.path.splitext(os.path.basename(line))
  whole = stem if ending.lower() in codec.EXTENSIONS else os.path.basename(line)
  first = line.split()[0]
  return whole if kit.picture(whole) in kit.files or whole == first else _name(kit, first)

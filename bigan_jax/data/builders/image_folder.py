"""TFDS builder of anyone's own pictures: a folder, with or without splits and classes in it."""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import hashlib
import os
import re
from typing import NamedTuple

from absl import logging
import numpy as np
import tensorflow_datasets as tfds

from bigan_jax.data import codec
from bigan_jax.data.builders import presize

# What people call the folders of a split, in lower case.
SPLIT_FOLDERS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}
PICTURES_PER_PART = 256
SHUFFLE_SEED = 42


class Entry(NamedTuple):
  """A picture file.

  path: relative to the folder. split: "train", "validation", "test", or "" if yet to be drawn.
  category: the sub-folder of the split that it lies in; "" if it lies loose.
  """

  path: str
  split: str
  category: str


@dataclasses.dataclass(eq=False)
class FolderConfig(tfds.core.BuilderConfig):
  """One folder at one size; `name` changes with any of its files, and so does the prepared set."""

  path: str = ""
  edge: int = 0
  validation_share: float = 0.0
  classes: tuple[str, ...] = ()  # Empty if the pictures are unlabelled.


class ImageFolder(tfds.core.ShardBasedBuilder):
  """RGB pictures of unequal size whose shorter side is the config's edge, in shuffled order."""

  name = "image_folder"
  VERSION = tfds.core.Version("1.0.0")

  def _info(self) -> tfds.core.DatasetInfo:
    features = {"image": tfds.features.Image(encoding_format="jpeg")}
    if self.builder_config.classes:
      features["label"] = tfds.features.ClassLabel(names=self.builder_config.classes)
    return tfds.core.DatasetInfo(
        builder=self,
        description=f"Pictures of {self.builder_config.path}.",
        features=tfds.features.FeaturesDict(features),
    )

  def _shard_iterators_per_split(
      self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, list[Callable[[], Iterator]]]:
    config = self.builder_config
    entries, _ = arrange(find_pictures(config.path))
    _warn_of_oddities(config, entries)
    pieces = [presize.Piece(e.path, os.path.join(config.path, e.path)) for e in entries]
    parts = [
        presize.Part(f"{start:08d}", tuple(pieces[start:start + PICTURES_PER_PART]))
        for start in range(0, len(pieces), PICTURES_PER_PART)
    ]
    title = os.path.basename(config.path)
    shelf = presize.presize(parts, self._work_dir(), config.edge, upright=True, title=title)
    presize.report(shelf, title, self.data_path)
    by_path = {entry.path: entry for entry in entries}
    usable = [by_path[name] for name in shelf.names]
    _check_enough(config.path, entries, usable)
    splits = draw_splits([entry.split for entry in usable], config.validation_share)
    labels = [entry.category for entry in usable] if config.classes else None
    return {split: presize.shards(shelf, indices, labels) for split, indices in splits.items()}

  def _work_dir(self) -> str:
    return presize.work_dir(self.data_dir_root, self.builder_config.name)

  def _post_download_and_prepare_hook(self) -> None:
    presize.discard(self._work_dir())


def config_for(path: str, edge: int, validation_share: float) -> FolderConfig:
  """Looks through a folder of pictures.

  Args:
    path: with train and val or test folders at its top, or without; each with a sub-folder a class
      (at any depth below that) or with all pictures loose, in which case they are unlabelled.
    edge: shorter side of the prepared pictures.
    validation_share: of a folder without splits, the share that is kept for evaluation.

  Raises:
    FileNotFoundError: no such folder.
    ValueError: no path, fewer than two pictures in it, or a share outside 0..1.
  """
  if not path:
    raise ValueError("image_folder has no path: name the folder with your pictures.")
  path = os.path.realpath(os.path.expanduser(path))
  if not os.path.isdir(path):
    raise FileNotFoundError(f"{path} is not a folder: name the one with your pictures.")
  if not 0 < validation_share < 1:
    raise ValueError(f"The validation share is {validation_share}: choose one between 0 and 1.")
  paths = find_pictures(path)
  if len(paths) < 2:
    count = "a single picture" if paths else "no pictures"
    raise ValueError(
        f"{path} holds {count} ({', '.join(codec.EXTENSIONS)}): at least two are needed, to"
        " train on and to evaluate."
    )
  _, classes = arrange(paths)
  name = f"{re.sub(r'[^A-Za-z0-9]+', '_', os.path.basename(path))}-{edge}"
  digest = _fingerprint(path, paths, edge, validation_share)
  return FolderConfig(
      name=f"{name}-{digest}", path=path, edge=edge, validation_share=validation_share,
      classes=classes,
  )


def find_pictures(root: str) -> list[str]:
  """Paths below `root`, relative and sorted, of all files named as pictures; none is opened."""
  found, seen = [], set()
  for directory, folders, files in os.walk(root, followlinks=True):
    real = os.path.realpath(directory)
    if real in seen:  # A link back to a folder above.
      folders.clear()
      continue
    seen.add(real)
    folders[:] = [folder for folder in folders if not folder.startswith(".")]
    found.extend(
        os.path.relpath(os.path.join(directory, file), root) for file in files
        if file.lower().endswith(codec.EXTENSIONS) and not presize.is_hidden(file)
    )
  return sorted(found)


def arrange(paths: Sequence[str]) -> tuple[list[Entry], tuple[str, ...]]:
  """Reads splits and classes off the folders' names; no classes unless every picture has one."""
  tops = [SPLIT_FOLDERS.get(_folders(path)[0].lower(), "") for path in paths]
  present = set(tops)
  if "train" in present and present & {"validation", "test"}:
    entries = [Entry(p, top, _folders(p)[1]) for p, top in zip(paths, tops) if top]
  elif present == {"train"}:  # A lone train folder is no split.
    entries = [Entry(path, "", _folders(path)[1]) for path in paths]
  else:
    entries = [Entry(path, "", _folders(path)[0]) for path in paths]
  classes = sorted({entry.category for entry in entries})
  return entries, tuple(classes) if len(classes) > 1 and "" not in classes else ()


def _folders(path: str) -> tuple[str, str]:
  """The two topmost folders of a relative path, "" where there is none."""
  folders = path.split(os.sep)[:-1]
  return (*folders, "", "")[0], (*folders, "", "")[1]


def _check_enough(path: str, entries: Sequence[Entry], usable: Sequence[Entry]) -> None:
  """Raises ValueError unless every split has a picture that can be opened, and a pool two."""
  for split in dict.fromkeys(entry.split for entry in entries):
    wanted, opened = ([e for e in all_of if e.split == split] for all_of in (entries, usable))
    if len(opened) < (1 if split else 2):
      raise ValueError(
          f"Only {len(opened)} of the {len(wanted)} {split or 'image'} files of {path} can be"
          " opened, too few to train and to evaluate: see what is wrong with the others."
      )


def draw_splits(splits: Sequence[str], validation_share: float) -> dict[str, np.ndarray]:
  """Shuffled positions of the pictures of each split, drawing the splits of those that have none.

  Args:
    splits: of each usable picture, as in Entry; at least two.
    validation_share: of the pictures without split, the share to evaluate on; at least one picture.
  """
  order = np.random.RandomState(SHUFFLE_SEED).permutation(len(splits))
  drawn = {split: order[[splits[i] == split for i in order]] for split in sorted(set(splits))}
  if "" in drawn:
    pool = drawn.pop("")
    held_out = min(max(1, round(validation_share * len(pool))), len(pool) - 1)
    drawn = {"train": pool[held_out:], "validation": pool[:held_out]}
  return drawn


def _warn_of_oddities(config: FolderConfig, entries: Sequence[Entry]) -> None:
  used = {entry.path for entry in entries}
  ignored = [path for path in find_pictures(config.path) if path not in used]
  if ignored:
    logging.warning("%d pictures outside the splits are ignored, such as %s.",
                    len(ignored), ignored[0])
  if not config.classes and any(entry.category for entry in entries):
    logging.warning("Not every picture of %s lies in a class folder of two or more: none is"
                    " labelled.", config.path)
  empty = [d for d, folders, files in os.walk(config.path) if not folders and not files]
  if empty:
    logging.warning("%d empty folders are ignored, such as %s.", len(empty), empty[0])


def _fingerprint(root: str, paths: Sequence[str], edge: int, validation_share: float) -> str:
  """Twelve hexadecimal digits that change with the folder, any file in it, or its preparation."""
  digest = hashlib.sha256(repr((root, edge, validation_share)).encode())
  for path in paths:
    try:
      stat = os.stat(os.path.join(root, path))
      facts = (path, stat.st_size, stat.st_mtime_ns)
    except OSError:  # A link to nowhere: it is going to be skipped and counted.
      facts = (path,)
    digest.update(repr(facts).encode())
  return digest.hexdigest()[:12]

"""TFDS builder of anyone's own pictures: a folder, with or without splits and classes in it."""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import hashlib
import os
import re

import numpy as np
import tensorflow_datasets as tfds

from bigan_jax.data import codec, folders, layout, survey
from bigan_jax.data.builders import presize
from bigan_jax.data.layout import Entry, Layout
from bigan_jax.settings.data import data_section

PICTURES_PER_PART = 256
SHUFFLE_SEED = 42


@dataclasses.dataclass(eq=False)
class FolderConfig(tfds.core.BuilderConfig):
  """One folder at one size; `name` changes with any of its files, and so does the prepared set."""

  path: str = ""
  edge: int = 0
  validation_share: float = 0.0
  classes: tuple[str, ...] = ()  # Empty if the pictures are unlabelled.
  layout: Layout | None = None
  left: tuple[tuple[str, str], ...] = ()  # (path, what it is) of what is not read.
  contents: str = ""  # Changes with the pictures' names and sizes, wherever the folder lies.


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
        description=f"Pictures of {folders.escape(self.builder_config.path)}.",
        features=tfds.features.FeaturesDict(features),
    )

  def _shard_iterators_per_split(
      self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, list[Callable[[], Iterator]]]:
    config = self.builder_config
    entries = config.layout.entries
    pieces = [presize.Piece(e.path, os.path.join(config.path, e.path)) for e in entries]
    parts = [
        presize.Part(f"{start:08d}", tuple(pieces[start:start + PICTURES_PER_PART]))
        for start in range(0, len(pieces), PICTURES_PER_PART)
    ]
    title = folders.escape(os.path.basename(config.path))
    shelf = presize.presize(parts, self._work_dir(), config.edge, upright=True, title=title)
    presize.report(shelf, title, self.data_path)
    presize.list_skipped(config.left, self.data_path)
    by_path = {entry.path: entry for entry in entries}
    usable = [by_path[name] for name in shelf.names]
    _check_enough(config.path, entries, usable)
    splits = draw_splits([entry.split for entry in usable], config.validation_share)
    labels = [folders.escape(e.category) for e in usable] if config.classes else None
    return {split: presize.shards(shelf, indices, labels) for split, indices in splits.items()}

  def _work_dir(self) -> str:
    return presize.work_dir(self.data_dir_root, self.builder_config.name)

  def _post_download_and_prepare_hook(self) -> None:
    presize.discard(self._work_dir())


def config_for(path: str, edge: int, validation_share: float) -> FolderConfig:
  """Looks through a folder of pictures.

  Args:
    path: with folders of the splits or without (see `layout.arrange`); each with a sub-folder a
      class (at any depth below that) or with all pictures loose, in which case they are unlabelled.
    edge: shorter side of the prepared pictures.
    validation_share: of a folder without splits, the share that is kept for evaluation.

  Raises:
    FileNotFoundError: no such folder.
    ValueError: no path, fewer than two pictures in it, a share outside 0..1 or of a folder that has
      splits; and as `layout.arrange`.
  """
  if not path:
    raise ValueError("image_folder has no path: name the folder with your pictures.")
  path = os.path.realpath(os.path.expanduser(path))
  if not os.path.isdir(path):
    kind = "a file: unpack it, and" if os.path.isfile(path) else "not a folder:"
    raise FileNotFoundError(f"{path} is {kind} name the one with your pictures.")
  if not 0 < validation_share < 1:
    raise ValueError(f"The validation share is {validation_share}: choose one between 0 and 1.")
  found = folders.scan(path)
  if len(found.pictures) < 2:
    raise ValueError(_too_few(path, found))
  arranged = layout.arrange(path, found)
  if arranged.splits and validation_share != data_section().validation_share:
    raise ValueError(
        f"config.data.validation_share is {validation_share}, but {folders.escape(path)} has splits"
        " of its own: leave it out."
    )
  left = tuple(found.left + arranged.left)
  digest, contents = _fingerprints(path, found, arranged, edge, validation_share)
  name = f"{re.sub(r'[^A-Za-z0-9]+', '_', os.path.basename(path))}-{edge}-{digest}"
  return FolderConfig(
      name=name, path=path, edge=edge, validation_share=validation_share,
      classes=tuple(map(folders.escape, arranged.classes)), layout=arranged, left=left,
      contents=contents,
  )


def _too_few(path: str, found: folders.Found) -> str:
  """The sentence on a folder with one picture or none."""
  count = "a single picture" if found.pictures else "no pictures"
  left = survey.left_out(found.left, "")
  return (
      f"{folders.escape(path)} holds {count} ({', '.join(codec.EXTENSIONS)})"
      f"{left}: at least two are needed, to train on and to evaluate."
  )


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


def _fingerprints(
    root: str, found: folders.Found, arranged: Layout, edge: int, validation_share: float
) -> tuple[str, str]:
  """(twelve digits that change with any file or its preparation, others with names and sizes).

  Both change with what the folders' names mean, the former only as far as names at the top do not
  tell it: so sets that earlier versions prepared are found.
  """
  digest = hashlib.sha256(repr((root, edge, validation_share)).encode())
  contents = hashlib.sha256(repr((arranged.entries, found.annotations)).encode())
  for path in found.pictures:
    try:
      stat = os.stat(os.path.join(root, path))
      facts = (path, stat.st_size, stat.st_mtime_ns)
    except OSError:  # A link to nowhere: it is going to be skipped and counted.
      facts = (path,)
    digest.update(repr(facts).encode())
    contents.update(repr(facts[:2]).encode())
  left = [item for item in found.left if not item[1].startswith(("folders", folders.EMPTY))]
  if left:
    digest.update(repr(left).encode())
  if not layout.is_plain(arranged):
    digest.update(repr(arranged.entries).encode())
  return digest.hexdigest()[:12], contents.hexdigest()[:12]

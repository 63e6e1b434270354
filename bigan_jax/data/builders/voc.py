"""TFDS builder of PASCAL VOC 2007 and 2012: one kind of example for all of its tasks."""

import collections
from collections.abc import Callable, Iterator, Sequence
import concurrent.futures
import dataclasses
import functools
import glob
import hashlib
import os

from absl import logging
import numpy as np
import tensorflow_datasets as tfds

from bigan_jax.data.builders import devkit, presize, voc_lists
from bigan_jax.machine import progress

PICTURES_PER_SHARD = 1024  # TFDS holds one shard in memory: 110 MB.
OTHER = "other"  # The stored split of pictures that the main task does not use.


@dataclasses.dataclass(eq=False)
class VocConfig(tfds.core.BuilderConfig):
  """One devkit; `name` is the year and changes with any of the devkit's files."""

  year: int = 0
  sources: tuple[str, ...] = ()
  classes: tuple[str, ...] = ()  # that were given; () where the annotations say which


# `skip_registration`: the name is that of a stock builder, which stores other features.
class Voc(tfds.core.ShardBasedBuilder, skip_registration=True):
  """Pictures as VOC encoded them, in the order of its lists, every one stored once.

  The stored splits are the main task's train, val and test; what it does not use but segmentation
  does is in `other`. The metadata say which picture is where and belongs to which list: `lists`
  (task, split -> names), `stored` (stored split -> names, in order), `skipped` (names),
  `classes` (names).
  """

  name = "voc"
  VERSION = tfds.core.Version("1.0.0")

  def _info(self) -> tfds.core.DatasetInfo:
    flags = tfds.features.Tensor(shape=(None,), dtype=np.bool_)
    return tfds.core.DatasetInfo(
        builder=self,
        description="PASCAL VOC: boxes are (x1, y1, x2, y2), first and last pixel counted from 0.",
        features=tfds.features.FeaturesDict({
            "image": tfds.features.Image(encoding_format="jpeg"),
            "name": tfds.features.Text(),
            "boxes": tfds.features.Tensor(shape=(None, 4), dtype=np.float32),
            "labels": tfds.features.Sequence(tfds.features.Scalar(np.int64)),
            "difficult": flags,
            "truncated": flags,
            "mask": tfds.features.Text(),  # A PNG of class indices; empty if not segmented.
        }),
        homepage="http://host.robots.ox.ac.uk/pascal/VOC/",
        metadata=tfds.core.MetadataDict(),
    )

  def _shard_iterators_per_split(
      self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, list[Callable[[], Iterator]]]:
    config = self.builder_config
    kit = devkit.open_devkit(config.sources, config.year)
    lists = voc_lists.read_lists(kit)
    devkit.check_files(kit, lists)
    masked = {name for names in lists["segmentation"].values() for name in names}
    places = place(lists)
    classes = config.classes or devkit.find_classes(kit, list(places), bool(masked))
    known = examine_all(kit, list(places), masked, f"VOC{config.year}", classes)
    stored = {split: [] for split in places.values()}
    for name in known:
      stored[places[name]].append(name)
    stored = {split: names for split, names in stored.items() if names}
    if not stored:
      raise ValueError(f"No picture of {kit.place} can be opened: unpack VOC's tars there again.")
    self.info.metadata.update(
        lists=lists, stored=stored, skipped=[name for name in places if name not in known],
        classes=classes,
    )
    examples = functools.partial(_examples, kit, known, masked)
    return {split: _shards(examples, names) for split, names in stored.items()}


def config_for(year: int, path: str, root: str, classes: str = "") -> VocConfig:
  """Looks for a devkit, or for the set that was prepared from one.

  Args:
    year: 2007 or 2012.
    path: of the devkit, see `devkit.find_sources`. If empty, what is prepared below `root` already,
      else <root>/downloads/manual.
    root: the directory that holds the prepared sets.
    classes: of a devkit of one's own, see `own_classes`.

  Raises:
    ValueError: another year; several sets are prepared and no path says which.
    FileNotFoundError: there is no devkit.
  """
  if year not in devkit.TARS:
    years = " and ".join(map(str, devkit.TARS))
    raise ValueError(f"VOC{year} is not known here: choose from {years}.")
  pattern = os.path.join(glob.escape(root), Voc.name, f"{year}-*", str(Voc.VERSION))
  prepared = [] if path else glob.glob(pattern)
  if len(prepared) > 1:
    raise ValueError(f"Several VOC{year} are prepared under {root}: name the devkit by its path.")
  if prepared:
    name = os.path.basename(os.path.dirname(prepared[0]))
    return VocConfig(name=name, year=year, classes=own_classes(classes))
  sources = devkit.find_sources(path or os.path.join(root, "downloads", "manual"), year)
  given = own_classes(classes)
  facts = repr(devkit.stats(sources)) + (repr(given) if given else "")
  digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
  return VocConfig(name=f"{year}-{digest}", year=year, sources=tuple(sources), classes=given)


def own_classes(given: str) -> tuple[str, ...]:
  """The classes that a comma list names, or a file, a line each; () if none are given.

  Raises:
    ValueError: one is named twice.
  """
  path = os.path.expanduser(given)
  if given and os.path.isfile(path):
    with open(path, encoding="utf-8-sig") as file:
      given = file.read().replace("\n", ",")
  names = tuple(name.strip().lower() for name in given.split(",") if name.strip())
  if len(set(names)) < len(names):
    raise ValueError(f"config.data.classes is {given!r}, which names a class twice.")
  return names


def place(lists: devkit.Lists) -> dict[str, str]:
  """{name: stored split} of every picture that is listed anywhere."""
  places = {name: split for split in ("train", "val", "test")
            for name in lists["main"].get(split, ())}
  for names in (names for found in lists.values() for names in found.values()):
    for name in names:
      places.setdefault(name, OTHER)
  return places


def examine_all(
    kit: devkit.Devkit, names: Sequence[str], masked: set[str], title: str,
    classes: tuple[str, ...],
) -> dict[str, devkit.Picture]:
  """{name: what is known of it} of all pictures that can be decoded; tells how many cannot.

  Raises:
    ValueError: see `devkit.examine`.
  """
  with concurrent.futures.ThreadPoolExecutor(presize.cores()) as pool:
    found = pool.map(lambda name: devkit.examine(kit, name, name in masked, classes), names)
    pictures = dict(zip(names, progress.over(found, len(names), title, " pictures")))
  skipped = [name for name, picture in pictures.items() if picture is None]
  if skipped:
    logging.warning("%s: skipped %d of %d pictures that cannot be decoded, such as %s.", title,
                    len(skipped), len(names), ", ".join(skipped[:presize.NAMED_IN_LOG]))
  known = {name: picture for name, picture in pictures.items() if picture is not None}
  clipped = collections.Counter({name: picture.clipped for name, picture in known.items()})
  if count := clipped.total():
    logging.warning("%s: %d boxes reached beyond their pictures and were cut to them, such as in"
                    " %s.", title, count, clipped.most_common(1)[0][0])
  return known


def _shards(
    examples: Callable[[Sequence[str], int], Iterator], names: Sequence[str]
) -> list[Callable[[], Iterator]]:
  starts = range(0, len(names), PICTURES_PER_SHARD)
  return [functools.partial(examples, names[s:s + PICTURES_PER_SHARD], s) for s in starts]


def _examples(
    kit: devkit.Devkit, known: dict[str, devkit.Picture], masked: set[str], names: Sequence[str],
    start: int,
) -> Iterator:
  for key, name in enumerate(names, start):
    picture = known[name]
    yield key, {
        "image": kit.read(kit.picture(name)),
        "name": name,
        "boxes": picture.boxes,
        "labels": picture.labels,
        "difficult": picture.difficult,
        "truncated": picture.truncated,
        "mask": kit.read(devkit.mask_path(name)) if name in masked else b"",
    }

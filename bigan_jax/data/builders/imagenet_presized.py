"""TFDS builder of ImageNet (ILSVRC2012) at a small size, from the tars or folders people have."""

from collections.abc import Callable, Iterator
import functools
import hashlib
import os
import re
import tarfile

from absl import logging
import tensorflow_datasets as tfds

from bigan_jax.data.builders import presize

TRAIN_TAR = "ILSVRC2012_img_train.tar"
VALIDATION_TAR = "ILSVRC2012_img_val.tar"
SOURCES = {"train": (TRAIN_TAR, "train"), "validation": (VALIDATION_TAR, "val", "validation")}
WNID = re.compile(r"n\d{8}")
VALIDATION_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})")
NUM_CLASSES = 1000
NUM_VALIDATION = 50_000
PICTURES_PER_PART = 1000  # As many as a class of the training set has, roughly.


class ImagenetPresized(tfds.core.ShardBasedBuilder):
  """RGB pictures whose shorter side is the config's name in pixels, stored class by class.

  Labels are 0..999 in the order of the sorted WordNet ids, as everywhere. The validation set is in
  the order of its file names. For a subset of the training set take the first labels (`max_labels`
  of sources.load): a part such as train[:10%] holds whole classes.
  """

  name = "imagenet_presized"
  VERSION = tfds.core.Version("1.0.0")
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put {TRAIN_TAR} and {VALIDATION_TAR} there."
  BUILDER_CONFIGS = [
      tfds.core.BuilderConfig(name="72", description="For crops of 64."),
      tfds.core.BuilderConfig(name="128", description="For crops of 112."),
  ]

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
        builder=self,
        description=f"ILSVRC2012, shorter side {self.builder_config.name} pixels.",
        features=tfds.features.FeaturesDict({
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=wnids()),
        }),
        supervised_keys=("image", "label"),
        homepage="https://image-net.org/",
    )

  def _shard_iterators_per_split(
      self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, list[Callable[[], Iterator]]]:
    sources = find_sources(os.fspath(dl_manager.manual_dir))
    self._work_dir = presize.work_dir(self.data_dir_root, self._work_name(sources))
    return {split: self._split(split, find_parts(split, sources[split])) for split in sources}

  def _split(self, split: str, parts: list[presize.Part]) -> list[Callable[[], Iterator]]:
    title = f"ImageNet {split}"
    directory = os.path.join(self._work_dir, split)
    edge = int(self.builder_config.name)
    shelf = presize.presize(parts, directory, edge, upright=False, title=title)
    presize.report(shelf, title, self.data_path)
    labels = [label_of(parts[part].name, name) for part, name in zip(shelf.parts, shelf.names)]
    if not labels:
      raise ValueError(f"No picture of the {title} set can be opened: download it again.")
    return presize.shards(shelf, range(len(labels)), labels)

  def _work_name(self, sources: dict[str, str]) -> str:
    """Changes with the sources, so that a work folder is never taken for another source's."""
    stats = [(os.path.realpath(path), os.stat(path)) for path in sources.values()]
    key = [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:12]
    return f"{self.name}-{self.builder_config.name}-{digest}"

  def _post_download_and_prepare_hook(self) -> None:
    presize.discard(self._work_dir)


def config_for(edge: int) -> tfds.core.BuilderConfig:
  """The stated config of an edge, or one made for it."""
  stated = {config.name: config for config in ImagenetPresized.BUILDER_CONFIGS}
  return stated.get(str(edge)) or tfds.core.BuilderConfig(name=str(edge))


def find_sources(folder: str) -> dict[str, str]:
  """{"train": path, "validation": path} of the tars, or else the unpacked folders, in `folder`.

  Raises:
    FileNotFoundError: one of them is missing.
  """
  sources = {}
  for split, names in SOURCES.items():
    paths = [os.path.join(folder, name) for name in names]
    sources[split] = next((path for path in paths if os.path.exists(path)), None)
  missing = [SOURCES[split][:2] for split, path in sources.items() if path is None]
  if missing:
    wanted = " and ".join(f"{tar} (or the pictures in {name}/)" for tar, name in missing)
    raise FileNotFoundError(
        f"{folder} lacks {wanted}: put them there, or name the folder that holds ImageNet by its"
        " path; image-net.org gives them to registered users."
    )
  return sources


def find_parts(split: str, source: str) -> list[presize.Part]:
  """The work to do, class by class; the flat validation set in stretches of 1,000 pictures.

  Raises:
    ValueError: `source` is not what its name says.
  """
  if os.path.isdir(source):
    by_class = _class_folders(source)
    flat = [] if by_class else _flat_folder(source)
  else:
    members = _tar_members(source)
    by_class = _class_tars(members) if split == "train" else []
    flat = members if split == "validation" else []
  if split == "validation" and not by_class:
    return _validation_parts(source, flat)
  _check_classes(source, by_class)
  return by_class


def label_of(part: str, picture: str) -> int:
  """The label 0..999 of a picture, by the class that its part is named after or by its number."""
  if WNID.fullmatch(part):
    return labels_by_wnid()[part]
  return validation_labels()[int(VALIDATION_NUMBER.search(picture)[1]) - 1]


@functools.cache
def wnids() -> list[str]:
  """The 1,000 WordNet ids, sorted: their positions are the labels."""
  return (tfds.core.tfds_path() / "datasets/imagenet2012/labels.txt").read_text().split()


@functools.cache
def labels_by_wnid() -> dict[str, int]:
  """{"n01440764": 0, ...}."""
  return {wnid: label for label, wnid in enumerate(wnids())}


@functools.cache
def validation_labels() -> list[int]:
  """Labels of validation pictures 1..50,000, from the list that TFDS ships."""
  path = tfds.core.tfds_path() / "datasets/imagenet2012/validation_labels.txt"
  return [labels_by_wnid()[wnid] for wnid in path.read_text().split()]


def _tar_members(path: str) -> list[presize.Piece]:
  try:
    with tarfile.open(path, "r:") as tar:
      return [
          presize.Piece(member.name, path, member.offset_data, member.size)
          for member in tar if member.isfile() and not presize.is_hidden(member.name)
      ]
  except (tarfile.TarError, OSError) as error:
    raise ValueError(f"{path} is not a whole tar ({error}): download it again.") from error


def _class_tars(members: list[presize.Piece]) -> list[presize.Part]:
  found = []
  for member in sorted(members):
    wnid = WNID.search(os.path.basename(member.name))
    if wnid and member.name.endswith(".tar"):
      found.append(presize.Part(wnid[0], (member._replace(is_tar=True),)))
  return found


def _class_folders(folder: str) -> list[presize.Part]:
  return [
      presize.Part(name, tuple(_flat_folder(os.path.join(folder, name))))
      for name in sorted(os.listdir(folder))
      if WNID.fullmatch(name) and os.path.isdir(os.path.join(folder, name))
  ]


def _flat_folder(folder: str) -> list[presize.Piece]:
  paths = [entry.path for entry in os.scandir(folder) if entry.is_file()]
  return [
      presize.Piece(os.path.basename(path), path) for path in sorted(paths)
      if not presize.is_hidden(path)
  ]


def _validation_parts(source: str, pieces: list[presize.Piece]) -> list[presize.Part]:
  """Pictures sorted by their numbers, by which their labels are known; others cannot be used."""
  numbered = [piece for piece in pieces if _number(piece.name)]
  if not numbered:
    raise ValueError(
        f"{source} holds no pictures such as ILSVRC2012_val_00000001.JPEG: it is not ImageNet's"
        " validation set."
    )
  if len(numbered) < len(pieces):
    logging.warning("%s: ignored %d files that have no validation number in their name.",
                    source, len(pieces) - len(numbered))
  numbered.sort(key=lambda piece: _number(piece.name))
  return [
      presize.Part(f"{start:05d}", tuple(numbered[start:start + PICTURES_PER_PART]))
      for start in range(0, len(numbered), PICTURES_PER_PART)
  ]


def _number(name: str) -> int:
  """The number 1..50,000 in a validation picture's name, 0 if it has none."""
  match = VALIDATION_NUMBER.search(os.path.basename(name))
  return int(match[1]) if match and 1 <= int(match[1]) <= NUM_VALIDATION else 0


def _check_classes(source: str, parts: list[presize.Part]) -> None:
  unknown = [part.name for part in parts if part.name not in labels_by_wnid()]
  if unknown or not parts:
    found = f"class {unknown[0]}, which is none of its 1,000" if unknown else "no classes"
    raise ValueError(
        f"{source} holds {found}: it is not ImageNet's (ILSVRC2012), which has n01440764"
        " and so on, a tar or a folder each."
    )
  if len(parts) < NUM_CLASSES:
    logging.warning("%s holds %d of ImageNet's 1,000 classes.", source, len(parts))

"""Finds a prepared data set on disk, or prepares it, and refuses one that is damaged."""

from collections.abc import Iterator
import contextlib
import glob
import io
import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from absl import logging

from bigan_jax.data import downloads, named, prepared

if TYPE_CHECKING:
  # TFDS takes most of a second to import, which `--help` need not pay: functions import it.
  import tensorflow_datasets as tfds

DEFAULT_DATA_DIR = "~/tensorflow_datasets"
PICTURES = ("image_folder", "imagenet_presized")  # RGB, kept resized to an edge.
NAMES = ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100", *PICTURES)


class Target(NamedTuple):
  """A builder yet to be made: its class and, where it has several configs, which."""

  cls: type
  config: "tfds.core.BuilderConfig | None" = None

  def directory(self, root: str) -> str:
    """Where the prepared set lies below `root`."""
    config = [self.config.name] if self.config else []
    return os.path.join(root, self.cls.name, *config, str(self.cls.VERSION))

  def build(self, root: str) -> "tfds.core.DatasetBuilder":
    """The builder, prepared or not; TFDS warns of any config made on the fly, to no purpose."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
      return self.cls(data_dir=root, config=self.config, file_format="array_record")
    finally:
      logging.set_verbosity(verbosity)


def find_or_prepare(
    name: str, data_dir: str = "", path: str = "", edge: int = 0, validation_share: float = 0.1
) -> "tfds.core.DatasetBuilder":
  """A TFDS builder whose files are complete and in ArrayRecord.

  Args:
    name: one of PICTURES, or a set of TFDS, NAME/CONFIG:VERSION: used as it lies prepared, whoever
      prepared it; else prepared by a builder of this project, or by TFDS's own.
    data_dir: parent of the prepared sets; if empty, $TFDS_DATA_DIR, else ~/tensorflow_datasets.
    path: the folder of pictures of image_folder; the folder with the tars of imagenet_presized,
      if it has to be prepared and they are not in <data_dir>/downloads/manual.
    edge: shorter side of PICTURES, in pixels.
    validation_share: of an image_folder without splits, what is kept for evaluation.

  Raises:
    ValueError: unknown name, config or version; a prepared directory that is incomplete, damaged
      or not ArrayRecord; no edge; a folder or tar with other contents than expected.
    FileNotFoundError: not prepared, and what it would be prepared from is not there.
    OSError: nowhere to write the prepared set.
  """
  from bigan_jax.data.builders import image_folder, imagenet_presized

  root = data_root(data_dir)
  if name not in PICTURES:
    spec = named.parse(name)
    return _find_or_prepare_digits(spec, root) if name == "digits" else (
        _find_or_prepare_named(spec, root)
    )
  if edge < 1:
    raise ValueError(f"The edge of {name} is {edge}: state the shorter side in pixels, such as 72.")
  if name == "image_folder":
    config = image_folder.config_for(path, edge, validation_share)
    target = Target(image_folder.ImageFolder, config)
  else:
    target = Target(imagenet_presized.ImagenetPresized, imagenet_presized.config_for(edge))
  return _find(target, root) or _prepare_pictures(target, root, path)


def find_or_prepare_voc(
    year: int, data_dir: str = "", path: str = "", classes: str = ""
) -> "tfds.core.DatasetBuilder":
  """PASCAL VOC of a year, likewise.

  Args:
    year, path, classes: see `builders.voc.config_for`. data_dir: see `find_or_prepare`.

  Raises:
    ValueError: another year; several sets are prepared and no path says which; a damaged devkit.
    FileNotFoundError: not prepared, and no devkit there.
    OSError: a devkit that lacks files; nowhere to write the prepared set.
  """
  from bigan_jax.data.builders import voc

  root = data_root(data_dir)
  target = Target(voc.Voc, voc.config_for(year, os.path.expanduser(path), root, classes))
  return _find(target, root) or _prepare_pictures(target, root, path)


def data_root(data_dir: str) -> str:
  """The directory that holds the prepared sets, `~` expanded."""
  return os.path.expanduser(data_dir or os.environ.get("TFDS_DATA_DIR", "") or DEFAULT_DATA_DIR)


def _own() -> dict[str, type]:
  """Builders of sets that come from a package or the network, by name."""
  from bigan_jax.data.builders import cifar, digits, mnist

  classes = (digits.Digits, mnist.Mnist, mnist.FashionMnist, cifar.Cifar10, cifar.Cifar100)
  return {cls.name: cls for cls in classes}


def _find_or_prepare_named(spec: named.Spec, root: str) -> "tfds.core.DatasetBuilder":
  """A set that lies prepared, whoever prepared it; else one of ours or of TFDS."""
  if found := _find_named(spec, root):
    return found
  cls = _own().get(spec.name)
  if cls:
    downloads.own(cls, spec, root, lambda manual: _prepare(Target(cls), root, manual))
  else:
    downloads.stock(spec, root, NAMES)
  return _find_named(spec, root)


def _find_named(spec: named.Spec, root: str) -> "tfds.core.DatasetBuilder | None":
  return prepared.read(named.find(spec, root), spec.name)


def _find(target: Target, root: str) -> "tfds.core.DatasetBuilder | None":
  """The builder of the set prepared under `root`; None if there is none."""
  return prepared.find(target.directory(root), target.cls.name, lambda: target.build(root))


def _prepare(target: Target, root: str, manual_dir: str = "") -> "tfds.core.DatasetBuilder":
  """Prepares under `root` and returns the builder.

  TFDS writes into a directory of its own and renames it at the end, so a prepared set is never
  half visible, and of two processes the later one fails to rename and takes the other's.
  """
  import tensorflow_datasets as tfds

  config = tfds.download.DownloadConfig(manual_dir=manual_dir or None)
  try:
    target.build(root).download_and_prepare(download_config=config)
  except (OSError, RuntimeError):  # The latter is ArrayRecord's.
    if found := _find(target, root):
      return found
    raise
  return _find(target, root)


def _find_or_prepare_digits(spec: named.Spec, root: str) -> "tfds.core.DatasetBuilder":
  """Digits come with scikit-learn: silent, and in the default place if `root` is read-only."""
  roots = dict.fromkeys([root, os.path.expanduser(DEFAULT_DATA_DIR)])
  target, reasons = Target(_own()["digits"]), []
  for directory in roots:
    try:
      with _silence():
        return _find_named(spec, directory) or _prepare(target, directory)
    except OSError as error:
      reasons.append(f"{directory} ({error.strerror or error})")
      logging.info("Cannot prepare digits under %s.", reasons[-1])
  raise OSError(
      f"digits cannot be prepared under {' or '.join(reasons)}: name a writable directory by"
      " data_dir or TFDS_DATA_DIR."
  )


@contextlib.contextmanager
def _silence() -> Iterator[None]:
  """Without the progress bars and printed lines of TFDS."""
  import tensorflow_datasets as tfds

  tfds.disable_progress_bar()
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    tfds.enable_progress_bar()


def _prepare_pictures(target: Target, root: str, path: str) -> "tfds.core.DatasetBuilder":
  """Prepares image_folder or imagenet_presized, which resize for as long as it takes."""
  from bigan_jax.data.builders import presize

  name = target.cls.name
  source = os.path.expanduser(path or os.path.join(root, "downloads", "manual"))
  if name == "imagenet_presized":
    _check_imagenet(target, root, source)
  try:
    with _silence():  # The builders show a progress bar of their own.
      builder = _prepare(target, root, source)
  except OSError as error:
    raise _failure(name, root, error) from error
  # What killed preparations left behind, which may be gigabytes; a living one takes ours instead.
  parent, version = os.path.split(target.directory(root))
  for left in glob.glob(os.path.join(glob.escape(parent), f"incomplete.*_{version}")):
    shutil.rmtree(left, ignore_errors=True)
  presize.tell_of_copy(name, target.directory(root), source)
  return builder


def _check_imagenet(target: Target, root: str, source: str) -> None:
  from bigan_jax.data.builders import imagenet_presized

  prepared = os.path.join(root, target.cls.name)
  edges = [e for e in os.listdir(prepared) if e.isdigit()] if os.path.isdir(prepared) else []
  others = f" (but at {', '.join(sorted(edges))})" if edges else ""
  try:
    imagenet_presized.find_sources(source)
  except FileNotFoundError as error:
    raise FileNotFoundError(
        f"{target.cls.name} is not prepared at edge {target.config.name} under {root}{others}, and"
        f" {error}"
    ) from error


def _failure(name: str, root: str, error: Exception) -> OSError:
  reason = " ".join(str(error).split())
  return OSError(f"Preparing {name} under {root} failed: {reason}")


"""Finds a prepared data set on disk, or prepares it, and refuses one that is damaged."""

from collections.abc import Iterator
import contextlib
import difflib
import glob
import http.client
import io
import json
import os
import shutil
import threading
from typing import TYPE_CHECKING, NamedTuple
import urllib.request

from absl import logging

if TYPE_CHECKING:
  # TFDS takes most of a second to import, which `--help` need not pay: functions import it.
  import tensorflow_datasets as tfds

DEFAULT_DATA_DIR = "~/tensorflow_datasets"
DOWNLOADED = ("mnist", "fashion_mnist")
PICTURES = ("image_folder", "imagenet_presized")  # RGB, of unequal size, resized to an edge.
NAMES = ("digits", *DOWNLOADED, *PICTURES)
PROBE_SECONDS = 5.0


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
    name: one of NAMES.
    data_dir: parent of the prepared sets; if empty, $TFDS_DATA_DIR, else ~/tensorflow_datasets.
    path: the folder of pictures of image_folder; the folder with the tars of imagenet_presized,
      if it has to be prepared and they are not in <data_dir>/downloads/manual.
    edge: shorter side of PICTURES, in pixels.
    validation_share: of an image_folder without splits, what is kept for evaluation.

  Raises:
    ValueError: unknown name; a prepared directory that is incomplete, damaged or not ArrayRecord;
      no edge; a folder or tar with other contents than expected.
    FileNotFoundError: not prepared, and what it would be prepared from is not there.
    OSError: nowhere to write the prepared set.
  """
  if name not in NAMES:
    known = ", ".join(NAMES)
    raise ValueError(f"No data set is called {name!r}{_hint(name)}: choose from {known}.")
  if name in PICTURES and edge < 1:
    raise ValueError(f"The edge of {name} is {edge}: state the shorter side in pixels, such as 72.")
  root = data_root(data_dir)
  target = _target(name, path, edge, validation_share)
  if name == "digits":
    return _find_or_prepare_digits(target, root)
  if found := _find(target, root):
    return found
  if name in DOWNLOADED:
    return _prepare_downloaded(target, root)
  return _prepare_pictures(target, root, path)


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


def _hint(name: str) -> str:
  close = difflib.get_close_matches(name, NAMES, n=1)
  return f" (did you mean {close[0]!r}?)" if close else ""


def _target(name: str, path: str, edge: int, validation_share: float) -> Target:
  from bigan_jax.data.builders import digits, image_folder, imagenet_presized, mnist

  if name == "image_folder":
    return Target(
        image_folder.ImageFolder, image_folder.config_for(path, edge, validation_share)
    )
  if name == "imagenet_presized":
    return Target(imagenet_presized.ImagenetPresized, imagenet_presized.config_for(edge))
  return Target({
      "digits": digits.Digits, "mnist": mnist.Mnist, "fashion_mnist": mnist.FashionMnist,
  }[name])


def _find(target: Target, root: str) -> "tfds.core.DatasetBuilder | None":
  """The builder of the set prepared under `root`; None if there is none."""
  directory = target.directory(root)
  if not os.path.isdir(directory):
    return None
  damage = _damage(directory)
  if not damage:
    builder = target.build(root)
    paths = [path for split in builder.info.splits.values() for path in split.filepaths]
    damage = next((f"lacks {path.name}" for path in paths if not path.exists()), "")
  if damage:
    raise ValueError(
        f"The prepared {target.cls.name} at {directory} {damage}: delete or complete that"
        " directory, or name another one by data_dir."
    )
  return builder


def _damage(directory: str) -> str:
  """What is wrong with the description of a prepared set, as the predicate of a sentence."""
  try:
    with open(os.path.join(directory, "dataset_info.json"), encoding="utf-8") as file:
      info = json.load(file)
  except FileNotFoundError:
    return "is unfinished (it lacks dataset_info.json)"
  except ValueError:
    return "has a damaged dataset_info.json"
  if not info.get("splits"):
    return "holds no splits"
  if info.get("fileFormat") != "array_record":
    return f"is in {info.get('fileFormat')} format, not the array_record that is read here"
  return ""


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


def _find_or_prepare_digits(target: Target, root: str) -> "tfds.core.DatasetBuilder":
  """Digits come with scikit-learn: silent, and in the default place if `root` is read-only."""
  roots = dict.fromkeys([root, os.path.expanduser(DEFAULT_DATA_DIR)])
  reasons = []
  for directory in roots:
    try:
      with _silence():
        return _find(target, directory) or _prepare(target, directory)
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


def _prepare_downloaded(target: Target, root: str) -> "tfds.core.DatasetBuilder":
  """Prepares from the files in <root>/downloads/manual if all are there, else downloads them."""
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

  from bigan_jax.data.builders import mnist

  name, url, manual = target.cls.name, target.cls.URL, os.path.join(root, "downloads", "manual")
  given = all(os.path.exists(os.path.join(manual, file)) for file in mnist.FILES)
  if not given and not can_reach(url + mnist.FILES[-1]):
    raise FileNotFoundError(
        f"{name} is not prepared under {root} and {url} cannot be reached: name the parent of a"
        f" prepared {name}/{target.cls.VERSION} by data_dir or TFDS_DATA_DIR, or put"
        f" {', '.join(mnist.FILES)} into {manual}."
    )
  try:
    return _prepare(target, root, manual)
  except (OSError, ValueError, tfds.download.DownloadError, NonMatchingChecksumError) as error:
    raise _failure(name, root, error) from error


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


def can_reach(url: str, seconds: float = PROBE_SECONDS) -> bool:
  """Whether a HEAD request of `url` succeeds within `seconds`, name resolution included.

  TFDS itself retries for minutes when offline. The thread is there because a resolver without a
  network blocks longer than any socket timeout.
  """
  answers = []

  def ask() -> None:
    request = urllib.request.Request(url, method="HEAD")
    with contextlib.suppress(OSError, http.client.HTTPException):
      with urllib.request.urlopen(request, timeout=seconds):
        answers.append(True)

  thread = threading.Thread(target=ask, daemon=True)
  thread.start()
  thread.join(seconds)
  return bool(answers)

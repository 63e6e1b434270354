"""Finds a prepared data set on disk, or prepares it, and refuses one that is damaged."""

import contextlib
import difflib
import http.client
import io
import json
import os
import threading
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

from absl import logging

if TYPE_CHECKING:
  # TFDS takes most of a second to import, which `--help` need not pay: functions import it.
  import tensorflow_datasets as tfds

DEFAULT_DATA_DIR = "~/tensorflow_datasets"
DOWNLOADED = ("mnist", "fashion_mnist")
NAMES = ("digits", *DOWNLOADED)
PROBE_SECONDS = 5.0


def find_or_prepare(name: str, data_dir: str = "") -> "tfds.core.DatasetBuilder":
  """A TFDS builder whose files are complete and in ArrayRecord.

  Args:
    name: one of NAMES.
    data_dir: parent of the prepared sets; if empty, $TFDS_DATA_DIR, else ~/tensorflow_datasets.

  Raises:
    ValueError: unknown name; a prepared directory that is incomplete, damaged or not ArrayRecord.
    FileNotFoundError: not prepared, and the download cannot be reached.
    OSError: nowhere to write the prepared set.
  """
  if name not in NAMES:
    known = ", ".join(NAMES)
    raise ValueError(f"No data set is called {name!r}{_hint(name)}: choose from {known}.")
  root = data_root(data_dir)
  if name == "digits":
    return _find_or_prepare_digits(root)
  return _find(name, root) or _prepare_downloaded(name, root)


def data_root(data_dir: str) -> str:
  """The directory that holds the prepared sets, `~` expanded."""
  return os.path.expanduser(data_dir or os.environ.get("TFDS_DATA_DIR", "") or DEFAULT_DATA_DIR)


def _hint(name: str) -> str:
  close = difflib.get_close_matches(name, NAMES, n=1)
  return f" (did you mean {close[0]!r}?)" if close else ""


def _builder_class(name: str) -> type:
  from bigan_jax.data.builders import digits, mnist

  return {
      "digits": digits.Digits,
      "mnist": mnist.Mnist,
      "fashion_mnist": mnist.FashionMnist,
  }[name]


def _find(name: str, root: str) -> "tfds.core.DatasetBuilder | None":
  """The builder of the set prepared under `root`; None if there is none."""
  cls = _builder_class(name)
  directory = os.path.join(root, name, str(cls.VERSION))
  if not os.path.isdir(directory):
    return None
  damage = _damage(directory)
  if not damage:
    builder = cls(data_dir=root, file_format="array_record")
    paths = [path for split in builder.info.splits.values() for path in split.filepaths]
    damage = next((f"lacks {path.name}" for path in paths if not path.exists()), "")
  if damage:
    raise ValueError(
        f"The prepared {name} at {directory} {damage}: delete or complete that directory, or name"
        " another one by data_dir."
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


def _prepare(name: str, root: str, download_config: object = None) -> "tfds.core.DatasetBuilder":
  """Prepares under `root` and returns the builder.

  TFDS writes into a directory of its own and renames it at the end, so a prepared set is never
  half visible, and of two processes the later one fails to rename and takes the other's.
  """
  builder = _builder_class(name)(data_dir=root, file_format="array_record")
  try:
    builder.download_and_prepare(download_config=download_config)
  except OSError:
    if found := _find(name, root):
      return found
    raise
  return _find(name, root)


def _find_or_prepare_digits(root: str) -> "tfds.core.DatasetBuilder":
  """Digits come with scikit-learn: silent, and in the default place if `root` is read-only."""
  roots = dict.fromkeys([root, os.path.expanduser(DEFAULT_DATA_DIR)])
  found = next(filter(None, (_find("digits", directory) for directory in roots)), None)
  if found:
    return found
  reasons = []
  for directory in roots:
    try:
      with _silence():
        return _prepare("digits", directory)
    except OSError as error:
      reasons.append(f"{directory} ({error.strerror or error})")
      logging.info("Cannot prepare digits under %s.", reasons[-1])
  raise OSError(
      f"digits cannot be prepared under {' or '.join(reasons)}: name a writable directory by"
      " data_dir or TFDS_DATA_DIR."
  )


@contextlib.contextmanager
def _silence() -> Iterator[None]:
  """No progress bars and no printed lines of TFDS for a preparation of a second."""
  import tensorflow_datasets as tfds

  tfds.disable_progress_bar()
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    tfds.enable_progress_bar()


def _prepare_downloaded(name: str, root: str) -> "tfds.core.DatasetBuilder":
  """Prepares from the files in <root>/downloads/manual if all are there, else downloads them."""
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

  from bigan_jax.data.builders import mnist

  manual = os.path.join(root, "downloads", "manual")
  url = _builder_class(name).URL
  given = all(os.path.exists(os.path.join(manual, file)) for file in mnist.FILES)
  if not given and not can_reach(url + mnist.FILES[-1]):
    raise FileNotFoundError(
        f"{name} is not prepared under {root} and {url} cannot be reached: name the parent of a"
        f" prepared {name}/{_builder_class(name).VERSION} by data_dir or TFDS_DATA_DIR, or put"
        f" {', '.join(mnist.FILES)} into {manual}."
    )
  config = tfds.download.DownloadConfig(manual_dir=manual)
  try:
    return _prepare(name, root, config)
  except (OSError, ValueError, tfds.download.DownloadError, NonMatchingChecksumError) as error:
    reason = " ".join(str(error).split())
    raise OSError(f"Preparing {name} under {root} failed: {reason}") from error


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

"""Prepares sets that come from the network, or from files that were put into downloads/manual."""

from collections.abc import Callable, Iterator
import contextlib
import difflib
import http.client
import io
import os
import threading
import urllib.request

from bigan_jax.data import named, prepared

PROBE_SECONDS = 5.0
Prepare = Callable[[str], None]  # the folder of files that were put there -> a prepared set


def own(cls: type, spec: named.Spec, root: str, prepare: Prepare) -> None:
  """Prepares a set of this project's builders from <root>/downloads/manual, else downloads it.

  Raises:
    ValueError: another version or a config is asked for. FileNotFoundError: offline, and not all
    files are there. OSError: a damaged download; nowhere to write.
  """
  version, manual = str(cls.VERSION), os.path.join(root, "downloads", "manual")
  if spec.config or spec.version not in ("", version):
    raise ValueError(
        f"{spec} is not prepared under {root}, and here {spec.name} is prepared as"
        f" {spec.name}:{version} alone: ask for that."
    )
  urls = cls.urls()
  files = [url.rpartition("/")[2] for url in urls]
  given = all(os.path.exists(os.path.join(manual, file)) for file in files)
  if not given and not can_reach(urls[-1]):
    raise FileNotFoundError(
        f"{spec.name} is not prepared under {root} and {os.path.dirname(urls[-1])}/ cannot be"
        f" reached: name the parent of a prepared {spec.name}/{version} by data_dir or"
        f" TFDS_DATA_DIR, or put {', '.join(files)} into {manual}."
    )
  with _failures(spec, root):
    prepare(manual)


def stock(spec: named.Spec, root: str, known: tuple[str, ...]) -> None:
  """Prepares a set by TFDS's own builder, if that does without TensorFlow.

  Args:
    known: names of this project's sets, for the error message.

  Raises:
    ValueError: no such set, or not of pictures. FileNotFoundError: it cannot be prepared here; the
    message says how to prepare it elsewhere.
  """
  import tensorflow_datasets as tfds

  names = tfds.list_builders(with_community_datasets=False)
  if spec.name not in names:
    there = os.listdir(root) if os.path.isdir(root) else []
    close = difflib.get_close_matches(spec.name, [*known, *there, *names], n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(
        f"No data set is called {spec.name!r}{hint}: choose from {', '.join(known)}, or name one of"
        f" TFDS or a set that lies prepared under {root}."
    )
  with _or_elsewhere(spec, root):
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints that there is no TensorFlow.
      builder = tfds.builder(str(spec), data_dir=root, file_format="array_record")
  named.contents(builder)
  with _or_elsewhere(spec, root):
    url = next(iter(builder.url_infos or ()), "")
    if url and not can_reach(url):
      raise FileNotFoundError(f"{url} cannot be reached")
    builder.download_and_prepare()


@contextlib.contextmanager
def _or_elsewhere(spec: named.Spec, root: str) -> Iterator[None]:
  """Turns whatever TFDS's builders raise into one sentence: how to prepare the set elsewhere."""
  try:
    yield
  except Exception as error:  # Builders of 245 sets raise whatever their authors did not foresee.
    reason = " ".join(str(error).split())[:400] or type(error).__name__
    raise FileNotFoundError(
        f"{spec} is not prepared under {root} and cannot be prepared here ({reason}): prepare it"
        f" where TensorFlow and a network are, by `{prepared.BUILD.format(spec)}`, and put its"
        f" folder {spec.name} into {root}."
    ) from error


@contextlib.contextmanager
def _failures(spec: named.Spec, root: str) -> Iterator[None]:
  """Turns what preparing raises into one sentence."""
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

  try:
    yield
  except (OSError, ValueError, tfds.download.DownloadError, NonMatchingChecksumError) as error:
    reason = " ".join(str(error).split())
    raise OSError(f"Preparing {spec.name} under {root} failed: {reason}") from error


def can_reach(url: str, seconds: float = PROBE_SECONDS) -> bool:
  """Whether a HEAD request of `url` succeeds within `seconds`, name resolution included.

  TFDS itself retries for minutes when offline. The thread is there because a resolver without a
  network blocks longer than any socket timeout.
  """
  answers = []

  def ask() -> None:
    request = urllib.request.Request(url, method="HEAD")
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
      with urllib.request.urlopen(request, timeout=seconds):
        answers.append(True)

  thread = threading.Thread(target=ask, daemon=True)
  thread.start()
  thread.join(seconds)
  return bool(answers)

"""Shrinks many pictures over processes into a work folder, part by part: a kill loses little.

A finished part is two files: NAME.bin holds its pictures one after the other, NAME.json says which.
The latter is renamed into place last; what it does not name is done again by the next run.
"""

import collections
from collections.abc import Callable, Iterator, Sequence
import concurrent.futures
import contextlib
import functools
import json
import multiprocessing
import os
import pathlib
import shlex
import shutil
import signal
import tarfile
import threading
from typing import NamedTuple

from absl import logging
import numpy as np

from bigan_jax.data import codec, folders
from bigan_jax.machine import progress

PICTURES_PER_SHARD = 4096  # TFDS holds one shard in memory: 45 MB at an edge of 72.
NAMED_IN_LOG = 5  # Skipped pictures that the summary names; all are in folders.SKIPPED_FILE.


class Piece(NamedTuple):
  """Bytes of a file: one picture, or a tar of pictures."""

  name: str
  path: str
  offset: int = 0
  size: int = -1  # To the end of the file.
  is_tar: bool = False


class Part(NamedTuple):
  """What one worker does in one go, and the name of what it leaves in the work folder."""

  name: str
  pieces: tuple[Piece, ...]


class Shelf(NamedTuple):
  """All shrunk pictures of a work folder, in the order of the parts.

  parts: int32 [N], index into `files`. names: as in the pieces. offsets, sizes: int64 [N], bytes.
  skipped: (name, reason) of unusable pictures. converted: how many of which other format and mode.
  enlarged: how many were smaller than they are now.
  """

  files: list[str]
  parts: np.ndarray
  names: list[str]
  offsets: np.ndarray
  sizes: np.ndarray
  skipped: list[tuple[str, str]]
  converted: dict[str, int]
  enlarged: int

  def read(self, index: int) -> bytes:
    """The JPEG file of picture `index`."""
    with open(self.files[self.parts[index]], "rb") as file:
      file.seek(self.offsets[index])
      return file.read(self.sizes[index])


def presize(parts: Sequence[Part], directory: str, edge: int, upright: bool, title: str) -> Shelf:
  """Shrinks what the work folder does not hold yet, in parallel, and returns all that it holds.

  Raises:
    ValueError: a tar among the pieces is damaged.
    OSError: the work folder cannot be written to, or a worker died.
  """
  os.makedirs(directory, exist_ok=True)
  todo = [part for part in parts if not os.path.exists(_index_path(directory, part))]
  bar = progress.bar(len(parts), title, " parts", initial=len(parts) - len(todo))
  work = functools.partial(_shrink_part, directory=directory, edge=edge, upright=upright)
  done = 0
  with bar:
    for count in _in_parallel(work, todo):
      done += count
      bar.set_postfix_str(f"{done} pictures", refresh=False)
      bar.update()
  return _shelve(parts, directory)


def work_dir(data_dir: str, name: str) -> str:
  """Where the finished parts of a set are kept until it is prepared."""
  return os.path.join(data_dir, "presize_work", name)


def discard(directory: str) -> None:
  """Removes a work folder, and the folder of all of them if it was the last."""
  shutil.rmtree(directory, ignore_errors=True)
  with contextlib.suppress(OSError):
    os.rmdir(os.path.dirname(directory))


def shards(
    shelf: Shelf, indices: Sequence[int], labels: Sequence[object] | None
) -> list[Callable[[], Iterator]]:
  """One split for TFDS: per shard a function that yields (key, example), in the order of `indices`.

  Shards rather than one generator, because TFDS shuffles anything over 1 GB through TensorFlow.

  Args:
    shelf: the shrunk pictures.
    indices: of those that belong to the split.
    labels: one for each picture of the shelf; None if unlabelled.
  """

  def examples(part: Sequence[int]) -> Iterator:
    for i in part:
      example = {"image": shelf.read(i)}
      yield int(i), example if labels is None else example | {"label": labels[i]}

  starts = range(0, len(indices), PICTURES_PER_SHARD)
  return [functools.partial(examples, indices[s:s + PICTURES_PER_SHARD]) for s in starts]


def report(shelf: Shelf, title: str, directory: os.PathLike) -> None:
  """Logs what was skipped, converted and enlarged; lists the skipped in folders.SKIPPED_FILE."""
  reasons = collections.Counter(reason for _, reason in shelf.skipped)
  if shelf.skipped:
    list_skipped(shelf.skipped, directory)
    first = ", ".join(folders.escape(name) for name, _ in shelf.skipped[:NAMED_IN_LOG])
    logging.warning(
        "%s: skipped %d of %d pictures (%s), such as %s; all are listed in %s.",
        title, len(shelf.skipped), len(shelf.skipped) + len(shelf.names), _counts(reasons), first,
        folders.SKIPPED_FILE,
    )
  if shelf.converted:
    logging.warning("%s: converted to RGB: %s.", title, _counts(shelf.converted))
  if shelf.enlarged:
    logging.warning(
        "%s: %d of %d pictures are smaller than config.data.edge and were enlarged to it, which"
        " adds no detail: leave them out, or train at their size, of 32 pixels by"
        ' --config.data.edge=32 --config.model.encoder_shape="(32,32,3)"'
        ' --config.model.image_shape="(32,32,3)".',
        title, shelf.enlarged, len(shelf.names),
    )


def tell_of_copy(name: str, directory: str, source: str) -> None:
  """Says, once, what a prepared set takes of the disk."""
  files = [file for file in pathlib.Path(directory).rglob("*") if file.is_file()]
  megabytes = sum(file.stat().st_size for file in files) / 1e6
  print(f"{name}: the prepared copy of {source} takes {megabytes:.1f} MB in {directory}; later "
        f"runs read it. To remove it: rm -r {shlex.quote(str(directory))}")


def list_skipped(skipped: Sequence[tuple[str, str]], directory: os.PathLike) -> None:
  """Adds (name, reason) of what is left out to folders.SKIPPED_FILE."""
  if skipped:
    with open(os.path.join(directory, folders.SKIPPED_FILE), "a", encoding="utf-8") as file:
      file.writelines(f"{folders.escape(n)}\t{folders.escape(r)}\n" for n, r in skipped)


def _counts(counts: dict[str, int]) -> str:
  return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


def _in_parallel(work: functools.partial, parts: Sequence[Part]) -> Iterator[int]:
  """Yields what `work` returns as parts are finished; one part, or one core, needs none."""
  workers = min(cores(), len(parts))
  if workers <= 1:
    yield from map(work, parts)
    return
  # Spawned, not forked: the caller may run JAX's threads.
  context = multiprocessing.get_context("spawn")
  pool = concurrent.futures.ProcessPoolExecutor(workers, context, initializer=_follow_parent)
  try:
    futures = [pool.submit(work, part) for part in parts]
    for future in concurrent.futures.as_completed(futures):
      yield future.result()
  except concurrent.futures.process.BrokenProcessPool as error:
    raise OSError(
        "A process that shrinks pictures died: for want of memory, then run the same command again,"
        " finished parts are kept; or because a script calls bigan_jax.train outside of"
        ' `if __name__ == "__main__":`, then put it there.'
    ) from error
  finally:
    pool.shutdown(cancel_futures=True)


def cores() -> int:
  """CPU cores that this process may use."""
  return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _follow_parent() -> None:
  """A worker leaves signals to its parent, and does not outlive it even after kill -9."""
  for number in (signal.SIGINT, signal.SIGTERM):  # They come to the whole process group.
    signal.signal(number, signal.SIG_IGN)

  def wait() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()


def _shrink_part(part: Part, directory: str, edge: int, upright: bool) -> int:
  """Does one part and returns how many pictures it saw."""
  names, sizes, skipped, converted, enlarged = [], [], [], collections.Counter(), 0
  temporary = os.path.join(directory, f"{part.name}.{os.getpid()}.tmp")
  with open(temporary, "wb") as file:
    for piece in part.pieces:
      for name, encoded in _read(piece):
        refused = isinstance(encoded, str)
        shrunk = codec.Shrunk(b"", encoded) if refused else codec.shrink(encoded, edge, upright)
        if not shrunk.jpeg:
          skipped.append((name, shrunk.note))
          continue
        names.append(name)
        sizes.append(file.write(shrunk.jpeg))
        converted.update([shrunk.note] if shrunk.note else [])
        enlarged += shrunk.enlarged
  os.replace(temporary, _data_path(directory, part))
  index = {"names": names, "sizes": sizes, "skipped": skipped, "converted": converted,
           "enlarged": enlarged}
  pathlib.Path(temporary).write_text(json.dumps(index))
  os.replace(temporary, _index_path(directory, part))
  return len(names) + len(skipped)


def _read(piece: Piece) -> Iterator[tuple[str, bytes | str]]:
  """(name, file content) of every picture in a piece, or (name, why it cannot be read)."""
  if piece.is_tar:
    yield from _read_tar(piece)
    return
  try:
    with open(piece.path, "rb") as file:
      file.seek(piece.offset)
      yield piece.name, file.read(piece.size)
  except PermissionError:
    yield piece.name, codec.FORBIDDEN
  except OSError as error:
    yield piece.name, error.strerror or codec.DAMAGED


def _read_tar(piece: Piece) -> Iterator[tuple[str, bytes]]:
  end = piece.offset + piece.size if piece.size >= 0 else float("inf")
  try:
    with open(piece.path, "rb") as file:
      file.seek(piece.offset)
      with tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
          if member.offset_data + member.size > end:
            raise tarfile.ReadError("it ends too early")
          if member.isfile() and not is_hidden(member.name):
            yield member.name, tar.extractfile(member).read()
  except tarfile.TarError as error:
    raise ValueError(
        f"{piece.name} in {piece.path} is a damaged tar ({error}): download it again."
    ) from error


def is_hidden(path: str) -> bool:
  """Whether a file is one that a system left behind, such as ._x.jpg, and nobody's picture."""
  return os.path.basename(path).startswith(".")


def _data_path(directory: str, part: Part) -> str:
  return os.path.join(directory, f"{part.name}.bin")


def _index_path(directory: str, part: Part) -> str:
  return os.path.join(directory, f"{part.name}.json")


def _shelve(parts: Sequence[Part], directory: str) -> Shelf:
  indices = [json.loads(pathlib.Path(_index_path(directory, part)).read_text()) for part in parts]
  counts = [len(index["names"]) for index in indices]
  sizes = [np.array(index["sizes"], np.int64) for index in indices]
  return Shelf(
      files=[_data_path(directory, part) for part in parts],
      parts=np.repeat(np.arange(len(parts), dtype=np.int32), counts),
      names=[name for index in indices for name in index["names"]],
      offsets=np.concatenate([np.cumsum(part) - part for part in sizes]),
      sizes=np.concatenate(sizes),
      skipped=[(name, reason) for index in indices for name, reason in index["skipped"]],
      converted=sum((collections.Counter(index["converted"]) for index in indices),
                    collections.Counter()),
      enlarged=sum(index.get("enlarged", 0) for index in indices),  # Older parts do not say.
  )

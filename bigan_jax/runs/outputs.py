"""Outputs of the tools appear whole or not at all, and replace nothing without being told to."""

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
import secrets
import shutil

from bigan_jax.machine import disk

Path = pathlib.Path
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what file browsers leave in any folder


@contextlib.contextmanager
def new_file(path: Path, force: bool = False) -> Iterator[Path]:
  """Within: a name to write to, which becomes `path` at the end unless there was an error.

  Args:
    force: replace a file that is there.

  Raises:
    FileExistsError: there is one, or a folder.
    OSError: it cannot be written.
  """
  path = _real(path)
  def check() -> None:
    if path.is_dir() or (path.exists() and not force):
      raise _exists(path, path.is_file())
  check()
  with _scratch(path) as scratch:
    yield scratch
    check()  # Others may have written there meanwhile.
    os.replace(scratch, path)


@contextlib.contextmanager
def new_folder(
    path: Path, force: bool = False, replaceable: Callable[[Path], bool] = lambda path: False
) -> Iterator[Path]:
  """Within: an empty folder to write to, which becomes `path` at the end unless there was an error.

  Args:
    force: replace a folder that is there, if it is `replaceable`: nobody's other files are deleted.
    replaceable: says whether a folder holds what the caller writes and nothing else.

  Raises:
    FileExistsError: there is a file, or a folder with something in it.
    OSError: it cannot be written, or no folder can be put in its place: a disk is mounted there, or
      it is the one that we are in.
  """
  path = _real(path)
  check_folder(path, force, replaceable)
  with _scratch(path) as scratch:
    scratch.mkdir()
    yield scratch
    check_folder(path, force, replaceable)  # Others may have written there meanwhile.
    if path.is_dir():
      old = scratch.with_suffix(".old")
      path.rename(old)
      scratch.rename(path)
      shutil.rmtree(old)
    else:
      scratch.rename(path)


def check_folder(
    path: Path, force: bool = False, replaceable: Callable[[Path], bool] = lambda path: False
) -> None:
  """Raises what `new_folder` would at its beginning."""
  path = _real(path)
  if path.is_mount():
    raise OSError(f"{path} is where a disk is mounted, which stays as it is: name a folder in it.")
  if pathlib.Path.cwd().is_relative_to(path):
    raise OSError(f"{path} is the folder that you are in, or above it: name another, or one in it.")
  occupied = path.exists() and not (path.is_dir() and not items(path))
  ours = path.is_dir() and replaceable(path)
  if occupied and not (force and ours):
    raise _exists(path, ours)


def only(*names: str) -> Callable[[Path], bool]:
  """For `new_folder`: whether a folder holds files of these names and nothing else."""
  return lambda folder: {path.name for path in items(folder)} <= set(names)


def items(folder: Path) -> list[Path]:
  """What is in a folder, by name, but for LITTER."""
  return sorted(path for path in folder.iterdir() if path.name not in LITTER)


@contextlib.contextmanager
def _scratch(path: Path) -> Iterator[Path]:
  """A hidden name beside `path`; nothing is left there, and the disk's errors are a sentence."""
  scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    yield scratch
  except OSError as error:
    if error.errno is None:  # It is a sentence already.
      raise
    reason = f"{path} cannot be written ({disk.first_line(error)}): choose another."
    raise OSError(reason) from error
  finally:
    with contextlib.suppress(OSError):
      shutil.rmtree(scratch) if scratch.is_dir() else scratch.unlink()


def _real(path: Path) -> Path:
  """The absolute path behind links: they stay, and what they point to is written."""
  return pathlib.Path(os.path.realpath(pathlib.Path(path).expanduser()))


def _exists(path: Path, ours: bool) -> FileExistsError:
  remedy = "add --force to replace it, or choose another" if ours else "choose another"
  return FileExistsError(f"{path} is there already: {remedy}.")

"""The first checkpoint of a run, read back before training goes on: saved means readable."""

import pathlib
import re
from typing import Any

import jax
import numpy as np

PyTree = Any
# orbax looks for its own files by a pattern into which it puts the path as it is.
PATTERN = re.compile(r"[*?\\]|\[.*\]")


def check_path(path: pathlib.Path) -> None:
  """Raises ValueError for a folder in which orbax would write what it cannot read."""
  found = PATTERN.search(str(path))
  if found or not _is_text(str(path)):
    what = found[0] if found else "bytes that are not UTF-8"
    shown = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    raise ValueError(
        f"{shown} has {what} in its name, by which checkpoints cannot be read back: choose a"
        " --workdir without."
    )


def _is_text(name: str) -> bool:
  try:
    name.encode()
  except UnicodeEncodeError:
    return False
  return True


def compare(saved: PyTree, read: PyTree, folder: pathlib.Path) -> None:
  """Raises OSError unless all arrays came back with every bit; one array is copied at a time.

  Args:
    saved: what was to be saved. read: what is on disk, in the same structure.
  """
  leaves = jax.tree_util.tree_leaves_with_path(saved)
  for (path, one), other in zip(leaves, jax.tree.leaves(read), strict=True):
    one, other = np.asarray(one), np.asarray(other)
    if (one.dtype, one.shape) != (other.dtype, other.shape) or one.tobytes() != other.tobytes():
      raise OSError(
          f"the first checkpoint in {folder} comes back with another"
          f" {jax.tree_util.keystr(path)} than was saved: choose another disk for --workdir."
      )

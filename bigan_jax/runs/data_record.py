"""By what a run knows its data again: data.json beside config.json."""

import json
import pathlib
from typing import Any

from bigan_jax.machine import disk

DATA = "data.json"
NAMED = 5  # classes that a sentence names


def write(folder: pathlib.Path, found: dict[str, Any]) -> None:
  """Writes what was found, plain JSON values with "train", "judged", "classes" and "contents"."""
  disk.write_atomically(folder / DATA, json.dumps(found, indent=2).encode() + b"\n")


def agree(folder: pathlib.Path, found: dict[str, Any], accept_change: bool) -> None:
  """Writes what was found; a run without a record, of an earlier version, gets one.

  Raises:
    ValueError: the run began with other data, and `accept_change` is False.
  """
  path = folder / DATA
  there = _read(path) if path.exists() else found
  if there != found and not accept_change:
    raise ValueError(
        f"The data changed since {folder} began: {changes(there, found)}; bring them back, choose"
        " another --workdir, or go on knowingly by --config.data.accept_change."
    )
  if there != found or not path.exists():
    write(folder, found)


def changes(there: dict[str, Any], here: dict[str, Any]) -> str:
  """What differs between two records, as the middle of a sentence."""
  found = []
  for name, what in (("name", "the set"), ("train", "pictures to train on"),
                     ("judged", "pictures to judge by")):
    if there.get(name) != here.get(name):
      found.append(f"{what}: {_shown(there.get(name))} then, {_shown(here.get(name))} now")
  old, new = there.get("classes") or [], here.get("classes") or []
  for names, verb in ((set(new) - set(old), "new"), (set(old) - set(new), "gone")):
    if names:
      some = ", ".join(sorted(names)[:NAMED]) + (", ..." if len(names) > NAMED else "")
      found.append(f"{len(names):,} class{'es' * (len(names) != 1)} {verb} ({some})")
  return ", ".join(found) or "names, sizes or places of pictures differ"


def _shown(value: Any) -> str:
  return f"{value:,}" if isinstance(value, int) else str(value)


def _read(path: pathlib.Path) -> dict[str, Any]:
  """ValueError if it is damaged."""
  try:
    found = json.loads(path.read_bytes())
  except ValueError as error:
    raise ValueError(f"{path} is damaged ({error}); delete it to go on with the data of today."
                     ) from error
  return found if isinstance(found, dict) else {}

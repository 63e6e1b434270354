"""What a program says it found, before it trains or judges, and a fingerprint of that."""

import collections
from collections.abc import Sequence
import os
import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

from bigan_jax.data import codec, folders, layout, named
from bigan_jax.runs import outputs

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

HEIC = "pip install '.[heic]' reads .heic"
# What was left out by its name begins with these; all else could not be read.
KINDS = (".", "folders", folders.EMPTY, "outside", "of", folders.NO_FILE, folders.UNNAMED)


class Survey(NamedTuple):
  """What was found.

  name: of the set. place: where it lies, or comes from. splits: folders of the two splits, () if
  they were drawn. train, judged: how many pictures. classes: their names, () if unlabelled.
  note: what is odd about the classes. left: (path, what it is) of what was left out. listed: the
  file that lists all of that. contents: changes with names and sizes of pictures; "" if unknown.
  converted: what the networks made necessary. resized: from which size to which edge.
  """

  name: str
  place: str
  splits: tuple[str, ...]
  train: int
  judged: int
  classes: tuple[str, ...]
  note: str = ""
  left: tuple[tuple[str, str], ...] = ()
  listed: str = ""
  contents: str = ""
  converted: str = ""
  resized: str = ""


def of_set(
    builder: "tfds.core.DatasetBuilder", judged_split: str, train: int, judged: int, classes: int
) -> Survey:
  """Of a prepared set.

  Args:
    judged_split: the one to judge by. train, judged: pictures. classes: how many of them are used.
  """
  features, config = builder.info.features, builder.builder_config
  names = tuple(features[named.contents(builder).label].names[:classes]) if classes else ()
  listed = os.path.join(builder.data_path, folders.SKIPPED_FILE)
  survey = Survey(builder.name, str(builder.data_path), (), train, judged, names,
                  left=_read_list(listed), listed=listed)
  if builder.name != "image_folder":
    return survey
  arranged, left = config.layout, dict(survey.left)
  left |= {folders.escape(path): kind for path, kind in config.left}
  halves = [name for split in ("train", judged_split) for name in arranged.splits.get(split, ())]
  return survey._replace(
      place=config.path, splits=tuple(f"{name}/" for name in halves), left=tuple(left.items()),
      note=_note(arranged, classes > 0, left),
      contents=config.contents,
  )


def _note(arranged: layout.Layout, labelled: bool, left: dict[str, str]) -> str:
  """What is odd about the classes."""
  if not labelled:
    loose = any(entry.category for entry in arranged.entries)
    return "not every picture lies in one of two or more class folders" if loose else ""
  read = {e.category for e in arranged.entries if not left or folders.escape(e.path) not in left}
  if gone := set(arranged.classes) - read:
    return f"no picture of {layout.listed(gone)} can be read"
  twins = layout.twins(arranged.classes)
  return f"{twins[0]!r} and {twins[1]!r} differ in case alone" if twins else ""


def _read_list(path: str) -> tuple[tuple[str, str], ...]:
  """(name, reason) of all that preparing listed."""
  if not os.path.exists(path):
    return ()
  lines = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").split("\n")
  return tuple(tuple(line.rsplit("\t", 1)) for line in lines if "\t" in line)


def line(found: Survey) -> str:
  """The survey in one line."""
  count = len(found.classes)
  of = f"of {count:,} class{'es' * (count != 1)}" if count else "without classes"
  note = f" ({found.note})" if found.note else ""
  converted = f", resized from {found.resized}" if found.resized else ""
  converted += f", converted to {found.converted} for these networks" if found.converted else ""
  splits = f" ({', '.join(found.splits)})" if found.splits else ""
  others = "other" if found.judged == 1 else "others"
  return folders.escape(
      f"train: {found.train:,} pictures {of}{note}, judged by {found.judged:,} {others},"
      f" from {found.place}{splits}{converted}"
  ) + left_out(found.left, found.listed)


def find(folder: str, flag: str) -> folders.Found:
  """What lies in a folder of pictures that `flag` names.

  Raises:
    FileNotFoundError: there is no such folder.
    ValueError: it holds no pictures.
  """
  if not os.path.isdir(folder):
    raise FileNotFoundError(f"There is no folder {folder!r}: {flag} names one with pictures.")
  found = folders.scan(folder)
  if not found.pictures:
    kinds, left = ", ".join(codec.EXTENSIONS), left_out(found.left, "")
    raise ValueError(
        f"{folders.escape(folder)} holds no pictures ({kinds}){left}: name another by {flag}."
    )
  return found


def listing(left: Sequence[tuple[str, str]]) -> str:
  """A line for each of what was left out: name, tab, reason."""
  return "".join(f"{folders.escape(name)}\t{folders.escape(why)}\n" for name, why in left)


def report(done: int, left: Sequence[tuple[str, str]], out: pathlib.Path) -> None:
  """Says how many pictures were used for `out`, and lists beside it those that were left out."""
  listed = out.with_name(f"{out.name}.skipped.txt")
  print(f"{done:,} pictures{left_out(left, str(listed))}.")
  if left:
    with outputs.new_file(listed, force=True) as path:
      path.write_text(listing(left), encoding="utf-8")
  else:
    listed.unlink(missing_ok=True)  # of an earlier run


def left_out(left: Sequence[tuple[str, str]], listed: str) -> str:
  """'; left out: 90 .heic, 3 unreadable (1 may not be read, 2 cannot be decoded; listed in FILE)'.

  Args:
    left: (path, what it is). listed: the file that lists all of them; "" if none does.
  """
  if not left:
    return ""
  counts = collections.Counter(kind for _, kind in left)
  plain = {kind: n for kind, n in counts.items() if kind.startswith(KINDS)}
  bad = {kind: n for kind, n in counts.items() if kind not in plain}
  parts = [_counted(n, kind) for kind, n in sorted(plain.items())]
  notes = [_counted(n, kind) for kind, n in sorted(bad.items())]
  notes += [HEIC] if any(kind in codec.HEIF_EXTENSIONS for kind in plain) else []
  parts += [f"{sum(bad.values()):,} unreadable"] if bad else []
  notes += [f"listed in {folders.escape(listed)}"] if listed else []
  shown = f" ({', '.join(notes)})" if notes else ""
  return f"; left out: {', '.join(parts)}{shown}"


def _counted(count: int, kind: str) -> str:
  kind = kind.replace("folders", "folder", 1) if count == 1 else kind
  return f"{count:,} {folders.escape(kind)}"


def fingerprint(found: Survey) -> dict[str, Any]:
  """What stays the same as long as the data do, as plain JSON values."""
  return {"name": found.name, "train": found.train, "judged": found.judged,
          "classes": list(found.classes), "contents": found.contents}

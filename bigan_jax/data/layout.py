"""Splits and classes as the names of folders tell them, wherever in a download they lie."""

from collections.abc import Callable, Iterable, Sequence
import os
import re
from typing import NamedTuple
import unicodedata

from bigan_jax.data import folders

# What people call the folders of a split, in lower case.
SPLIT_FOLDERS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}
FILLERS = {  # Words around those, and names of folders that say nothing of a picture.
    "seg", "set", "data", "dataset", "images", "image", "imgs", "img", "pictures", "photos",
    "folder", "split", "jpegs", "jpg", "png", "unknown",
}
DEEPEST = 3  # levels below the folder at which splits may lie
NAMED = 5  # classes that an error names


Names = dict[tuple[str, ...], set[str]]  # {a folder's parts: folders in it}, of one depth
Groups = list[tuple[str, dict[str, list[str]]]]  # (a folder, {split: folders in it})


class Entry(NamedTuple):
  """A picture file.

  path: relative to the folder. split: "train", "validation", "test", or "" if yet to be drawn.
  category: the sub-folder of the split that it lies in; "" if it lies loose.
  """

  path: str
  split: str
  category: str


class Layout(NamedTuple):
  """How a folder is meant.

  entries: the pictures that are used. classes: () if they are unlabelled. splits: {split: its
  folders, */train where every class has its own}, {} if they are yet to be drawn. prefix: the
  folder in which all of it lies, "" if that is the folder itself. left: (path, what it is) of
  pictures that are not used.
  """

  entries: list[Entry]
  classes: tuple[str, ...]
  splits: dict[str, list[str]]
  prefix: str
  left: list[tuple[str, str]]


def arrange(root: str, found: folders.Found) -> Layout:
  """Reads splits and classes off the folders' names; no classes unless every picture has one.

  Raises:
    ValueError: splits lie in several places, or a judged split has a class that training lacks.
  """
  parent, splits, by_class = _find_splits(root, found.pictures)
  if not splits:
    prefix = _common(found.pictures)
    _check_alone(root, found.pictures, prefix)
    entries = [Entry(path, "", _first(path, prefix)) for path in found.pictures]
    return Layout(entries, _classes(entries), {}, prefix, [])
  entries, names = [], "/, ".join(sorted(name for some in splits.values() for name in some))
  for split, places in splits.items():
    for place in places:
      entries += (_of_each(found.pictures, split, parent, os.path.basename(place)) if by_class
                  else _of_split(root, found, split, place))
  used = {entry.path for entry in entries}
  left = [(path, f"outside {names}/") for path in found.pictures if path not in used]
  entries, dropped = _without_unlabelled(entries, splits)
  entries.sort()
  _check_classes(root, entries, splits)
  return Layout(entries, _classes(entries), splits, parent, left + dropped)


def _find_splits(root: str, paths: Sequence[str]) -> tuple[str, dict[str, list[str]], bool]:
  """(the folder that holds the splits, {split: its folders}, whether each class has its own).

  The topmost; ("", {}, False) if there are none.
  """
  folders_of = {tuple(path.split(os.sep)[:-1]) for path in paths}
  for depth in range(DEEPEST):
    names = {}
    for parts in folders_of:
      if len(parts) > depth:
        names.setdefault(parts[:depth], set()).add(parts[depth])
    groups = [
        (os.path.join(*parent) if parent else "", group)
        for parent, inner in sorted(names.items()) for group in _groups(inner)
    ]
    if by_class := _splits_of_classes(paths, names, groups):
      return *by_class, True
    places = [os.path.join(parent, group["train"][0]) for parent, group in groups]
    places += _half_sets(names, groups)
    if len(places) > 1:
      shown = " and ".join(places[:2])
      raise ValueError(
          f"{folders.escape(root)} holds several sets with splits ({folders.escape(shown)}): name"
          " the folder of one of them, with train/ and test/ in it, by config.data.path, or give"
          " all class folders the same."
      )
    if groups:
      parent, group = groups[0]
      splits = {s: [os.path.join(parent, n) for n in inner] for s, inner in group.items()}
      return parent, splits, False
  return "", {}, False


def _half_sets(names: Names, groups: Groups) -> list[str]:
  """Folders called train or test beside a set with splits, which other folders lack a part of."""
  whole = {parent for parent, _ in groups}
  return [
      os.path.join(*parent, name) for parent, inner in sorted(names.items()) if parent and whole
      for name in sorted(inner)
      if os.path.join(*parent) not in whole and name.lower() in SPLIT_FOLDERS
  ]


def _splits_of_classes(
    paths: Sequence[str], names: Names, groups: Groups
) -> tuple[str, dict[str, list[str]]] | None:
  """(folder, splits) of cats/train, cats/test, dogs/train, dogs/test; None of anything else."""
  above = {parent[:-1] for parent in names}
  alike = len(groups) == len(names) and all(group == groups[0][1] for _, group in groups)
  if len(groups) < 2 or not alike or len(above) > 1:
    return None
  level = len(min(names)) + 1  # of what lies in a split's folder
  within = {path.split(os.sep)[level] for path in paths if path.count(os.sep) > level}
  if any(not _is_filler(name) for name in within):
    return None
  parent = os.path.join("", *above.pop())
  each = os.path.join(parent, "*")
  return parent, {s: [os.path.join(each, n) for n in found] for s, found in groups[0][1].items()}


def _of_each(paths: Sequence[str], split: str, parent: str, name: str) -> list[Entry]:
  """The pictures of a split for which every class folder in `parent` has a folder `name`."""
  entries = [Entry(path, split, _first(path, parent)) for path in paths]
  return [e for e in entries if e.path.startswith(os.path.join(parent, e.category, name, ""))]


def _check_alone(root: str, paths: Sequence[str], prefix: str) -> None:
  """Raises ValueError for a train folder of several classes that would be one class of others."""
  inner = {}
  for path in paths:
    top = _first(path, prefix)
    inner.setdefault(top, set()).add(_first(path, os.path.join(prefix, top)) if top else "")
  for top, classes in inner.items():
    if len(inner) > 1 and SPLIT_FOLDERS.get(top.lower()) == "train" and len(classes - {""}) > 1:
      place = folders.escape(os.path.join(root, prefix, top))
      raise ValueError(
          f"{place} holds {listed(classes - {''})}, but beside it lies no val/ or test/ and yet"
          f" {listed(inner.keys() - {top, ''} or [''])}: name {place} by config.data.path, or put"
          " pictures to judge by into a test/ beside it."
      )


def _groups(names: Iterable[str]) -> list[dict[str, list[str]]]:
  """Folders side by side that are splits of one set: train and what to judge by."""
  rests = (lambda words: words, lambda words: tuple(w for w in words if w not in FILLERS))
  for rest in rests:
    found = _grouped(names, rest)
    if () in found:  # Plain names win.
      return [found[()]]
    if found:
      return list(found.values())
  return []


def _grouped(
    names: Iterable[str], rest: Callable[[tuple[str, ...]], tuple[str, ...]]
) -> dict[tuple[str, ...], dict[str, list[str]]]:
  """{what else their names say: {split: names}} of complete sets."""
  groups = {}
  for name in sorted(names):
    words = _words(name)
    splits = {SPLIT_FOLDERS[word] for word in words if word in SPLIT_FOLDERS}
    if len(splits) == 1:
      others = rest(tuple(word for word in words if word not in SPLIT_FOLDERS))
      groups.setdefault(others, {}).setdefault(splits.pop(), []).append(name)
  return {k: g for k, g in groups.items() if "train" in g and g.keys() & {"validation", "test"}}


def _words(name: str) -> tuple[str, ...]:
  """trainSet-2017 -> ("train", "set")."""
  words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[^\W\d_a-zA-Z]+", name)
  return tuple(word.lower() for word in words)


def _of_split(root: str, found: folders.Found, split: str, place: str) -> list[Entry]:
  """The pictures of a split's folder; classes from its folders or from Tiny ImageNet's list."""
  paths = [path for path in found.pictures if path.startswith(place + os.sep)]
  listing = os.path.join(place, folders.ANNOTATIONS)
  if listing in found.annotations:
    with open(os.path.join(root, listing), encoding="utf-8", errors="surrogateescape") as file:
      classes = dict(line.rstrip("\r\n").split("\t")[:2] for line in file if "\t" in line)
    return [Entry(path, split, classes.get(os.path.basename(path), "")) for path in paths]
  prefix = place
  while len(inner := {_first(path, prefix) for path in paths}) == 1:
    (only,) = inner
    says_nothing = only == os.path.basename(place) or _is_filler(only)
    if not only or not says_nothing:
      break
    prefix = os.path.join(prefix, only)
  return [Entry(path, split, _first(path, prefix)) for path in paths]


def _is_filler(name: str) -> bool:
  words = _words(name)
  return bool(words) and all(word in FILLERS or word in SPLIT_FOLDERS for word in words)


def _without_unlabelled(
    entries: list[Entry], splits: dict[str, list[str]]
) -> tuple[list[Entry], list[tuple[str, str]]]:
  """Leaves out a judged split without classes if the others have them: (entries, what was left)."""
  labelled = {split for split in splits if _labelled(entries, split)}
  loose = splits.keys() - labelled
  if "train" in loose or not labelled & {"validation", "test"}:
    return entries, []
  left = [(e.path, f"of {splits[e.split][0]}/ without classes") for e in entries
          if e.split in loose]
  for split in loose:
    del splits[split]
  return [entry for entry in entries if entry.split not in loose], left


def _labelled(entries: Sequence[Entry], split: str) -> bool:
  return all(entry.category for entry in entries if entry.split == split)


def _check_classes(root: str, entries: Sequence[Entry], splits: dict[str, list[str]]) -> None:
  """Raises ValueError if a judged split has classes that training lacks."""
  known = {entry.category for entry in entries if entry.split == "train"} - {""}
  for split in splits:
    there = {entry.category for entry in entries if entry.split == split} - {""}
    if known and (unknown := there - known):
      pair = twins([*sorted(unknown), *sorted(known)])
      hint = f" ({pair[0]!r} and {pair[1]!r} differ in case alone)" if pair else ""
      raise ValueError(
          f"In {folders.escape(root)}, {splits[split][0]}/ holds {listed(unknown)}, which"
          f" {splits['train'][0]}/ lacks; it holds {listed(known)}{folders.escape(hint)}: give"
          " both the same class folders."
      )


def _alike(name: str) -> str:
  return unicodedata.normalize("NFC", name.strip()).casefold()


def twins(names: Iterable[str]) -> tuple[str, str] | None:
  """Two names that are the same but for case, if there are."""
  known = {}
  for name in names:
    if (other := known.setdefault(_alike(name), name)) != name:
      return other, name
  return None


def listed(names: Iterable[str]) -> str:
  """'2 classes (cat, dog)', of many the first."""
  names = sorted(map(folders.escape, names))
  some = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
  return f"{len(names):,} class{'es' * (len(names) != 1)} ({some})"


def is_plain(arranged: Layout) -> bool:
  """Whether the two topmost folders alone say all, as they did before other layouts were known."""
  def old(path: str) -> str:
    top, inner, *_ = *path.split(os.sep)[:-1], "", ""
    split = SPLIT_FOLDERS.get(top.lower(), "")
    alone = split == "train" and (arranged.splits or arranged.prefix)
    return inner if alone or split and arranged.splits else top
  each = [e for e in arranged.entries if arranged.splits and not e.path.startswith(
      tuple(os.path.join(place, "") for place in arranged.splits[e.split]))]
  return not each and all(e.category == old(e.path) for e in arranged.entries)


def _classes(entries: Sequence[Entry]) -> tuple[str, ...]:
  found = sorted({entry.category for entry in entries})
  return tuple(found) if len(found) > 1 and "" not in found else ()


def _common(paths: Sequence[str]) -> str:
  """The folder in which all paths lie, "" if that is the top."""
  return os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""


def _first(path: str, prefix: str) -> str:
  """The folder below `prefix` in which a path lies; "" if it lies there itself."""
  parts = (path[len(prefix) + 1:] if prefix else path).split(os.sep)
  return parts[0] if len(parts) > 1 else ""

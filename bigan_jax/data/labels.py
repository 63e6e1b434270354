"""Some of a set's classes, by number or name: `--config.data.only_labels=horse,3`."""

from collections.abc import Sequence

import ml_collections
import numpy as np

from bigan_jax.data.splits import Split, Stored
from bigan_jax.settings.arguments import nearest

ONLY, WITHOUT = "only_labels", "without_labels"


def numbers(field: str, text: str, names: Sequence[str]) -> list[int]:
  """The classes that a field names.

  Args:
    field: of the config, for messages.
    text: names or numbers, a comma between each; a name wins over a number.
    names: of all classes; () of unlabelled sets.

  Raises:
    ValueError: there is none of a name, or the set has no labels.
  """
  if not names:
    raise ValueError(f"config.{field} is {text!r}, but these pictures have no labels: leave it out,"
                     " or take a set with classes.")
  known = {str(i): i for i in range(len(names))} | {name: i for i, name in enumerate(names)}
  parts = [part.strip() for part in text.split(",")]
  for part in parts:
    if part not in known:
      some = (*names[:20], f"or 0 to {len(names) - 1}")
      raise ValueError(f"config.{field} is {text!r}, but there is no class {part!r}:"
                       f" {nearest(part, some)}")
  return sorted({known[part] for part in parts})


def trained(data: ml_collections.ConfigDict, names: Sequence[str]) -> list[int]:
  """The classes that a config's `data` section trains on; errors as `numbers`."""
  if text := data.get(ONLY, ""):
    return numbers(f"data.{ONLY}", text, names)
  if text := data.get(WITHOUT, ""):
    gone = numbers(f"data.{WITHOUT}", text, names)
    return [i for i in range(len(names)) if i not in gone]
  return list(range(len(names)))


def keep(
    data: ml_collections.ConfigDict, train: Split | Stored, judged: Split | Stored
) -> tuple[Split | Stored, Split | Stored]:
  """(training pictures, judged ones) of the classes that are trained on; labels keep their numbers.

  Raises:
    ValueError: as `numbers`; nothing is left of either.
  """
  if not (data.get(ONLY, "") or data.get(WITHOUT, "")):
    return train, judged
  names = train.about.classes
  chosen, about = trained(data, names), train.about
  train, judged = (of_classes(split, chosen) for split in (train, judged))
  field = ONLY if data.get(ONLY, "") else WITHOUT
  for name, split in (("train on", train), ("judge by", judged)):
    if not split.size:
      raise ValueError(f"config.data.{field} is {data[field]!r}, which leaves no picture to {name}:"
                       " name other classes.")
  kept = tuple(names[i] for i in chosen)
  about = about._replace(train=train.size, judged=judged.size, classes=kept)
  return train._replace(about=about), judged


def of_classes(split: Split | Stored, chosen: Sequence[int]) -> Split | Stored:
  """The pictures of these classes, in the same order."""
  labels = split.labels if isinstance(split, Split) else split.read_labels()
  return split.take(np.flatnonzero(np.isin(labels, chosen)))

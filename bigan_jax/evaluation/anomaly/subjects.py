"""Which pictures are normal, which are judged, and what the names of folders tell of the latter.

Folders are as people have them: MVTec's (train/good, test/good, test/DEFECT), normal/ beside
abnormal/, or pictures in any folders, of which nothing is known then.
"""

from collections.abc import Sequence
import os
from typing import NamedTuple

import numpy as np

from bigan_jax.data import batches, folders, labels, layout, survey
from bigan_jax.evaluation.anomaly import fitting, measuring
from bigan_jax.exchange import loaded
from bigan_jax.settings import rules

NORMAL = ("good", "normal", "ok")  # names of folders, in lower case
ABNORMAL = ("abnormal", "anomalous", "anomalies", "anomaly", "bad", "defect", "defective",
            "defects")
TRAIN, TEST = ("train", "training"), ("test", "testing")


class Subjects(NamedTuple):
  """What is judged by what.

  normal, images: where they come from.
  labels: of each of `images`, 1 an anomaly, 0 normal, -1 unknown.
  places: of normal and of judged pictures, as a person names them.
  left: (name, what it is) of files that are not read.
  """

  normal: measuring.Source
  images: measuring.Source
  labels: np.ndarray
  places: tuple[str, str]
  left: list[tuple[str, str]]


def of_folders(model: loaded.Model, normal: str, images: str) -> Subjects:
  """Two folders, or twice the folder that holds MVTec's train and test.

  Raises:
    FileNotFoundError, ValueError: see `survey.find`; one lies in the other; see `read_labels`.
  """
  for flag, path in (("--normal", normal), ("--images", images)):
    if not os.path.isdir(path):
      raise FileNotFoundError(f"There is no folder {path!r}: {flag} names one with pictures.")
  known, judged = normal_folder(normal), judged_folder(images)
  for outer, inner in ((known, judged), (judged, known)):
    if folders.holds(outer, inner):
      raise ValueError(
          f"{folders.escape(inner)} lies in {folders.escape(outer)}, so that pictures would be "
          "judged by themselves: give --normal and --images folders apart from each other."
      )
  usual, found = survey.find(known, "--normal"), survey.find(judged, "--images")
  return Subjects(
      measuring.of_paths(known, usual.pictures, model.view),
      measuring.of_paths(judged, found.pictures, model.view),
      read_labels(judged, found.pictures), (known, judged), [*usual.left, *found.left],
  )


def normal_folder(path: str) -> str:
  """Where in a folder the normal pictures are: in train/good, train, good, or anywhere."""
  top = _inner(path, TRAIN) or path
  return _inner(top, NORMAL) or top


def judged_folder(path: str) -> str:
  """Where in a folder the judged pictures are: in test, or anywhere."""
  return _inner(path, TEST) or path


def read_labels(folder: str, names: Sequence[str]) -> np.ndarray:
  """Labels by the topmost folders of paths relative to `folder`: [N] of 1, 0 and -1.

  Beside a folder of normal pictures alone, every other one is of anomalies.

  Raises:
    ValueError: a folder is neither normal nor abnormal, though others are.
  """
  tops = [name.partition(os.sep)[0] if os.sep in name else "" for name in names]
  kinds = set(tops) - {""}
  usual, strange = ({kind for kind in kinds if kind.lower() in known}
                    for known in (NORMAL, ABNORMAL))
  others = kinds - usual - strange
  if others and strange:
    raise ValueError(
        f"{folders.escape(folder)} holds {_listed(others)} beside {_listed(usual | strange)}, of "
        "which nothing is known: move it, or name it normal or abnormal too."
    )
  strange |= others if usual else set()
  return np.array([0 if top in usual else 1 if top in strange else -1 for top in tops])


def of_set(model: loaded.Model) -> Subjects:
  """The set that networks were trained on some classes of: by these, all judged pictures.

  Raises:
    ValueError: they were trained on all classes; and as `batches.load`.
  """
  data = model.config.data
  if not any(data.get(name, "") for name in rules.CLASSES):
    raise ValueError("Name pictures by --normal and --images, or a model that was trained without "
                     "some classes, such as with --config.data.without_labels=1.")
  train, _ = batches.load(model.config, may_stream=True)  # `fixed` reads no more than it takes.
  held_out, names = batches.held_out(model.config)
  usual = labels.trained(data, names)
  known = batches.fixed(train, fitting.most(model), model.config, random=False)
  judged = batches.fixed(held_out, 0, model.config, random=False)
  return Subjects(
      measuring.of_split(known, f"{data.name}/train/"), measuring.of_split(judged, f"{data.name}/"),
      (~np.isin(judged.labels, usual)).astype(int),
      (f"{layout.listed(names[i] for i in usual)} of {data.name}", f"all classes of {data.name}"),
      [],
  )


def _inner(path: str, names: Sequence[str]) -> str:
  """The folder of one of these names in another; "" if there is none."""
  found = [entry for entry in sorted(os.listdir(path)) if entry.lower() in names
           and os.path.isdir(os.path.join(path, entry))]
  return os.path.join(path, found[0]) if found else ""


def _listed(names: set[str]) -> str:
  return " and ".join(f"{folders.escape(name)}/" for name in sorted(names))

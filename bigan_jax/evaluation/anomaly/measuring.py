"""Pictures from wherever they lie, and what the networks make of them, block by block."""

from collections.abc import Callable, Iterator, Sequence
import functools
import os
from typing import Any, NamedTuple

import numpy as np

from bigan_jax.data import files, folders, survey
from bigan_jax.data.builders import presize
from bigan_jax.data.splits import Split
from bigan_jax.evaluation.anomaly import normal, scores
from bigan_jax.exchange import blocks, loaded, pictures
from bigan_jax.machine import processes, progress


class Source(NamedTuple):
  """Pictures.

  names: of all. stream: which of them, by number -> (name, uint8 as E sees it, or why not) of each.
  """

  names: list[str]
  stream: Callable[[Sequence[int]], Iterator[blocks.Picture]]


class Measured(NamedTuple):
  """Scores of the pictures of a source.

  kept: int [n], the numbers of those that can be read. scores: {score: [n]}.
  skipped: (name, reason) of the others.
  """

  kept: np.ndarray
  scores: normal.Scores
  skipped: list[tuple[str, str]]


def of_paths(folder: str, names: Sequence[str], how: files.View) -> Source:
  """Files; their names are relative to the folder."""
  def stream(chosen: Sequence[int]) -> Iterator[blocks.Picture]:
    return files.stream(folder, [names[i] for i in chosen], how, presize.cores())
  return Source(list(names), stream)


def of_arrays(images: Any, how: files.View) -> Source:
  """Whatever `pictures.preprocess` takes, with the same errors; named by their numbers."""
  listed = pictures.listed(images, how)
  names = [str(i) for i in range(len(listed))]
  def stream(chosen: Sequence[int]) -> Iterator[blocks.Picture]:
    return ((names[i], pictures.seen(listed[i], how)) for i in chosen)
  return Source(names, stream)


def of_split(split: Split, prefix: str = "") -> Source:
  """Pictures of a set, of E's size; named by the prefix and their numbers."""
  names = [f"{prefix}{i}" for i in range(split.size)]
  return Source(names, lambda chosen: ((names[i], split.images[i]) for i in chosen))


def of(images: Any, how: files.View) -> Source:
  """A folder of pictures, a file, a list of files, or what `of_arrays` takes.

  Raises:
    FileNotFoundError, ValueError: see `survey.find`; there is no picture.
  """
  if isinstance(images, str | os.PathLike):
    path = os.path.expanduser(os.fspath(images))
    if not os.path.isfile(path):
      return of_paths(path, survey.find(path, "images").pictures, how)
    images = [path]
  if hasattr(images, "__len__") and not len(images):
    raise ValueError("There is no picture: give one or more.")
  paths = isinstance(images, list | tuple | np.ndarray) and all(
      isinstance(image, str | os.PathLike) for image in images
  )
  if paths:
    return of_paths("", [os.path.expanduser(os.fspath(image)) for image in images], how)
  return of_arrays(images, how)


def measure(
    model: loaded.Model, source: Source, chosen: Sequence[int] | None = None,
    held_against: normal.Normal | None = None, title: str = "",
) -> Measured:
  """Scores pictures.

  Args:
    chosen: which of them, by number; None: all.
    held_against: gives all scores; None: only those that `scores.measure` gives, and FEATURES.
    title: of a progress line, which only outlasts the work if there is one.

  Raises:
    ValueError: none can be read; the networks hold NaN or infinity.
  """
  chosen = range(len(source.names)) if chosen is None else chosen
  skipped: list[tuple[str, str]] = []
  found = []
  bar = progress.bar(len(chosen), title, "img", stays=bool(title), quiet=not processes.first())
  run = functools.partial(scores.measure, model)
  with blocks.made(run, source.stream(chosen), bar, skipped, model.encoder_shape) as pairs:
    for block, arrays in pairs:
      own = {name: np.asarray(values)[:len(block.names)] for name, values in arrays.items()}
      found.append(normal.complete(held_against, own) if held_against else own)
  if not found:
    raise ValueError(f"None of the {len(chosen):,} pictures can be read, "
                     f"{folders.escape(source.names[chosen[0]])} among them: give others.")
  gone = {name for name, _ in skipped}
  kept = np.array([i for i in chosen if source.names[i] not in gone])
  joined = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
  return Measured(kept, joined, skipped)


def read(source: Source, chosen: Sequence[int]) -> np.ndarray:
  """Pictures that can be read, as E sees them: uint8 [n, H, W, C]."""
  return np.stack([picture for _, picture in source.stream(chosen)])

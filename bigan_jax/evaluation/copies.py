"""Does G copy? The pictures of a folder that are nearest to samples G(z).

By pixels, and by the last hidden layer of E or, of a plain GAN, of D. What is near is told by
held-out pictures: how far real ones lie from the nearest others.
"""

from collections.abc import Callable, Iterable, Iterator
import functools
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.data import folders, survey
from bigan_jax.data.preprocess import shrink, to_native
from bigan_jax.evaluation import neighbours, pictures
from bigan_jax.evaluation.anomaly import measuring
from bigan_jax.evaluation.samples import drawn
from bigan_jax.exchange import blocks, loaded
from bigan_jax.machine import progress
from bigan_jax.runs import outputs, results

COUNT = 100  # samples, if nobody says how many
HELD = 5  # one picture of so many is held out, at most as many as there are samples
NEAR = 5  # percent of the held-out pictures, which tell what is near
SHOWN, ACROSS = 60, 4  # samples on the sheet, and in a row of it
SHEET, TABLE, SKIPPED = "neighbours.png", "neighbours.csv", "skipped.txt"
KINDS = ("pixels", "features")
Vectors = dict[str, jax.Array]


class Hits(NamedTuple):
  """The nearest picture of each of Q: its number in Copies.names, and the distance, both [Q]."""

  index: np.ndarray
  distance: np.ndarray


class Copies(NamedTuple):
  """What was found.

  names: of all pictures that can be read, the held-out ones first. samples: {kind: Hits} by KINDS;
  distances of pixels are root mean squares, in grey levels of 255, those of features Euclidean.
  held: the same of the held-out pictures, among the others; None if none was held out.
  skipped: (name, reason) of pictures that cannot be read.
  """

  names: list[str]
  samples: dict[str, Hits]
  held: dict[str, Hits] | None
  skipped: list[tuple[str, str]]


def nearest(model: loaded.Model, samples: np.ndarray, images: Any, seed: int = 0) -> Copies:
  """Looks for each sample's nearest pictures; memory does not grow with their number.

  Args:
    samples: uint8 [N, *image_shape].
    images: a folder, files, or what `model.preprocess` takes; compared at G's size.
    seed: of the choice of held-out pictures.

  Raises:
    FileNotFoundError, ValueError: as `measuring.of`; none of them can be read.
  """
  source, names, skipped = measuring.of(images, model.view), [], []
  order, look = np.random.RandomState(seed).permutation(len(source.names)), describe(model)
  count = min(len(samples), len(order) // HELD)
  drawn = blocks.of(((str(i), x) for i, x in enumerate(samples)), [], model.image_shape)
  queries = {kind: v[:len(samples)] for kind, v in _joined(look(b.images) for b in drawn)}
  centre = {kind: jnp.mean(v, axis=0) for kind, v in queries.items()}
  queries = _less(queries, centre)  # Squares of small numbers lose less by rounding.
  found = functools.partial(_vectors, source, lambda images: _less(look(images), centre),
                            model.encoder_shape, names, skipped)
  best, held = _nobody(queries), []
  for first, vectors in found(order[:count]):
    best = _update(best, queries, first, vectors)
    held.append(vectors)
  apart = dict(_joined(held))
  far, others = _nobody(apart), len(names)
  for first, vectors in found(order[count:]):
    best, far = _update(best, queries, first, vectors), _update(far, apart, first, vectors)
  if not names:
    raise ValueError(f"None of the {len(order):,} pictures can be read: give others.")
  told = 0 < others < len(names)
  return Copies(names, _hits(best, queries), _hits(far, apart) if told else None, skipped)


def describe(model: loaded.Model) -> Callable[[np.ndarray], Vectors]:
  """A program: uint8 pictures [B, H, W, C], of G's size or of E's -> {kind of KINDS: [B, f]}.

  All become as small as G's; where E sees larger ones, they are enlarged for it again, so that
  pictures and samples are equally sharp.
  """
  side, shape = model.image_shape[0], model.encoder_shape
  @jax.jit
  def look(images: jax.Array) -> Vectors:
    small = shrink(images, side)
    seen = small.astype(jnp.float32)
    pixels = seen.reshape(len(images), -1)
    if model.E is None:
      features = model.D(to_native(seen, model.value_range))[1][model.hidden_layer]
    else:
      if shape != model.image_shape:
        seen = jnp.clip(jax.image.resize(seen, (len(images), *shape), "lanczos3"), 0, 255)
      features = model.E(to_native(seen, model.value_range))[1][model.feature_layer]
    return dict(zip(KINDS, (pixels / np.sqrt(pixels.shape[1]), features.reshape(len(images), -1))))
  return look


def _vectors(
    source: measuring.Source, look: Callable[[np.ndarray], Vectors], shape: tuple[int, ...],
    names: list[str], skipped: list[tuple[str, str]], chosen: np.ndarray,
) -> Iterator[tuple[int, Vectors]]:
  """(number of the first, vectors) of each block of chosen pictures, whose names are added."""
  stream, bar = source.stream(np.sort(chosen)), progress.bar(len(chosen), unit="img", stays=False)
  with blocks.made(look, stream, bar, skipped, shape) as pairs:
    for block, vectors in pairs:
      first = len(names)
      names.extend(block.names)
      yield first, {kind: v[:len(block.names)] for kind, v in vectors.items()}


def _less(vectors: Vectors, centre: Vectors) -> Vectors:
  return {kind: v - centre[kind] for kind, v in vectors.items()}


def _joined(parts: Iterable[Vectors]) -> Iterator[tuple[str, jax.Array]]:
  """(kind, [n, f]) of all parts; nothing, if there is none."""
  parts = list(parts)
  return ((kind, jnp.concatenate([part[kind] for part in parts])) for kind in KINDS if parts)


def _nobody(queries: Vectors) -> dict[str, neighbours.Nearest]:
  return {kind: neighbours.nobody(len(vectors)) for kind, vectors in queries.items()}


def _update(
    best: dict[str, neighbours.Nearest], queries: Vectors, first: int, block: Vectors
) -> dict[str, neighbours.Nearest]:
  """The nearest so far, after the rows of a block, the first of which is number `first`."""
  return {k: neighbours.update(best[k], queries[k], block[k], first) for k in queries}


def _hits(best: dict[str, neighbours.Nearest], queries: Vectors) -> dict[str, Hits]:
  return {k: Hits(np.asarray(best[k].index), np.asarray(neighbours.distances(best[k], queries[k])))
          for k in KINDS}


def write(
    model: loaded.Model, count: int, seed: int, folder: str, out: pathlib.Path, force: bool
) -> str:
  """Looks for `count` samples in a folder of pictures; writes SHEET and TABLE to `out`.

  Returns:
    What was found, in words.

  Raises:
    FileNotFoundError, ValueError: as `nearest`.
    FileExistsError: `out` is there.
  """
  if folders.holds(folder, out):
    raise ValueError(f"--out={out} lies among the pictures of {folder}, as which its own would be "
                     "read the next time: choose another folder.")
  with outputs.new_folder(out, force, outputs.only(SHEET, TABLE, SKIPPED)) as scratch:
    made = np.concatenate(list(drawn(model, count, seed)))
    found = nearest(model, made, folder, seed)
    pictures.save(sheet(model, made, found, folder), scratch / SHEET)
    results.write_csv(scratch / TABLE, rows(found))
    if found.skipped:
      (scratch / SKIPPED).write_text(survey.listing(found.skipped), encoding="utf-8")
  left = survey.left_out(found.skipped, str(out / SKIPPED))
  return f"{count:,} samples among {len(found.names):,} pictures{left}.\n{summary(model, found)}"


def rows(found: Copies) -> list[dict[str, Any]]:
  """A row a sample, numbered as `features --sample` numbers them, and a held-out picture."""
  def row(of: str, name: str, hits: dict[str, Hits], i: int) -> dict[str, Any]:
    by = {kind: folders.escape(found.names[hits[kind].index[i]]) for kind in KINDS}
    return {"of": of, "name": folders.escape(name),
            "pixels": float(hits["pixels"].distance[i]), "nearest_by_pixels": by["pixels"],
            "features": float(hits["features"].distance[i]), "nearest_by_features": by["features"]}
  table = [row("sample", f"{i:06d}", found.samples, i)
           for i in range(len(found.samples["pixels"].index))]
  held = len(found.held["pixels"].index) if found.held else 0
  return table + [row("held out", found.names[i], found.held, i) for i in range(held)]


def sheet(model: loaded.Model, samples: np.ndarray, found: Copies, folder: str) -> np.ndarray:
  """Samples, each beside its nearest by pixels and by features; those nearest by pixels first."""
  chosen = np.argsort(found.samples["pixels"].distance, kind="stable")[:SHOWN]
  source = measuring.of_paths(folder, found.names, model.view)
  near = [shrink(jnp.asarray(measuring.read(source, found.samples[kind].index[chosen])),
                 model.image_shape[0]) for kind in KINDS]
  gap = np.full_like(samples[chosen], 255)
  cells = np.stack([samples[chosen], *map(np.asarray, near), gap], axis=1)
  across = min(ACROSS, len(chosen))
  picture = pictures.grid(cells.reshape(-1, *model.image_shape), across * cells.shape[1])
  title = "G(z), and the pictures nearest to it by pixels and by features; the nearest first"
  return pictures.titled(picture[:, :-model.image_shape[1] - 1], title)


def summary(model: loaded.Model, found: Copies) -> str:
  """Medians, and how many samples are near: a line for each of KINDS."""
  network = f"D's {model.hidden_layer}" if model.E is None else f"E's {model.feature_layer}"
  lines = []
  for kind, what in zip(KINDS, ("pixels", network)):
    near, median = found.samples[kind].distance, lambda values: f"{np.median(values):.4g}"
    text = f"Median distance to the nearest by {what}: {median(near)} of samples"
    far = found.held[kind].distance if found.held else ()
    text += f", {median(far)} of {len(far):,} held-out pictures" if len(far) else ""
    if len(far) * NEAR >= 100:
      share = 100 * np.mean(near <= np.percentile(far, NEAR))
      text += f"; {share:.0f} % of the samples are as near as the nearest {NEAR} % of those"
    lines.append(f"{text}.")
  return "\n".join(lines + ([] if found.held else [f"Below {HELD} pictures none is held out."]))

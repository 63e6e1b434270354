"""What normal pictures get: references for neighbours, scales of the scores, and the threshold."""

import json
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bigan_jax.evaluation import linear_probe
from bigan_jax.evaluation.anomaly import scores
from bigan_jax.exchange import blocks
from bigan_jax.machine import disk
from bigan_jax.runs import outputs

HELD_OUT = 0.2  # of the normal pictures, which scores are measured by
LEAST = 10  # normal pictures: 8 neighbours and 2 to measure by
MOST_NUMBERS = 60_000_000  # in the references: 240 MB
SEED = 0  # of the choice of those that are held out
VERSION = 2  # 1 had no cosine

Scores = dict[str, np.ndarray]  # {score: float32 [N]}; FEATURES: [N, f]


class Normal(NamedTuple):
  """What scores are held against.

  k: how many neighbours.
  mean, scale: of each of E's features, [f], by which they are standardised; 1 where it is constant.
  references: the features of normal pictures, standardised, float32 [n, f]; [0, 0] without an E.
  scales: {score: (mean, standard deviation)} over held-out normal pictures.
  held_out: {score: [m]} of these; no picture is its own neighbour.
  """

  k: int
  mean: np.ndarray
  scale: np.ndarray
  references: np.ndarray
  scales: dict[str, tuple[float, float]]
  held_out: Scores


def most(features: int) -> int:
  """How many normal pictures are used at most, by the number of their features."""
  return max(LEAST, MOST_NUMBERS // max(features, 1))


def fit(measured: Scores, k: int) -> Normal:
  """Learns from what `scores.measure` gives of normal pictures.

  Raises:
    ValueError: they are too few, or k is; a score is not finite.
  """
  count = len(next(iter(measured.values())))
  check_finite(measured)
  if count < LEAST:
    there = "is 1 normal picture" if count == 1 else f"are {count} normal pictures"
    raise ValueError(f"There {there}: give {LEAST} or more, a fifth of which set the threshold.")
  order = np.random.RandomState(SEED).permutation(count)
  held = np.sort(order[:max(2, round(HELD_OUT * count))])
  used = np.setdiff1d(np.arange(count), held)
  if not 1 <= k <= len(used):
    raise ValueError(f"neighbours is {k}, but must be from 1 to {len(used)}, the normal pictures "
                     "that are not held out.")
  features = measured.get(scores.FEATURES, np.zeros((count, 0), np.float32))[used]
  mean, scale = linear_probe.moments(features)
  normal = Normal(k, mean, scale, (features - mean) / scale, {}, {})
  found = _with_neighbours(normal, {name: values[held] for name, values in measured.items()})
  scales = {name: (float(v.mean()), float(v.std()) or 1.0) for name, v in found.items()}
  normal = normal._replace(scales=scales)
  return normal._replace(held_out=_with_combined(normal, found))


def complete(normal: Normal, measured: Scores) -> Scores:
  """All scores [N] of pictures, from what `scores.measure` gives; ValueError if not finite."""
  check_finite(measured)
  return _with_combined(normal, _with_neighbours(normal, measured))


def check_finite(measured: Scores) -> None:
  """Raises ValueError for NaN or infinity, which are the networks', since pictures hold none."""
  for name, values in measured.items():
    if not np.isfinite(values).all():
      raise ValueError(f"The score {name} is not finite, so the networks hold NaN or infinity: take"
                       " another step of the run.")


def _with_neighbours(normal: Normal, measured: Scores) -> Scores:
  """Without the features, with the scores that are made of them; in blocks of one size."""
  found = {name: values for name, values in measured.items() if name != scores.FEATURES}
  if scores.FEATURES not in measured:
    return found
  features = (measured[scores.FEATURES] - normal.mean) / normal.scale
  padding = -len(features) % blocks.BLOCK
  rows = np.pad(features, ((0, padding), (0, 0))).reshape(-1, blocks.BLOCK, features.shape[1])
  references = jnp.asarray(normal.references)
  near = [scores.neighbours(row, references, normal.k) for row in rows]
  whole = jax.tree.map(lambda *parts: np.concatenate(parts)[:len(features)], *near)
  return found | whole


def _with_combined(normal: Normal, found: Scores) -> Scores:
  parts = [name for name in scores.COMBINED if name in found]
  if "neighbours" in found:
    standard = [(found[n] - normal.scales[n][0]) / normal.scales[n][1] for n in parts]
    found = found | {"combined": np.mean(standard, axis=0)}
  return {name: np.float32(found[name]) for name in scores.TITLES if name in found}


def save(path: pathlib.Path, normal: Normal, about: dict[str, Any], force: bool = False) -> None:
  """Writes a .npz file; `about` is plain JSON values. Errors as `outputs.new_file`."""
  about = about | {"version": VERSION, "k": normal.k, "scales": normal.scales}
  arrays = {f"held_out.{name}": values for name, values in normal.held_out.items()}
  with outputs.new_file(path, force) as scratch, open(scratch, "wb") as file:
    np.savez(file, about=np.asarray(json.dumps(about)), mean=normal.mean, scale=normal.scale,
             references=normal.references, **arrays)


def load(path: pathlib.Path) -> tuple[Normal, dict[str, Any]]:
  """(what `save` wrote, about it).

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it is another kind of file, damaged, or of another version.
  """
  if not path.is_file():
    raise FileNotFoundError(f"There is no file {path}: name one that AnomalyDetector.save wrote.")
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = dict(file)
    about = json.loads(str(arrays["about"]))
    held = {name.partition(".")[2]: values for name, values in arrays.items() if "." in name}
    scales = {name: tuple(pair) for name, pair in about.pop("scales").items()}
    normal = Normal(about.pop("k"), arrays["mean"], arrays["scale"], arrays["references"], scales,
                    held)
  except Exception as error:  # zipfile's, numpy's and json's are of many kinds.
    reason = disk.first_line(error)
    raise ValueError(f"{path} is no detector, or damaged ({reason}): name what "
                     "AnomalyDetector.save wrote.") from error
  if about["version"] != VERSION:
    remedy = "upgrade bigan_jax" if about["version"] > VERSION else "fit and save the detector anew"
    raise ValueError(f"{path} has version {about['version']}, but this bigan_jax reads {VERSION}: "
                     f"{remedy}.")
  return normal, about

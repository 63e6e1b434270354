"""A score, what normal pictures get, and the threshold that follows."""

import math
from typing import NamedTuple

import numpy as np

from bigan_jax.evaluation.anomaly import measuring, normal, scores
from bigan_jax.exchange import loaded
from bigan_jax.models.layers import TURNS
from bigan_jax.settings.arguments import nearest

CONTAMINATION, NEIGHBOURS = 0.05, 5  # where nobody says otherwise
# Cross-entropy of an E that cannot tell how a picture is turned. A few answers that it is sure of,
# and that are wrong, lift a mean: of CIFAR-10's cats, whose best score this is, to 1.23.
BLIND = 0.9 * math.log(TURNS)


class Options(NamedTuple):
  """What a person chooses.

  score: of `scores.TITLES`; "": see `default`.
  contamination: share of the normal pictures that may lie above the threshold.
  neighbours: how many normal pictures the scores `neighbours` and `cosine` look at.
  """

  score: str = ""
  contamination: float = CONTAMINATION
  neighbours: int = NEIGHBOURS


class Fitted(NamedTuple):
  """What pictures are judged by.

  score: that counts. normal: what normal pictures get. threshold: of the score.
  """

  score: str
  normal: normal.Normal
  threshold: float


def fit(
    model: loaded.Model, source: measuring.Source, options: Options, title: str = ""
) -> tuple[Fitted, measuring.Measured]:
  """Learns from normal pictures, and says which could not be read.

  Of more than `most` those are used that lie evenly among them.

  Raises:
    ValueError: too few pictures; the networks do not allow the score, or hold NaN or infinity.
  """
  check_contamination(options.contamination)
  check_score(model, options.score)
  count = len(source.names)
  used = min(count, most(model))
  measured = measuring.measure(model, source, np.arange(used) * count // used, title=title)
  found = normal.fit(measured.scores, options.neighbours)
  score = options.score or default(found)
  limit = float(np.quantile(found.held_out[score], 1 - options.contamination))
  return Fitted(score, found, limit), measured


def most(model: loaded.Model) -> int:
  """How many normal pictures are used at most."""
  return normal.most(int(np.prod(model.layers.get(model.feature_layer, (0,)))))


def default(found: normal.Normal) -> str:
  """The score that counts where nobody chose one: the first of `scores.PREFERRED` that there is.

  `turns` only where E knows how most normal pictures are turned: of textures, say, nobody does.
  """
  costs = found.held_out.get(scores.TURNED, math.inf)
  unfit = {scores.TURNED} if np.median(costs) > BLIND else set()
  return next(name for name in scores.PREFERRED if name in found.held_out and name not in unfit)


def check_score(model: loaded.Model, score: str) -> None:
  """Raises ValueError for a score that there is not, or that the networks do not allow; not ""."""
  able, players = scores.available(model), " and ".join(sorted(model.sizes))
  if score and score not in scores.TITLES:
    raise ValueError(f"Unknown score {score!r}: {nearest(score, tuple(scores.TITLES))}")
  if not able:
    raise ValueError(f"No score can be had of {players} alone: export the run again, or name its "
                     "folder.")
  if score == scores.ALAD and not model.D_xx:
    raise ValueError(f"The score {score} is D_xx's, which {_without_D_xx(model)}.")
  if score == scores.TURNED and not model.turns:
    raise ValueError(f"The score {score} is of an E that was asked how pictures are turned: train"
                     " with recipe=modern of a config of photos that has an E, or choose from"
                     f" {', '.join(able)}.")
  if score and score not in able:
    raise ValueError(f"The score {score} cannot be had of {players} of {model.config.objective}: "
                     f"choose from {', '.join(able)}.")


def _without_D_xx(model: loaded.Model) -> str:
  """Why there is no D_xx, and what to do."""
  if model.config.objective == "alad":
    return "stays in the run folder: name that instead of the export"
  return (f"{model.config.objective} does not train: train with --config=FILE.py:alad, or choose"
          f" from {', '.join(scores.available(model))}")


def check_contamination(contamination: float) -> None:
  """Raises ValueError unless it is a share."""
  if not 0 < contamination < 1:
    raise ValueError(f"contamination is {contamination}, but must be above 0 and below 1: the share"
                     " of normal pictures that may lie above the threshold.")

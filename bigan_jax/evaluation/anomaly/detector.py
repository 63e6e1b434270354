"""`bigan_jax.AnomalyDetector`: the scores in the form that scikit-learn's and PyOD's users know."""

import os
import pathlib
from typing import Any, Self

import numpy as np
from sklearn import base
from sklearn.utils.validation import check_is_fitted

from bigan_jax.data import folders
from bigan_jax.evaluation.anomaly import fitting, measuring, normal, scores
from bigan_jax.exchange import blocks, hub, loaded

ALIKE = 1e-4  # how far G of two machines may be apart, in the native range


class AnomalyDetector(base.BaseEstimator):
  """Says which pictures do not belong among normal ones; higher is stranger, 1 is an outlier.

  Pictures are a folder, a file, a list of files, or what `Model.preprocess` takes: arrays uint8
  [N, H, W, C] and PIL's. One that cannot be read raises ValueError. A picture's score does not
  depend on the others that are given with it.

  BaseEstimator is for Pipeline and the like: scikit-learn asks for it.

  Attributes, after `fit`:
    model_: the networks. score_: the name of the score that counts.
    threshold_: above it, pictures are outliers.
    decision_scores_: of the normal pictures that were held out, [m], which set the threshold.
  """

  def __init__(
      self, model: loaded.Model | str | os.PathLike[str], score: str = "",
      contamination: float = fitting.CONTAMINATION, neighbours: int = fitting.NEIGHBOURS,
  ):
    """Names what is to be fitted.

    Args:
      model: of `bigan_jax.load`, or the folder that it reads.
      score: see `bigan_jax.evaluation.anomaly.scores.TITLES`; "": the best that the networks allow.
      contamination: share of the normal pictures that may lie above the threshold.
      neighbours: how many normal pictures the scores `neighbours` and `cosine` look at.
    """
    self.model = model
    self.score = score
    self.contamination = contamination
    self.neighbours = neighbours

  def fit(self, images: Any, y: Any = None) -> Self:
    """Learns what normal pictures get; a fifth of them is held out to set the threshold.

    Args:
      images: normal pictures, 10 or more; best some that the networks were not trained on.
      y: nothing; scikit-learn's pipelines give it.

    Raises:
      ValueError: too few pictures, or one that cannot be read; the networks do not allow the score,
        or hold NaN.
    """
    del y
    model = self._networks()
    options = fitting.Options(self.score, self.contamination, self.neighbours)
    fitted, measured = fitting.fit(model, measuring.of(images, model.view), options)
    refuse_skipped(measured)
    return self._keep(model, fitted)

  def decision_function(self, images: Any) -> np.ndarray:
    """The score that counts: float32 [N]."""
    return self.scores(images)[self.score_]

  def predict(self, images: Any) -> np.ndarray:
    """1 of outliers, 0 of others: int [N]."""
    return (self.decision_function(images) > self.threshold_).astype(int)

  def scores(self, images: Any) -> dict[str, np.ndarray]:
    """Every score that the networks allow, by name: float32 [N] each."""
    check_is_fitted(self, "normal_")
    source = measuring.of(images, self.model_.view)
    measured = measuring.measure(self.model_, source, held_against=self.normal_)
    refuse_skipped(measured)
    return measured.scores

  def score_map(self, images: Any) -> np.ndarray:
    """Where pictures differ from their reconstructions: |x - G(E(x))|, float32 [N, H, W].

    In the size that G makes; the mean over colours.
    """
    check_is_fitted(self, "normal_")
    if self.model_.E is None:
      raise ValueError("These networks have no encoder, and so no reconstructions to compare with.")
    source, skipped = measuring.of(images, self.model_.view), []
    stream = source.stream(range(len(source.names)))
    found = []
    for block in blocks.of(stream, skipped, self.model_.encoder_shape):
      shown = scores.residual(scores.look(self.model_, block.images))
      found.append(np.asarray(shown)[:len(block.names)])
    refuse_skipped(measuring.Measured(np.zeros(0), {}, skipped))
    return np.concatenate(found)

  def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
    """Writes what was learned from normal pictures, without the networks, to one .npz file.

    Raises:
      FileExistsError: it is there, and `force` is not given.
    """
    check_is_fitted(self, "normal_")
    name = "" if isinstance(self.model, loaded.Model) else os.fspath(self.model)
    if name and not name.startswith(hub.SCHEME):
      name = os.path.abspath(os.path.expanduser(name))
    about = {
        "model": name, "step": self.model_.step, "score": self.score, "uses": self.score_,
        "contamination": self.contamination, "threshold": self.threshold_,
        "witness": _witness(self.model_),
    }
    normal.save(pathlib.Path(path).expanduser(), self.normal_, about, force)

  @classmethod
  def load(
      cls, path: str | os.PathLike[str], model: loaded.Model | str | os.PathLike[str] | None = None
  ) -> Self:
    """Reads what `save` wrote.

    Args:
      path: of the file.
      model: the networks that it was fitted with; None: those of the folder that they came from.

    Raises:
      FileNotFoundError, ValueError: there is no such file, or it is another kind of file; it was
        fitted with other networks, or the place of these is not known, or they lack its score.
    """
    fitted, about = normal.load(pathlib.Path(path).expanduser())
    if model is None and not about["model"]:
      raise ValueError(f"{path} does not say where its networks lie: give load(path, model).")
    found = cls(model or about["model"], about["score"], about["contamination"], fitted.k)
    networks = found._networks(None if model else about["step"])
    if np.shape(about["witness"]) != np.shape(_witness(networks)) or np.abs(
        np.subtract(about["witness"], _witness(networks))).max() > ALIKE:
      raise ValueError(f"{path} was fitted with other networks, after {about['step']:,} updates: "
                       "give it those, or fit anew.")
    fitting.check_score(networks, about["uses"])
    return found._keep(networks, fitting.Fitted(about["uses"], fitted, about["threshold"]))

  def _networks(self, step: int | None = None) -> loaded.Model:
    if isinstance(self.model, loaded.Model):
      return self.model
    return loaded.load(os.fspath(self.model), "latest" if step is None else step)

  def _keep(self, model: loaded.Model, fitted: fitting.Fitted) -> Self:
    self.model_, (self.score_, self.normal_, self.threshold_) = model, fitted
    self.decision_scores_ = self.normal_.held_out[self.score_]
    return self

  def __sklearn_clone__(self) -> Self:
    """Unfitted, of the same networks: these are functions, of which there is no copy."""
    return type(self)(**self.get_params(deep=False))


def refuse_skipped(measured: measuring.Measured) -> None:
  """Raises ValueError if a picture could not be read."""
  for name, reason in measured.skipped:
    raise ValueError(f"{folders.escape(name)}: {reason}; leave it out.")


def _witness(model: loaded.Model) -> list[float]:
  """A few numbers by which networks are known: what G makes of z = 0."""
  made = np.asarray(model.G(np.zeros((1, model.latent_dim), np.float32)))
  return [float(value) for value in made.reshape(-1)[:256]]

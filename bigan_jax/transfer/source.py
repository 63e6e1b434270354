"""Reads the layers that a run folder has to transfer, whatever kind of run it is."""

import json
import pathlib
from typing import NamedTuple

import ml_collections

from bigan_jax.evaluation import encoders
from bigan_jax.models import alexnet
from bigan_jax.runs import checkpoints
from bigan_jax.transfer import merging

LABELS = "labels"  # in place of an objective, of a network trained with labels


class Source(NamedTuple):
  """Layers that were trained elsewhere, without batch norm.

  Attributes:
    config: of the run; `config.model.encoder_shape` and `value_range` say what its layers see.
    shape: (H, W, C) of the images that they were trained on.
    layers: {"conv1": {"kernel", "bias"}, ...}, the hidden ones in order.
    learner: the objective that trained them, or "labels".
    step: after how many updates.
    generalised: whether E saw larger images than G makes.
  """

  config: ml_collections.ConfigDict
  shape: tuple[int, int, int]
  layers: merging.Layers
  learner: str
  step: int
  generalised: bool = False


def read(path: str, step: str = "latest") -> Source:
  """Reads E (of a plain GAN, D), or a network that configs/frozen_layers.py trained.

  Args:
    path: a run folder, or what bigan_jax.export wrote.
    step: "latest", "best", or digits.

  Raises:
    FileNotFoundError: there is no such folder, or no network in it yet.
    ValueError: the run is of another kind, or has no such step.
    OSError: it cannot be read.
  """
  if _job(pathlib.Path(path).expanduser() / "config.json") == "frozen_layers":
    network, info = checkpoints.restore_network(path, "head", step)
    config = ml_collections.ConfigDict(info["config"])
    layers = {name: network["params"][name] for name in hidden_layers(config.model)}
    return Source(config, tuple(config.model.image_shape), layers, LABELS, info["step"])
  trained = encoders.read(path, step)
  (player, variables), = trained.variables.items()
  model, learner = trained.config.model, trained.config.objective
  shape = model.image_shape if player == "D" else model.encoder_shape
  generalised = player == "E" and tuple(model.encoder_shape) != tuple(model.image_shape)
  layers = merging.merge(variables)
  _check(path, tuple(layers))
  return Source(trained.config, tuple(shape), layers, learner, trained.step, generalised)


def hidden_layers(model: ml_collections.ConfigDict) -> tuple[str, ...]:
  """Names of the layers that can be transferred: conv1 to conv5, or a perceptron's fc1, fc2."""
  kind = "fc" if model.family == "mlp" else "conv"
  return tuple(f"{kind}{i + 1}" for i in range(len(model.widths)))


def _check(path: str, layers: tuple[str, ...]) -> None:
  """Raises ValueError unless these are the layers of a perceptron or of AlexNet."""
  perceptron = tuple(f"fc{i + 1}" for i in range(len(layers)))
  if layers not in (perceptron, tuple(alexnet.LAYERS)):
    raise ValueError(
        f"{path} has the layers {', '.join(layers)}, but only those of perceptrons and of AlexNet"
        " are transferred: judge it by configs/linear_probe.py, or train one with encoder=alexnet."
    )


def _job(file: pathlib.Path) -> str | None:
  """The job of a run; None where there is no readable config, which others will report."""
  try:
    return json.loads(file.read_bytes()).get("job")
  except (OSError, ValueError, AttributeError):
    return None

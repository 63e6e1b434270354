"""What a job judges: a frozen network, trained or untrained, and the pictures to judge it by."""

import functools
import pathlib
from typing import NamedTuple

from absl import logging
import chex
import flax.linen as nn
import jax
from jax.extend.core import Var
import jax.numpy as jnp
import ml_collections
import numpy as np

from bigan_jax import models
from bigan_jax.data import batches, prepare
from bigan_jax.data.splits import Split
from bigan_jax.exchange import exported, hub, pretrained
from bigan_jax.exchange.pretrained import Pretrained
from bigan_jax.settings import downstream, rules
from bigan_jax.settings.data import data_section
from bigan_jax.training.objectives import OBJECTIVES


class Encoder(NamedTuple):
  """A frozen network in test mode, by calibrated statistics.

  Attributes:
    name: "trained" or "random".
    network: E, or the D of a plain GAN, without a device axis.
    variables: {"params": ..., "batch_stats": ...}.
    views: uint8 images -> Batch.
    sees: the field of Batch that the network is applied to.
    alone: of a D that judges pairs, the layers that see x alone; () of other networks.
  """

  name: str
  network: nn.Module
  variables: chex.ArrayTree
  views: batches.Views
  sees: str
  alone: tuple[str, ...] = ()


def read(path: str, step: str) -> Pretrained:
  """Reads the network whose features are its method's result.

  Args:
    path: a run folder, or one that bigan_jax.export wrote.
    step: "latest", "best" or digits.

  Raises:
    ValueError: the run is of another kind; and as `pretrained.read`.
  """
  path = hub.folder(path)
  return pretrained.twice(lambda: _read(path, step), step)


def _read(path: str, step: str | int) -> Pretrained:
  whose = () if exported.is_export(pathlib.Path(path).expanduser()) else ("G",)  # All runs have G.
  found = pretrained.read(path, whose, step)
  if found.config.get("objective") not in OBJECTIVES:
    raise ValueError(f"{path} has no feature learner: name the run folder of one that was trained.")
  return pretrained.read(path, (OBJECTIVES[found.config.objective].judged,), found.step)


def read_with_discriminator(path: str, step: str) -> list[Pretrained]:
  """What `read` gives and, where D judged pairs in its training, that D, both of one step."""
  path = hub.folder(path)
  def both() -> list[Pretrained]:
    trained = _read(path, step)
    D = read_discriminator(trained, path)
    return [trained] if D is None else [trained, D]
  return pretrained.twice(both, step)


def read_discriminator(trained: Pretrained, path: str) -> Pretrained | None:
  """The D that judged pairs in the training of an E, at the same step; None where there is none.

  An export of an older version may lack D, which is said.

  Args:
    path: that E was read from.
  """
  if not OBJECTIVES[trained.config.objective].joint:
    return None
  folder = pathlib.Path(path).expanduser()
  if exported.is_export(folder) and "D" not in exported.players(folder):
    logging.warning("%s holds no D: its layers cannot be judged.", path)
    return None
  return pretrained.read(path, ("D",), trained.step)


def trained_encoder(trained: Pretrained) -> Encoder:
  """The network that was trained."""
  (player, variables), = trained.variables.items()
  sees = "x_encoder" if player == "E" else "x"
  network, config = getattr(trained.networks, player), trained.config
  joint = player == "D" and OBJECTIVES[config.objective].joint
  alone = of_x_alone(network, variables, config.model) if joint else ()
  return Encoder("trained", network, variables, batches.views(config), sees, alone)


def of_x_alone(
    D: nn.Module, variables: chex.ArrayTree, model: ml_collections.ConfigDict
) -> tuple[str, ...]:
  """The layers of a D of pairs that z does not reach: followed through the program of D(x, z)."""
  x = jax.ShapeDtypeStruct((1, *model.image_shape), jnp.float32)
  z = jax.ShapeDtypeStruct((1, model.latent_dim), jnp.float32)
  layers = lambda z, x, variables: D.apply(variables, x, z)[1]
  program = jax.make_jaxpr(layers)(z, x, variables).jaxpr
  reached = {program.invars[0]}
  for step in program.eqns:
    if any(isinstance(value, Var) and value in reached for value in step.invars):
      reached.update(step.outvars)
  names = sorted(jax.eval_shape(layers, z, x, variables))  # As jax orders dictionaries.
  return tuple(n for n, value in zip(names, program.outvars, strict=True) if value not in reached)


def untrained(trained: Pretrained, images: np.ndarray, seed: int, batch_size: int, steps: int
              ) -> Encoder:
  """The same network with the initial weights of a training run of this seed.

  Its statistics are calibrated as those of trained networks, on batches of training images
  uint8 [N, H, W, C] (reference section 6): `steps` batches at most, each image once at most.
  """
  config, given = trained.config, trained_encoder(trained)
  objective, (player,) = OBJECTIVES[config.objective], trained.variables
  key, _ = jax.random.split(jax.random.PRNGKey(seed))  # As learner.prepare does.
  variables = models.initialise(
      trained.networks, config.model, objective.players, objective.joint, key
  )[player]
  start = given._replace(name="random", variables=variables)
  size = min(batch_size, len(images))
  order = np.random.RandomState(seed).permutation(len(images))
  stats = variables["batch_stats"]
  for i in range(min(steps, len(images) // size)):
    batch = images[np.sort(order[i * size:(i + 1) * size])]
    stats = _calibrate(start.network, variables["params"], stats, start.views, start.sees, batch)
  return start._replace(variables={"params": variables["params"], "batch_stats": stats})


@functools.partial(jax.jit, static_argnames=("network", "views", "sees"))
def _calibrate(
    network: nn.Module, params: chex.ArrayTree, batch_stats: chex.ArrayTree,
    views: batches.Views, sees: str, images: jax.Array,
) -> chex.ArrayTree:
  """The running sums of statistics after one more batch."""
  x = getattr(views(images), sees)
  variables = {"params": params, "batch_stats": batch_stats}
  with jax.default_matmul_precision("float32"):
    _, changed = network.apply(variables, x, train=True, mutable=["batch_stats"])
  return changed.get("batch_stats", batch_stats)


def pictures(
    config: ml_collections.ConfigDict, trained: Pretrained, own_classes: bool = False
) -> tuple[Split, Split, ml_collections.ConfigDict]:
  """(training images, judged images, their data settings), as crops that the network sees.

  Args:
    config: of the judging job: config.data, of which fields that are left at their defaults are
      the encoder's where config.data.name is; train_images and judged_images bound the numbers.
    own_classes: as in `data_settings`.

  Raises:
    ValueError: the images do not fit the network; and as `batches.load`.
  """
  merged = trained.config.copy_and_resolve_references().unlock()
  merged.data = data_settings(config.data, trained.config, own_classes)
  merged.data_dir = config.data_dir or trained.config.data_dir
  validate_fit(config.encoder, merged)
  train, judged = batches.load(merged, may_stream=True)  # `fixed` reads no more than it takes.
  return (
      batches.fixed(train, config.train_images, merged, random=False),
      batches.fixed(judged, config.judged_images, merged, random=False),
      merged.data,
  )


def data_settings(
    data: ml_collections.ConfigDict, encoder: ml_collections.ConfigDict, own_classes: bool = False
) -> ml_collections.ConfigDict:
  """A judging job's `data` section, completed by that of the encoder's run.

  An E that was trained on a few classes is judged by all, unless the job says otherwise.

  Args:
    own_classes: by those few, as samples are.
  """
  found = ml_collections.ConfigDict(data.to_dict())
  if not found.name:
    defaults = downstream.base("").data
    changed = rules.changed_data(data, defaults)
    own = {name: v for name, v in changed.items() if name not in downstream.OWN_DATA}
    rules.refuse_unused(encoder.data.name, own)
    few = own_classes and not set(rules.CLASSES) & own.keys()
    theirs = {n: v for n, v in encoder.data.items() if few or n not in rules.CLASSES}
    return ml_collections.ConfigDict({**data.to_dict(), **theirs, **changed})
  found.splits = found.splits or data_section().splits
  if found.name != "voc" and not found.edge:
    side = encoder.model.encoder_shape[0] if found.name in prepare.PICTURES else 0
    found.edge = encoder.data.edge or side
  return found


def validate_fit(path: str, config: ml_collections.ConfigDict) -> None:
  """Raises ValueError if pictures resized to config.data.edge do not fill what E sees.

  `batches.load` checks images of one size.
  """
  side, edge = config.model.encoder_shape[0], config.data.edge
  if 0 < edge < side:
    raise ValueError(
        f"config.data.edge is {edge}, but the encoder of {path} sees crops of {side} pixels: let "
        "it be at least that."
    )

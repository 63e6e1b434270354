"""The objectives with what has been learned of such games since: hinge losses, scores in parts.

As in objectives.py, each maps (run, batch, z) to one loss a player. D gives a score s of each pair,
or several (s_xz, s_x, s_z, as in BigBiGAN), with y = +1 for what is real and -1 for what is not:

  L_D  = mean of h(y s), with h(t) = max(0, 1 - t), the hinge (Miyato et al., 2018)
  L_EG = mean of y s

summed over the columns of s; or, logistic, with h(t) = log(1 + exp(-t)), L_EG = mean of h(-y s).
"""

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections

from bigan_jax.data.batch import Batch
from bigan_jax.training.objectives import OBJECTIVES, Losses, Objective, Run


class Loss(NamedTuple):
  """Of a score t that should be large: what D pays, and what is paid by who wants it large."""

  D: Callable[[jax.Array], jax.Array]
  others: Callable[[jax.Array], jax.Array]


LOSSES = {
    "logistic": Loss(lambda t: jax.nn.softplus(-t), lambda t: jax.nn.softplus(-t)),
    "hinge": Loss(lambda t: jax.nn.relu(1 - t), lambda t: -t),
}


def total(price: Callable[[jax.Array], jax.Array], scores: jax.Array) -> jax.Array:
  """The mean over the batch, summed over the columns, of scores [B] or [B, K]."""
  return jnp.sum(jnp.mean(price(scores), axis=0))


def discriminator_loss(loss: Loss, real: jax.Array, fake: jax.Array) -> jax.Array:
  """D wants scores of real pairs large and those of made-up ones small."""
  return total(loss.D, real) + total(loss.D, -fake)


def bigan(loss: Loss, run: Run, batch: Batch, z: jax.Array) -> Losses:
  """D as above; E wants scores of (x, E(x)) small and G those of (G(z), z) large."""
  real, fake = run.judge((batch.x, run.encode(batch.x_encoder)), (run("G", z), z))
  inverse = total(loss.others, -real) + total(loss.others, fake)
  return {"D": discriminator_loss(loss, real, fake), "G": inverse, "E": inverse}


def gan(loss: Loss, run: Run, batch: Batch, z: jax.Array) -> Losses:
  """D and G alone."""
  real, fake = run.judge((batch.x,), (run("G", z),))
  return {"D": discriminator_loss(loss, real, fake), "G": total(loss.others, fake)}


def latent_regressor(loss: Loss, run: Run, batch: Batch, z: jax.Array) -> Losses:
  """The same, and E regresses z from G(z)."""
  G_z = run("G", z)
  real, fake = run.judge((batch.x,), (G_z,))
  losses = {"D": discriminator_loss(loss, real, fake), "G": total(loss.others, fake)}
  return losses | {"E": run.regress(G_z, z)}


def joint_latent_regressor(loss: Loss, run: Run, batch: Batch, z: jax.Array) -> Losses:
  """The regressor's loss shapes G too, with the weight of objectives.py."""
  losses = latent_regressor(loss, run, batch, z)
  shared = losses["G"] + 0.25 * losses["E"]
  return {"D": losses["D"], "G": shared, "E": shared}


GAMES = {
    "bigan": bigan, "gan": gan, "latent_regressor": latent_regressor,
    "joint_latent_regressor": joint_latent_regressor,
}


def objective(config: ml_collections.ConfigDict) -> Objective:
  """The objective of a config: section 3 of the paper, unless it asks for more."""
  given = OBJECTIVES[config.objective]
  plain = config.loss == "logistic" and not config.model.D.get("unary")
  if plain:
    return given
  return given._replace(losses=functools.partial(GAMES[config.objective], LOSSES[config.loss]))

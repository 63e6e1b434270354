"""The calibration ("deploy") step before every evaluation: pure and per device, as train_step."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from bigan_jax.data.batch import Batch
from bigan_jax.models import latents, precision
from bigan_jax.training import train_step
from bigan_jax.training.objectives import twins
from bigan_jax.training.train_step import Metrics, Run, Setup


class Calibration(NamedTuple):
  """What the phase accumulates, from zero.

  batch_stats: {player: running sums of batch statistics}.
  classifier: {"kernel": [features, classes]} of a linear softmax on the judged features.
  opt_state: the classifier's.
  """

  batch_stats: dict[str, chex.ArrayTree]
  classifier: dict[str, jax.Array]
  opt_state: chex.ArrayTree


@precision.traced
def calibration_step(
    setup: Setup, params: dict[str, chex.ArrayTree], rate: chex.Numeric, carry: Calibration,
    batch: Batch, labels: jax.Array, key: chex.PRNGKey,
) -> tuple[Calibration, Metrics]:
  """One step of calibration; no player's parameters change (reference section 6).

  The statistics of E and D come from real images alone, those of D_zz and G from z (of G from
  codes, where the objective never shows it anything else). The classifier sees training-mode
  features and learns at the main schedule's current `rate`.

  Args:
    labels: classes [B] of batch.x_encoder, int32.
    key: of this step.

  Returns:
    The carry, and {"loss": {player: loss}, "accuracy": {"real", "fake"}}: the training losses, and
    the share of pairs of each kind that D judges right (ties, its initial state, count as half).
  """
  z = train_step.draw_latents(setup, key, batch.x.shape[0])
  run = Run(setup.networks, params, setup.precision, setup.latents)
  stats, activations = dict(carry.batch_stats), {}
  def calibrate(player: str, *inputs: jax.Array) -> jax.Array:
    (output, activations[player]), new = run.apply(player, inputs, batch_stats=stats[player])
    stats[player] = new.get("batch_stats", {})
    return output

  players, joint = setup.objective.players, setup.objective.joint
  code = latents.code(calibrate("E", batch.x_encoder), setup.latents) if "E" in players else None
  G_z = calibrate("G", code if setup.objective.encodes else z)
  metrics = {"loss": setup.objective.losses(run, batch, z)}
  real, fake = ((batch.x, code), (G_z, z)) if joint else ((batch.x,), (G_z,))
  reals = {"D": real, "D_xx": (twins(batch.x, batch.x),), "D_zz": (twins(z, z),)}
  for player in (p for p in players if p in reals):
    calibrate(player, *reals[player])
  if "D" in players:
    metrics["accuracy"] = accuracies(*run.judge(real, fake))
  judged = setup.objective.judged
  features = activations[judged][getattr(setup.networks, judged).feature_layer]
  classifier, opt_state = classifier_update(setup, carry, features, labels, rate)
  return Calibration(stats, classifier, opt_state), setup.average(metrics)


def accuracies(real: jax.Array, fake: jax.Array) -> dict[str, jax.Array]:
  """Share of real and of fake batches' logits [B] on D's right side of zero; zero counts half."""
  right = lambda logits: jnp.mean((jnp.sign(logits) + 1) / 2)
  return {"real": right(real), "fake": right(-fake)}


def classifier_update(
    setup: Setup, carry: Calibration, features: jax.Array, labels: jax.Array, rate: chex.Numeric
) -> tuple[dict[str, jax.Array], chex.ArrayTree]:
  """One step of the bias-free linear classifier on fixed features [B, ...]; {} stays {}."""
  if not carry.classifier:
    return carry.classifier, carry.opt_state
  features = jax.lax.stop_gradient(features.reshape(features.shape[0], -1))
  def loss(classifier: dict[str, jax.Array]) -> jax.Array:
    logits = features @ classifier["kernel"]
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))
  grads = setup.average(jax.grad(loss)(carry.classifier))
  return setup.tx.update(grads, carry.opt_state, carry.classifier, rate)

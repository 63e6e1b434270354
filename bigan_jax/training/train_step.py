"""The training step and the calibration step: pure, per-device functions; parallel.py maps them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from bigan_jax.data.batch import Batch
from bigan_jax.models import Networks, latents, precision, spectral
from bigan_jax.training import augment
from bigan_jax.training.objectives import Objective
from bigan_jax.training.state import Optimiser, Schedule, TrainState

Metrics = dict[str, chex.ArrayTree]


class Setup(NamedTuple):
  """What stays fixed through a run.

  Attributes:
    networks: G, E and D, built for `axis_name`.
    objective: the losses.
    tx: each player's optimiser, without the learning rate.
    rate: the learning rate as a function of the step.
    latent_dim: d.
    discriminator_steps: 0 updates all players simultaneously; n > 0 alternates n updates of D
      with one of G and E, each on a minibatch of its own (paper, section 3.3).
    axis_name: the device axis, None outside of a map.
    precision: what the networks are computed with, a key of precision.PRODUCTS.
    factors: (player, what its learning rate is multiplied by), where that is not 1.
    decay: of the means of parameters (`TrainState.average`).
    views: how D and E are shown pictures; None: as they are.
    norms: report the norm of every gradient. That reads them all again: 3 % of a step of the MNIST
      networks on 2 CPU cores, and 29 of its 118 kernels on a GPU.
  """

  networks: Networks
  objective: Objective
  tx: Optimiser
  rate: Schedule
  latent_dim: int
  discriminator_steps: int = 0
  axis_name: str | None = None
  precision: str = "float32"
  factors: tuple[tuple[str, float], ...] = ()
  decay: float = 0.0
  views: augment.Views | None = None
  norms: bool = False

  def average(self, tree: chex.ArrayTree) -> chex.ArrayTree:
    """Mean over the device axis."""
    return tree if self.axis_name is None else jax.lax.pmean(tree, self.axis_name)


class Run(NamedTuple):
  """Applies networks at given parameters in training mode: `run(name, *inputs) -> output`.

  Inputs and outputs are float32, whatever the precision.

  Attributes:
    vectors: of spectral norms, {player: ...}.
    look: what D sees of stacked real and made-up pictures.
  """

  networks: Networks
  params: dict[str, chex.ArrayTree]
  precision: str = "float32"
  vectors: dict[str, chex.ArrayTree] = {}
  look: Callable[[jax.Array], jax.Array] = lambda x: x

  def __call__(self, name: str, *inputs: jax.Array) -> jax.Array:
    return self.apply(name, inputs)[0]

  def apply(
      self, name: str, inputs: Sequence[jax.Array], batches: int | None = None,
      batch_stats: chex.ArrayTree | None = None,
  ) -> Any:
    """(output, activations), and with `batch_stats` given, ((output, activations), new ones).

    Args:
      batches: for D alone: how many stacked batches the inputs are.
    """
    variables = {"params": precision.narrow_kernels(self.params[name], self.precision)}
    if name in self.vectors:
      variables[spectral.COLLECTION] = self.vectors[name]
    options = {} if batches is None else {"batches": batches}
    if batch_stats is not None:
      variables["batch_stats"] = batch_stats
      options["mutable"] = ["batch_stats"]
    inputs = [precision.narrow_input(x, self.precision) for x in inputs]
    outputs = getattr(self.networks, name).apply(variables, *inputs, train=True, **options)
    return jax.tree.map(lambda x: x.astype(jnp.float32), outputs)

  def judge(
      self, real: tuple[jax.Array, ...], fake: tuple[jax.Array, ...]
  ) -> tuple[jax.Array, jax.Array]:
    """D's logits of two batches, [B] each, as one product of 2 B rows."""
    x, *z = (jnp.concatenate(pair) for pair in zip(real, fake, strict=True))
    logits, _ = self.apply("D", [self.look(x), *z], batches=2)
    return tuple(jnp.split(logits, 2))


def draw_latents(setup: Setup, key: chex.PRNGKey, count: int) -> jax.Array:
  """This device's share [count, d] of one draw for all devices: their number is no matter."""
  if setup.axis_name is None:
    return latents.sample(key, count, setup.latent_dim)
  z = latents.sample(key, count * jax.lax.axis_size(setup.axis_name), setup.latent_dim)
  return jax.lax.dynamic_slice_in_dim(z, jax.lax.axis_index(setup.axis_name) * count, count)


def gradients(
    setup: Setup, run: Run, batch: Batch, z: jax.Array
) -> tuple[dict[str, jax.Array], dict[str, chex.ArrayTree]]:
  """Losses, and the gradient of each player's own loss: one forward pass, one pull-back a player.

  Args:
    run: at the parameters to differentiate at.

  Returns:
    ({player: loss}, {player: gradient}), averaged over devices.
  """
  def losses_of(params: dict[str, chex.ArrayTree]) -> dict[str, jax.Array]:
    return setup.objective.losses(run._replace(params=params), batch, z)

  losses, pull_back = jax.vjp(losses_of, run.params)
  def gradient(player: str) -> chex.ArrayTree:
    seed = {p: jnp.full_like(loss, p == player) for p, loss in losses.items()}
    return pull_back(seed)[0][player]
  return setup.average(losses), setup.average({p: gradient(p) for p in losses})


@precision.traced
def train_step(
    setup: Setup, state: TrainState, batch: Batch, key: chex.PRNGKey
) -> tuple[TrainState, Metrics]:
  """One update of every player, all from the old parameter values.

  Args:
    setup: bound by functools.partial before jit.
    state: at step t.
    batch: this device's images.
    key: of the whole run; the step folds its number in.

  Returns:
    The state at t + 1, and {"loss": {player: loss}}; with setup.norms also {"grad_norm": {player:
    norm of each array}}.
  """
  step_key = jax.random.fold_in(key, state.step)
  z = draw_latents(setup, step_key, batch.x.shape[0])
  vectors = {p: spectral.advance(state.params[p], v) for p, v in state.vectors.items()}
  run = Run(setup.networks, state.params, setup.precision, vectors)
  if setup.views is not None:
    draws = augment.draw(step_key, batch.x.shape[0], setup.axis_name)
    batch, run = setup.views.show(batch, draws), run._replace(look=setup.views.look(draws))
  losses, grads = gradients(setup, run, batch, z)
  turn = players_in_turn(setup, state.step, tuple(losses))
  params, opt_state = dict(state.params), dict(state.opt_state)
  for player in losses:
    old = (state.params[player], state.opt_state[player])
    rate = setup.rate(state.step) * dict(setup.factors).get(player, 1)
    new = setup.tx.update(grads[player], old[1], old[0], rate)
    if turn is not None:
      new = jax.tree.map(lambda n, o, p=player: jnp.where(turn[p], n, o), new, old)
    params[player], opt_state[player] = new
  metrics = {"loss": losses}
  if setup.norms:
    metrics["grad_norm"] = jax.tree.map(optax.tree.norm, grads)
  average = mean_of(state.average, params, state.step, setup.decay)
  return TrainState(state.step + 1, params, opt_state, vectors, average), metrics


def mean_of(
    average: dict[str, chex.ArrayTree], params: dict[str, chex.ArrayTree], step: jax.Array,
    decay: float,
) -> dict[str, chex.ArrayTree]:
  """The exponentially weighted means after one more step; the first steps count for more."""
  keep = jnp.minimum(decay, (1 + step) / (10 + step))
  mean = lambda old, new: keep * old + (1 - keep) * new
  return {player: jax.tree.map(mean, old, params[player]) for player, old in average.items()}


def players_in_turn(
    setup: Setup, step: jax.Array, players: tuple[str, ...]
) -> dict[str, jax.Array] | None:
  """Who is updated at this step under the alternating option; None: everyone, always."""
  if not setup.discriminator_steps:
    return None
  ds_turn = step % (setup.discriminator_steps + 1) < setup.discriminator_steps
  return {p: ds_turn if p == "D" else ~ds_turn for p in players}


class Calibration(NamedTuple):
  """What the calibration ("deploy") phase accumulates, from zero, before every evaluation.

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

  The statistics of E and D come from real images alone, those of G from z (or from codes, where
  the objective never shows it anything else). The classifier sees training-mode features and
  learns at the main schedule's current `rate`.

  Args:
    labels: classes [B] of batch.x_encoder, int32.
    key: of this step.

  Returns:
    The carry, and {"loss": {player: loss}, "accuracy": {"real", "fake"}}: the training losses, and
    the share of pairs of each kind that D judges right (ties, its initial state, count as half).
  """
  z = draw_latents(setup, key, batch.x.shape[0])
  run = Run(setup.networks, params, setup.precision)
  stats, activations, outputs = dict(carry.batch_stats), {}, {}
  def calibrate(player: str, *inputs: jax.Array) -> jax.Array:
    (outputs[player], activations[player]), new = run.apply(
        player, inputs, batch_stats=stats[player]
    )
    stats[player] = new.get("batch_stats", {})
    return outputs[player]

  players, joint = setup.objective.players, setup.objective.joint
  code = latents.code(calibrate("E", batch.x_encoder)) if "E" in players else None
  G_z = calibrate("G", code if setup.objective.encodes else z)
  metrics = {"loss": setup.objective.losses(run, batch, z)}
  if "D" in players:
    pairs = ((batch.x, code), (G_z, z)) if joint else ((batch.x,), (G_z,))
    calibrate("D", *pairs[0])
    metrics["accuracy"] = accuracies(*run.judge(*pairs))
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

"""The training step: a pure, per-device function; parallel.py maps it over devices."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from bigan_jax.data.batch import Batch
from bigan_jax.models import Networks, latents, precision, spectral
from bigan_jax.models.layers import TURNS
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
    latents: the kind of p(z).
    stochastic: E gives the mean and the spread of a code, which is drawn.
    rotation: weight, in E's loss, of telling how a picture was turned; 0: it is not asked.
    E_rate_factor: what the rate is multiplied by for E.
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
  latents: str = latents.KINDS[0]
  stochastic: bool = False
  rotation: float = 0.0
  E_rate_factor: float = 1.0
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
    latents: the kind of p(z).
    vectors: of players with spectral norms, which are applied so, {player: ...}.
    look: what D sees of stacked real and made-up pictures.
    noise: N(0, I) [B, d] by which a stochastic E's code is drawn; None: the code is its mean.
    turns: by how many right angles pictures are turned [B], int32, where E is asked for that.
  """

  networks: Networks
  params: dict[str, chex.ArrayTree]
  precision: str = "float32"
  latents: str = latents.KINDS[0]
  vectors: dict[str, spectral.Vectors] = {}
  look: Callable[[jax.Array], jax.Array] = lambda x: x
  noise: jax.Array | None = None
  turns: jax.Array | None = None

  def __call__(self, name: str, *inputs: jax.Array) -> jax.Array:
    return self.apply(name, inputs)[0]

  def apply(
      self, name: str, inputs: Sequence[jax.Array], batches: int | None = None,
      batch_stats: chex.ArrayTree | None = None,
  ) -> Any:
    """(output, activations), and with `batch_stats` given, ((output, activations), new ones).

    Args:
      batches: for D and its like alone: how many stacked batches the inputs are.
    """
    params = spectral.fold(self.params[name], self.vectors.get(name, {}))
    variables = {"params": precision.narrow_kernels(params, self.precision)}
    options = {} if batches is None else {"batches": batches}
    if batch_stats is not None:
      variables["batch_stats"] = batch_stats
      options["mutable"] = ["batch_stats"]
    inputs = [precision.narrow_input(x, self.precision) for x in inputs]
    outputs = getattr(self.networks, name).apply(variables, *inputs, train=True, **options)
    return jax.tree.map(lambda x: x.astype(jnp.float32), outputs)

  def encode(self, x: jax.Array) -> jax.Array:
    """The code E(x) [B, d] that D and G are given."""
    logits, activations = self.apply("E", (x,))
    if self.noise is not None:
      logits = logits + activations["spread"] * self.noise
    return latents.code(logits, self.latents)

  def regress(self, x: jax.Array, z: jax.Array) -> jax.Array:
    """The error of E(x) against z, by the kind of latents."""
    return latents.reconstruction_error(self("E", x), z, self.latents)

  def turns_error(self, x: jax.Array) -> jax.Array:
    """What E pays for telling how pictures were turned: the mean cross-entropy (RotNet)."""
    _, activations = self.apply("E", (augment.turned(x, self.turns),))
    told = activations["turns"]
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(told, self.turns))

  def judge(
      self, real: tuple[jax.Array, ...], fake: tuple[jax.Array, ...], name: str = "D"
  ) -> tuple[jax.Array, jax.Array]:
    """D's logits of two batches, [B] each, or [B, 3] in parts, as one product of 2 B rows."""
    x, *z = (jnp.concatenate(pair) for pair in zip(real, fake, strict=True))
    logits, _ = self.apply(name, [self.look(x), *z], batches=2)
    return tuple(jnp.split(logits, 2))


def own_rows(setup: Setup, draw: Callable[[int], jax.Array], count: int) -> jax.Array:
  """This device's `count` rows of one draw for all devices: their number is no matter."""
  if setup.axis_name is None:
    return draw(count)
  rows = draw(count * jax.lax.axis_size(setup.axis_name))
  return jax.lax.dynamic_slice_in_dim(rows, jax.lax.axis_index(setup.axis_name) * count, count)


def draw_latents(setup: Setup, key: chex.PRNGKey, count: int) -> jax.Array:
  """This device's z, [count, d]."""
  draw = lambda n: latents.sample(key, n, setup.latent_dim, setup.latents)
  return own_rows(setup, draw, count)


def shown(
    setup: Setup, state: TrainState, batch: Batch, key: chex.PRNGKey
) -> tuple[Run, Batch]:
  """The networks of a step, with its singular vectors, noise and views; and what E is shown."""
  vectors = {p: spectral.advance(state.params[p], v) for p, v in state.vectors.items()}
  run = Run(setup.networks, state.params, setup.precision, setup.latents, vectors)
  count = batch.x.shape[0]
  if setup.views is not None:
    draw = lambda n: augment.draw(jax.random.fold_in(key, 1), n)  # apart from z
    draws = own_rows(setup, draw, count)
    batch, run = setup.views.show(batch, draws), run._replace(look=setup.views.look(draws))
  if setup.stochastic:
    noise_key, dim = jax.random.fold_in(key, 2), setup.latent_dim
    draw = lambda n: jax.random.normal(noise_key, (n, dim), jnp.float32)
    run = run._replace(noise=own_rows(setup, draw, count))
  if setup.rotation:
    run = run._replace(turns=own_rows(setup, lambda n: jnp.arange(n) % TURNS, count))
  return run, batch


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
    at = run._replace(params=params)
    losses = setup.objective.losses(at, batch, z)
    if setup.rotation:
      losses["E"] += setup.rotation * at.turns_error(batch.x_encoder)
    return losses

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
  run, batch = shown(setup, state, batch, step_key)
  losses, grads = gradients(setup, run, batch, z)
  turn = players_in_turn(setup, state.step, tuple(losses))
  params, opt_state = dict(state.params), dict(state.opt_state)
  for player in losses:
    old = (state.params[player], state.opt_state[player])
    rate = setup.rate(state.step) * (setup.E_rate_factor if player == "E" else 1)
    new = setup.tx.update(grads[player], old[1], old[0], rate)
    if turn is not None:
      new = jax.tree.map(lambda n, o, p=player: jnp.where(turn[p], n, o), new, old)
    params[player], opt_state[player] = new
  metrics = {"loss": losses}
  if setup.norms:
    metrics["grad_norm"] = jax.tree.map(optax.tree.norm, grads)
  average = mean_of(state.average, params, state.step, setup.decay)
  return TrainState(state.step + 1, params, opt_state, run.vectors, average), metrics


def mean_of(
    average: dict[str, chex.ArrayTree], params: dict[str, chex.ArrayTree], step: jax.Array,
    decay: float,
) -> dict[str, chex.ArrayTree]:
  """The exponentially weighted means after one more step; the first steps count for more."""
  done = step.astype(jnp.float32)
  keep = jnp.minimum(decay, (1 + done) / (10 + done))
  mean = lambda old, new: keep * old + (1 - keep) * new
  return {player: jax.tree.map(mean, old, params[player]) for player, old in average.items()}


def players_in_turn(
    setup: Setup, step: jax.Array, players: tuple[str, ...]
) -> dict[str, jax.Array] | None:
  """Who is updated at this step under the alternating option; None: everyone, always."""
  if not setup.discriminator_steps:
    return None
  ds_turn = step % (setup.discriminator_steps + 1) < setup.discriminator_steps
  return {p: ds_turn if p.startswith("D") else ~ds_turn for p in players}

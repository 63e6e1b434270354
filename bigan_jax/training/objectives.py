"""Section 3 of the paper: V, Lambda, and the losses of BiGAN and of its baselines.

Each objective maps (run, batch, z) to one loss a player; a player learns from its own loss alone,
and all players are updated simultaneously from this one forward pass. `run(name, *inputs)` applies
a network in training mode; `run.encode(x)` is the code E(x), and `run.regress(x, z)` its error
against z; `run.judge(real, fake)` applies D, or another by its name, to two batches in one product,
each with batch statistics of its own.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import chex
import jax
import jax.numpy as jnp

from bigan_jax.data.batch import Batch

Losses = dict[str, jax.Array]
NORM_SHIFT = 1e-8  # under the root: keeps a norm's gradient finite at zero (reference section 7)


class Run(Protocol):
  """Applies networks in training mode."""

  def __call__(self, name: str, *inputs: jax.Array) -> jax.Array: ...

  def encode(self, x: jax.Array) -> jax.Array: ...

  def regress(self, x: jax.Array, z: jax.Array) -> jax.Array: ...

  def judge(
      self, real: tuple[jax.Array, ...], fake: tuple[jax.Array, ...], name: str = "D"
  ) -> tuple[jax.Array, jax.Array]: ...


def value(real: jax.Array, fake: jax.Array) -> jax.Array:
  """V = E_x[log D(x, E(x))] + E_z[log(1 - D(G(z), z))] from logits [B] (paper, equation 3)."""
  chex.assert_rank([real, fake], 1)
  return jnp.mean(jax.nn.log_sigmoid(real)) + jnp.mean(jax.nn.log_sigmoid(-fake))


def inverse_value(real: jax.Array, fake: jax.Array) -> jax.Array:
  """Lambda = E_x[log(1 - D(x, E(x)))] + E_z[log D(G(z), z)]: labels swapped (section 3.3)."""
  return value(-real, -fake)


def generator_loss(fake: jax.Array) -> jax.Array:
  """-E_z[log D(G(z))] from logits [B]: the plain GAN's, with weight 1 (reference section 4)."""
  chex.assert_rank(fake, 1)
  return -jnp.mean(jax.nn.log_sigmoid(fake))


def l2_error(x: jax.Array, y: jax.Array) -> jax.Array:
  """Mean over the batch of || x - y ||_2, images [B, H, W, C] in the native range."""
  chex.assert_equal_shape([x, y])
  squares = jnp.sum(jnp.square(x - y).reshape(x.shape[0], -1), axis=1)
  return jnp.mean(jnp.sqrt(squares + NORM_SHIFT))


def l1_error(x: jax.Array, y: jax.Array) -> jax.Array:
  """Mean over the batch of || x - y ||_1, images [B, H, W, C] in the native range."""
  chex.assert_equal_shape([x, y])
  return jnp.mean(jnp.sum(jnp.abs(x - y).reshape(x.shape[0], -1), axis=1))


def bigan(run: Run, batch: Batch, z: jax.Array) -> Losses:
  """D climbs V; G and E climb Lambda. Both are halved, as the authors' code does (reference 4).

  Generalised, D compares (g_X(x), E(x)) to (G(z), g_Z(z)). g_X, the downsizing of E's crop, is
  applied in 8 bits where the batch is made; g_Z is the identity, as in the authors' experiment.
  """
  g_X_x, g_Z_z = batch.x, z
  E_x = run.encode(batch.x_encoder)
  G_z = run("G", z)
  real, fake = run.judge((g_X_x, E_x), (G_z, g_Z_z))
  inverse = -inverse_value(real, fake) / 2
  return {"D": -value(real, fake) / 2, "G": inverse, "E": inverse}


def twins(a: jax.Array, b: jax.Array) -> jax.Array:
  """Two pictures [B, H, W, C], one above the other, or two codes [B, d], one after the other."""
  return jnp.concatenate([a, b], axis=1)


def alad(run: Run, batch: Batch, z: jax.Array) -> Losses:
  """BiGAN, and two games more about what comes back: D_xx's of pictures and D_zz's of codes.

  D_xx tells (x, x) from (x, G(E(x))), D_zz (z, z) from (z, E(G(z))). Each D climbs V of its own
  pairs; G and E climb Lambda of all three (Zenati et al., "Adversarially Learned Anomaly
  Detection", arXiv 1812.02288, and the authors' code). All are halved, as BiGAN's are.
  """
  x, E_x, G_z = batch.x, run.encode(batch.x_encoder), run("G", z)
  games = {
      "D": run.judge((x, E_x), (G_z, z)),
      "D_xx": run.judge((twins(x, x),), (twins(x, run("G", E_x)),), "D_xx"),
      "D_zz": run.judge((twins(z, z),), (twins(z, run.encode(G_z)),), "D_zz"),
  }
  inverse = -sum(inverse_value(*logits) for logits in games.values()) / 2
  losses = {player: -value(*logits) / 2 for player, logits in games.items()}
  return losses | {"G": inverse, "E": inverse}


def gan(run: Run, batch: Batch, z: jax.Array) -> Losses:
  """The standard GAN, whose D is the feature learner of the baseline "D" (section 4.1)."""
  real, fake = run.judge((batch.x,), (run("G", z),))
  return {"D": -value(real, fake) / 2, "G": generator_loss(fake)}


def latent_regressor(run: Run, batch: Batch, z: jax.Array) -> Losses:
  """A GAN, and E regressing z from G(z); G does not learn from E (section 4.1)."""
  G_z = run("G", z)
  real, fake = run.judge((batch.x,), (G_z,))
  return {"D": -value(real, fake) / 2, "G": generator_loss(fake), "E": run.regress(G_z, z)}


def joint_latent_regressor(run: Run, batch: Batch, z: jax.Array) -> Losses:
  """The regressor's loss shapes G too: G and E share one total, weight 1/4 (reference section 4).

  The authors' README warns that weight 1 gives a degenerate solution.
  """
  losses = latent_regressor(run, batch, z)
  total = losses["G"] + 0.25 * losses["E"]
  return {"D": losses["D"], "G": total, "E": total}


def autoencoder(run: Run, batch: Batch, error: Callable[..., jax.Array]) -> Losses:
  """E and G minimise || x - G(E(x)) || (section 4.2)."""
  reconstruction = run("G", run.encode(batch.x_encoder))
  loss = error(batch.x, reconstruction)
  return {"G": loss, "E": loss}


def autoencoder_l2(run: Run, batch: Batch, z: jax.Array) -> Losses:
  """The autoencoder under the l2 norm; z is not used."""
  del z
  return autoencoder(run, batch, l2_error)


def autoencoder_l1(run: Run, batch: Batch, z: jax.Array) -> Losses:
  """The autoencoder under the l1 norm; z is not used."""
  del z
  return autoencoder(run, batch, l1_error)


class Objective(NamedTuple):
  """An objective and the facts about it that others need.

  Attributes:
    losses: (run, batch, z) -> {player: loss}.
    players: the networks that exist under it; names of discriminators begin with D.
    joint: D judges pairs (x, z) rather than x alone.
    encodes: G is only ever given codes E(x), never z ~ p(z); it is calibrated on them too.
    judged: the network whose features are the method's result.
  """

  losses: Callable[[Run, Batch, jax.Array], Losses]
  players: tuple[str, ...]
  joint: bool = False
  encodes: bool = False
  judged: str = "E"

  @property
  def metric(self) -> str:
    """Of Table 1: 1-NN by the judged features (section 4.2)."""
    return "NNC_e-" if self.judged == "E" else "NNC_d"

  @property
  def best(self) -> str:
    """By which the best networks are chosen: what training improves, unlike 1-NN."""
    return "EGr" if "E" in self.players else "NND"


OBJECTIVES = {
    "bigan": Objective(bigan, ("G", "E", "D"), joint=True),
    "gan": Objective(gan, ("G", "D"), judged="D"),
    "latent_regressor": Objective(latent_regressor, ("G", "E", "D")),
    "joint_latent_regressor": Objective(joint_latent_regressor, ("G", "E", "D")),
    "autoencoder_l2": Objective(autoencoder_l2, ("G", "E"), encodes=True),
    "autoencoder_l1": Objective(autoencoder_l1, ("G", "E"), encodes=True),
    "alad": Objective(alad, ("G", "E", "D", "D_xx", "D_zz"), joint=True),
}

"""TrainState, the optimiser (Adam with coupled l2) and the learning-rate schedule."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import ml_collections
import optax

from bigan_jax.models import Networks, initialise, spectral
from bigan_jax.training.objectives import Objective

ADAM_EPSILON = 1e-8  # outside the square root (reference section 5)


class TrainState(NamedTuple):
  """All that training carries from step to step; randomness is a function of `step`.

  step: number of updates done, int32.
  params, opt_state: one entry for each player; every player has an optimiser of its own.
  vectors: of D and its like with spectral norms, {"D": see models/spectral.py}; {} without them.
  average: exponentially weighted means of the parameters of E and G; {} without them.
  """

  step: jax.Array
  params: dict[str, chex.ArrayTree]
  opt_state: dict[str, chex.ArrayTree]
  vectors: dict[str, spectral.Vectors] = {}
  average: dict[str, chex.ArrayTree] = {}

  def judged(self) -> dict[str, chex.ArrayTree]:
    """The parameters that are judged, saved and exported: averages, and kernels as D has them."""
    folded = {p: spectral.fold(self.params[p], v) for p, v in self.vectors.items()}
    return {**self.params, **self.average, **folded}


class Schedule(NamedTuple):
  """Constant for the first half of training, then exponential decay per epoch (reference 5).

  The first decaying epoch is already below `rate`; the last runs at rate * final_factor, and so
  does the calibration after it (reference 6). Over the first `warmup_epochs`, if any, it rises by
  equal steps.
  """

  rate: float
  final_factor: float
  steps_per_epoch: int
  constant_epochs: int
  decay_epochs: int
  warmup_epochs: int = 0

  def __call__(self, step: chex.Numeric) -> jax.Array:
    """The learning rate at `step` (from 0)."""
    epoch = step // self.steps_per_epoch
    decayed = jnp.clip(epoch - self.constant_epochs + 1, 0, self.decay_epochs)
    decayed = decayed.astype(jnp.float32) / max(self.decay_epochs, 1)
    rate = self.rate * jnp.power(self.final_factor, decayed)
    warmup = self.warmup_epochs * self.steps_per_epoch
    return rate * jnp.minimum(1, (step + 1) / warmup) if warmup else rate


class Optimiser(NamedTuple):
  """Adam with coupled l2: decay enters the gradient before the moments (reference section 5).

  decay_shifts: decay the shifts of batch norm too, as the authors' code does; the paper decays
    multiplicative weights alone. Gains are never decayed.
  """

  b1: float
  b2: float
  weight_decay: float
  decay_shifts: bool

  def init(self, params: chex.ArrayTree) -> chex.ArrayTree:
    """Moments of zero."""
    return self._transformation().init(params)

  def update(
      self, grads: chex.ArrayTree, opt_state: chex.ArrayTree, params: chex.ArrayTree,
      rate: chex.Numeric,
  ) -> tuple[chex.ArrayTree, chex.ArrayTree]:
    """New (params, opt_state) after one step at learning rate `rate`.

    Only optax's moments are used, and the step is taken from them here, for the sake of CPUs: XLA
    there recomputes both moments inside the update of the weights, and copies whole arrays to do
    so. A conditional, though always taken, keeps the two apart: 26 ms instead of 31 ms a step of
    the MNIST networks on 2 cores.
    """
    with jax.numpy_dtype_promotion("standard"):  # optax raises floats to its counts, int32
      _, opt_state = self._transformation().update(grads, opt_state, params)
    adam = opt_state[1]
    def step(params: chex.ArrayTree, mu: chex.ArrayTree, nu: chex.ArrayTree) -> chex.ArrayTree:
      count = adam.count.astype(jnp.float32)
      mu_hat = optax.tree.bias_correction(mu, self.b1, count)
      nu_hat = optax.tree.bias_correction(nu, self.b2, count)
      return jax.tree.map(
          lambda w, m, v: w - rate * m / (jnp.sqrt(v) + ADAM_EPSILON), params, mu_hat, nu_hat
      )
    def always(*args: chex.ArrayTree) -> chex.ArrayTree:
      return jax.lax.cond(adam.count > 0, step, lambda params, *_: params, *args)
    stepped = jax.lax.platform_dependent(params, adam.mu, adam.nu, cpu=always, default=step)
    return stepped, opt_state

  def _transformation(self) -> optax.GradientTransformation:
    decayed = {"kernel", "bias"} if self.decay_shifts else {"kernel"}
    def mask(params: chex.ArrayTree) -> chex.ArrayTree:
      return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key in decayed, params)
    return optax.chain(
        optax.add_decayed_weights(self.weight_decay, mask),
        optax.scale_by_adam(b1=self.b1, b2=self.b2, eps=ADAM_EPSILON),
    )


def schedule(optim: ml_collections.ConfigDict, epochs: int, steps_per_epoch: int) -> Schedule:
  """The schedule of a config: half of the epochs constant, half decaying (paper, appendix A)."""
  decay_epochs = epochs // 2
  constant_epochs = epochs - decay_epochs
  return Schedule(
      optim.rate, optim.final_factor, steps_per_epoch, constant_epochs, decay_epochs,
      min(optim.warmup_epochs, constant_epochs // 2),
  )


def optimiser(optim: ml_collections.ConfigDict) -> Optimiser:
  """The optimiser of a config's `optim` section."""
  return Optimiser(optim.b1, optim.b2, optim.weight_decay, optim.decay_shifts)


def initial_state(
    networks: Networks, model: ml_collections.ConfigDict, objective: Objective, tx: Optimiser,
    key: chex.PRNGKey, averaged: bool = False,
) -> tuple[TrainState, dict[str, chex.ArrayTree]]:
  """The state before training, and the zeroed batch statistics that calibration starts from.

  Args:
    averaged: keep means of the parameters of E and G.
  """
  variables = initialise(networks, model, objective.players, objective.joint, key)
  params = {p: v["params"] for p, v in variables.items()}
  opt_state = {p: tx.init(v) for p, v in params.items()}
  batch_stats = {p: v["batch_stats"] for p, v in variables.items()}
  judges = [p for p in params if p.startswith("D")]
  normed = judges if model.D.get("norm") == "spectral" else []
  vectors = {p: spectral.start(params[p]) for p in normed}
  average = {p: params[p] for p in params if p not in judges} if averaged else {}
  return TrainState(jnp.zeros((), jnp.int32), params, opt_state, vectors, average), batch_stats


def blank_classifier(
    model: ml_collections.ConfigDict, networks: Networks, objective: Objective,
    params: dict[str, chex.ArrayTree], classes: int,
) -> dict[str, jax.Array]:
  """Zeros [features, classes] for the judged features; {} without labels."""
  if not classes:
    return {}
  network = getattr(networks, objective.judged)
  shape = model.encoder_shape if objective.judged == "E" else model.image_shape
  x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
  variables = {"params": params[objective.judged]}
  _, activations = jax.eval_shape(lambda v, x: network.apply(v, x, train=True), variables, x)
  return {"kernel": jnp.zeros((activations[network.feature_layer].size, classes), jnp.float32)}


class Snapshot(NamedTuple):
  """A frozen set of networks with calibrated statistics: what evaluators are given.

  step, epoch: when it was taken.
  variables: {player: {"params": ..., "batch_stats": ...}}.
  classifier: {"kernel": [features, classes]} of calibration's linear softmax; {} without labels.
  """

  step: int
  epoch: int
  variables: dict[str, chex.ArrayTree]
  classifier: dict[str, jax.Array]

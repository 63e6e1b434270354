"""The training step of a network of which some layers are frozen: pure, for one device."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from bigan_jax.data.batch import Batch
from bigan_jax.models import precision
from bigan_jax.transfer.sgd import Sgd, Steps

Measures = dict[str, jax.Array]


class HeadState(NamedTuple):
  """All that training carries from step to step; randomness is a function of `step`.

  Attributes:
    step: number of updates done, int32.
    frozen: layers that nothing changes: neither gradients, decay nor momentum know them.
    params: the other layers.
    momentum: of params.
    sums: of the measures over the epoch so far.
  """

  step: jax.Array
  frozen: dict[str, chex.ArrayTree]
  params: dict[str, chex.ArrayTree]
  momentum: chex.ArrayTree
  sums: Measures


class Setup(NamedTuple):
  """What stays fixed through a run.

  Attributes:
    network: (x, keys) -> (output, activations).
    tx: the optimiser, without the learning rate.
    rate: the learning rate as a function of the step.
    measure: (output, labels) -> {"loss": mean loss of the batch, other means}.
    axis_name: the device axis, None outside of a map.
    precision: what the network is computed with, a key of precision.PRODUCTS.
  """

  network: nn.Module
  tx: Sgd
  rate: Steps
  measure: Callable[[jax.Array, Any], Measures]
  axis_name: str | None = None
  precision: str = "float32"

  def apply(self, params: dict[str, chex.ArrayTree], x: Any, keys: jax.Array) -> jax.Array:
    """The output in training, float32, whatever the precision; of a tuple x, images come first."""
    narrow = lambda tree: jax.tree.map(lambda a: precision.narrow_input(a, self.precision), tree)
    x = (narrow(x[0]), *x[1:]) if isinstance(x, tuple) else narrow(x)  # Boxes keep all digits.
    return self.network.apply({"params": narrow(params)}, x, keys)[0].astype(jnp.float32)

  def average(self, tree: chex.ArrayTree) -> chex.ArrayTree:
    """Mean over the device axis."""
    return tree if self.axis_name is None else jax.lax.pmean(tree, self.axis_name)


def classification(logits: jax.Array, labels: jax.Array) -> Measures:
  """Softmax cross-entropy, and right answers in percent; logits [B, classes], labels [B]."""
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  right = jnp.argmax(logits, axis=-1) == labels
  return {"loss": jnp.mean(losses), "accuracy": 100 * jnp.mean(right)}


def initial_state(
    tx: Sgd, params: dict[str, chex.ArrayTree], frozen: tuple[str, ...], measures: tuple[str, ...]
) -> HeadState:
  """The state before training.

  Args:
    params: of all layers.
    frozen: names of those that stay as they are.
    measures: names of what `Setup.measure` returns.
  """
  trained = {name: layer for name, layer in params.items() if name not in frozen}
  kept = {name: params[name] for name in frozen}
  sums = {name: jnp.zeros(()) for name in measures}
  return HeadState(jnp.zeros((), jnp.int32), kept, trained, tx.init(trained), sums)


@precision.traced
def step(
    setup: Setup, state: HeadState, batch: Batch, labels: Any, key: chex.PRNGKey
) -> tuple[HeadState, Measures]:
  """One update of the layers that are trained.

  Args:
    setup: bound by functools.partial before jit.
    batch: this device's images; the network sees batch.x.
    labels: theirs.
    key: of the whole run; the step folds its number in.

  Returns:
    The state at t + 1, and the measures at the old parameters, averaged over devices.
  """
  count = jax.tree.leaves(batch.x)[0].shape[0]
  keys = image_keys(setup, jax.random.fold_in(key, state.step), count)
  def loss(params: dict[str, chex.ArrayTree]) -> tuple[jax.Array, Measures]:
    output = setup.apply({**state.frozen, **params}, batch.x, keys)
    measures = setup.measure(output, labels)
    return measures["loss"], measures
  grads, measures = setup.average(jax.grad(loss, has_aux=True)(state.params))
  params, momentum = setup.tx.update(grads, state.momentum, state.params, setup.rate(state.step))
  new_epoch = state.step % setup.rate.steps_per_epoch == 0
  sums = jax.tree.map(lambda old, m: jnp.where(new_epoch, 0, old) + m, state.sums, measures)
  return HeadState(state.step + 1, state.frozen, params, momentum, sums), measures


def image_keys(setup: Setup, key: chex.PRNGKey, count: int) -> jax.Array:
  """A key for each of this device's images [count, ...]: the number of devices is no matter."""
  first = 0 if setup.axis_name is None else jax.lax.axis_index(setup.axis_name) * count
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(count))

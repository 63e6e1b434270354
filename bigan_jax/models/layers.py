"""Layers that BiGAN's networks share: batch norm with calibrated statistics, linear, activation."""

import flax.linen as nn
import jax
import jax.numpy as jnp

EPSILON = 1e-8  # added to the variance (reference section 0); 1e-5 would change every output
STDDEV = 0.02  # of weights at first (reference section 0)
TURNS = 4  # ways to turn a square picture by right angles
AXIS = "batch"  # the device axis of parallel.py, over which batch statistics are averaged


def leaky_relu(x: jax.Array) -> jax.Array:
  """Leaky ReLU with slope 0.2, the nonlinearity of D and E (paper, appendix A.1)."""
  return jnp.where(x > 0, x, 0.2 * x)  # jnp.maximum keeps a mask of ties for its gradient


def linear(features: int, name: str, stddev: float = STDDEV, bias: bool = False) -> nn.Dense:
  """A linear layer, weights N(0, stddev); stddev 0: zeros (reference section 0)."""
  init = nn.initializers.normal(stddev) if stddev else nn.initializers.zeros
  return nn.Dense(features, use_bias=bias, kernel_init=init, name=name)


def code_logits(
    h: jax.Array, dim: int, stddev: float, stochastic: bool, turns: bool, train: bool
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """E's output of its last hidden layer h: logits [B, d], and what training alone has a use for.

  Args:
    stochastic: tell the spread of which they are the mean too, {"spread": [B, d]}, as BigBiGAN's E.
    turns: tell by how many right angles the picture is turned, {"turns": logits [B, 4]}.
  """
  logits, others = linear(dim, "out", stddev)(h), {}
  if stochastic:
    others["spread"] = nn.softplus(linear(dim, "out_spread")(h))
  if turns:
    others["turns"] = linear(TURNS, "out_turns")(h)
  return logits, others if train else {}


def project(z: jax.Array, h: jax.Array, name: str, stddev: float) -> jax.Array:
  """A linear projection of z [B, d] that can be added to h [B, ..., C], at every position."""
  projected = linear(h.shape[-1], name, stddev)(z)
  return projected.reshape(h.shape[0], *(h.ndim - 2) * (1,), h.shape[-1])


class BatchNorm(nn.Module):
  """Batch normalisation without moving averages (reference sections 0 and 6).

  In training each batch is normalised by its own statistics, averaged over the devices of
  `axis_name`. Where the collection `batch_stats` is mutable (calibration), the batch's mean and
  unbiased variance are added to running sums; at test time sums / count take their place.

  Attributes:
    affine: learn a gain (`scale`) and a shift (`bias`) per channel.
    axis_name: the mapped device axis, or None outside of one.
  """

  affine: bool = False
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: jax.Array, train: bool, batches: int = 1) -> jax.Array:
    """Normalises x: [batches * B, ..., C]; each of the `batches` by its own statistics.

    Only the first of several batches is calibrated on: the real pairs, in D. Statistics and
    normalisation are float32; the result is of x's type.
    """
    x = jnp.asarray(x)
    channels = x.shape[-1]
    # A leading axis of one batch slows the gradients of the sums: 632 instead of 70 ms for
    # [128, 32, 32, 64] on 2 CPU cores.
    wide = x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x
    stacked = wide.reshape(*(() if batches == 1 else (batches,)), -1, channels)
    if train:
      mean, var = self._batch_statistics(stacked)
      if self.is_mutable_collection("batch_stats"):
        first = (s.reshape(-1, channels)[0] for s in (mean, var))
        self._accumulate(*first, stacked.shape[-2] * self._devices())
    else:
      mean, var = self._calibrated_statistics(channels)
    rows = (*(stacked.ndim - 1) * (1,), channels)
    if not train:
      mean, var = mean.reshape(rows), var.reshape(rows)
    y = (stacked - mean) * jax.lax.rsqrt(var + EPSILON)
    if self.affine:
      one = (channels,), jnp.float32
      y = y * self.param("scale", nn.initializers.ones, *one).reshape(rows)
      y = y + self.param("bias", nn.initializers.zeros, *one).reshape(rows)
    return y.reshape(x.shape).astype(x.dtype)

  def _batch_statistics(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of each batch: x [..., B, C] -> two of [..., 1, C]."""
    mean = self._average(jnp.mean(x, axis=-2, keepdims=True))
    # Deviations sum to zero, and so does what the variance tells the mean: one pass less back.
    deviation = x - jax.lax.stop_gradient(mean)
    return mean, self._average(jnp.mean(jnp.square(deviation), axis=-2, keepdims=True))

  def _sums(self, channels: int) -> tuple[nn.Variable, nn.Variable, nn.Variable]:
    """Count, sum of means and sum of variances, as the authors' weight files hold them."""
    return (
        self.variable("batch_stats", "count", jnp.zeros, (), jnp.float32),
        self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32),
        self.variable("batch_stats", "var", jnp.zeros, (channels,), jnp.float32),
    )

  def _accumulate(self, mean: jax.Array, var: jax.Array, n: int) -> None:
    """Adds one batch's statistics [C]; its variance unbiased by n / (n - 1)."""
    count, mean_sum, var_sum = self._sums(mean.shape[0])
    count.value += 1.0
    mean_sum.value += mean
    var_sum.value += var * (n / (n - 1))

  def _calibrated_statistics(self, channels: int) -> tuple[jax.Array, jax.Array]:
    count, mean_sum, var_sum = self._sums(channels)
    if self.is_initializing():  # Nothing is summed yet, and nobody looks at what comes out.
      return mean_sum.value, var_sum.value
    return mean_sum.value / count.value, var_sum.value / count.value

  def _average(self, x: jax.Array) -> jax.Array:
    return x if self.axis_name is None else jax.lax.pmean(x, self.axis_name)

  def _devices(self) -> int:
    return 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)

"""Max pooling with explicit padding, fast on CPU too.

XLA's CPU backend is slow at its gradient: there it is a sum over the entries of the windows.
"""

from functools import partial

import jax
from jax import lax
import jax.numpy as jnp

from bigan_jax.models.strided import Window, choose


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def max_pool(x: jax.Array, k: int, window: Window) -> jax.Array:
  """Maxima over k x k windows of x [B, H, W, C]; padding never wins (reference section 2).

  Of equal maxima in a window the first receives the gradient.
  """
  return _native_max_pool(k, window, x)


max_pool.defvjp(
    lambda x, k, window: (max_pool(x, k, window), x),
    lambda k, window, x, y: (_max_pool_gradient(k, window, x, y),),
)


@partial(jax.jit, static_argnums=(0, 1), inline=True)
def _max_pool_gradient(k: int, window: Window, x: jax.Array, y: jax.Array) -> jax.Array:
  native = lambda x, y: jax.vjp(partial(_native_max_pool, k, window), x)[1](y)[0]
  views = partial(_views_max_pool_gradient, k, window)
  return choose(views, native, x, y, on_cuda=views)


def _native_max_pool(k: int, window: Window, x: jax.Array) -> jax.Array:
  padding = (window.padding, window.padding)
  return lax.reduce_window(
      x, -jnp.inf, lax.max, (1, k, k, 1), (1, window.stride, window.stride, 1),
      ((0, 0), padding, padding, (0, 0)),
  )


def _views_max_pool_gradient(k: int, window: Window, x: jax.Array, y: jax.Array) -> jax.Array:
  """Sends y [B, H', W', C] to where the maxima of x come from."""
  def views(x: jax.Array, fill: float) -> list[jax.Array]:
    """One array [B, H', W', C] for each entry of the windows, in order."""
    p, s = window.padding, window.stride
    sides = ((0, 0), (p, p), (p, p), (0, 0))
    padded = jnp.pad(x, sides, constant_values=fill)
    rows, columns = (s * (n - 1) + 1 for n in y.shape[1:3])
    return [padded[:, i:i + rows:s, j:j + columns:s] for i in range(k) for j in range(k)]

  best, winner = jnp.full_like(y, -jnp.inf), jnp.zeros(y.shape, jnp.int8)
  for i, view in enumerate(views(x, -jnp.inf)):
    winner = jnp.where(view > best, jnp.int8(i), winner)
    best = jnp.maximum(view, best)
  shares = [jnp.where(winner == i, y, 0) for i in range(k * k)]
  return jax.linear_transpose(lambda x: views(x, 0), x)(shares)[0]

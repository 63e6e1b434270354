"""The latent space: z ~ p(z), the encoder's code, and the latent reconstruction error."""

import chex
import jax
import jax.numpy as jnp


def sample(key: chex.PRNGKey, count: int, dim: int) -> jax.Array:
  """Draws z ~ U(-1, 1)^dim as [count, dim] (paper, sections 4.2 and 4.3)."""
  return jax.random.uniform(key, (count, dim), jnp.float32, -1.0, 1.0)


def code(logits: jax.Array) -> jax.Array:
  """Squashes encoder logits into the support of p(z): 2 sigmoid(a) - 1 = tanh(a / 2).

  D and G receive this code; the metric NNC_e uses the raw logits (reference section 3).
  """
  return jnp.tanh(logits / 2)


def reconstruction_error(logits: jax.Array, z: jax.Array) -> jax.Array:
  """Sigmoid cross entropy of E(G(z)) against z, the regressors' loss L(z, E(G(z))).

  Args:
    logits: raw encoder output a: [B, d].
    z: the latent that G was given, in [-1, 1]: [B, d].

  Returns:
    The mean over dimensions and batch of BCE(sigmoid(a) -> (z + 1) / 2), in nats
    (paper section 4.1, reference section 4).
  """
  chex.assert_equal_shape([logits, z])
  target = (z + 1) / 2
  return jnp.mean(jax.nn.softplus(logits) - target * logits)

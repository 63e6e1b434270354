"""The latent space: z ~ p(z), the encoder's code, and the latent reconstruction error.

p(z) is "uniform", U(-1, 1)^d, as in the paper, or "normal", N(0, I), as in BigBiGAN (Donahue and
Simonyan, 2019).
"""

import chex
import jax
import jax.numpy as jnp
import ml_collections

KINDS = ("uniform", "normal")


def kind(model: ml_collections.ConfigDict) -> str:
  """Which p(z) a config's section `model` has; runs of before had no choice."""
  return model.get("latents", KINDS[0])


def sample(key: chex.PRNGKey, count: int, dim: int, kind: str = KINDS[0]) -> jax.Array:
  """Draws z as [count, dim] (paper, sections 4.2 and 4.3)."""
  if kind == "normal":
    return jax.random.normal(key, (count, dim), jnp.float32)
  return jax.random.uniform(key, (count, dim), jnp.float32, -1.0, 1.0)


def code(logits: jax.Array, kind: str = KINDS[0]) -> jax.Array:
  """Squashes encoder logits into the support of p(z): 2 sigmoid(a) - 1 = tanh(a / 2).

  N(0, I) is everywhere: there logits are the code. D and G receive this code; the metric NNC_e uses
  the raw logits (reference section 3).
  """
  return logits if kind == "normal" else jnp.tanh(logits / 2)


def reconstruction_error(logits: jax.Array, z: jax.Array, kind: str = KINDS[0]) -> jax.Array:
  """Sigmoid cross entropy of E(G(z)) against z, the regressors' loss L(z, E(G(z))).

  Args:
    logits: raw encoder output a: [B, d].
    z: the latent that G was given: [B, d].

  Returns:
    The mean over dimensions and batch of BCE(sigmoid(a) -> (z + 1) / 2), in nats (paper section
    4.1, reference section 4); of normal latents, of (a - z)^2 / 2, the cross entropy of N(a, I)
    but for a constant.
  """
  chex.assert_equal_shape([logits, z])
  if kind == "normal":
    return jnp.mean(jnp.square(logits - z)) / 2
  target = (z + 1) / 2
  return jnp.mean(jax.nn.softplus(logits) - target * logits)

"""Applies frozen networks, in test mode with calibrated statistics, block by block.

All products are of full float32 precision, whatever the networks were trained with.
"""

from collections.abc import Iterator
import functools

import chex
import flax.linen as nn
import jax
import numpy as np

from bigan_jax.data import batches
from bigan_jax.models import latents

BLOCK = 1_024  # images at a time; a multiple of 128, the batch within which EGr_b shifts


@functools.partial(jax.jit, static_argnames=("network",))
def apply(network: nn.Module, variables: chex.ArrayTree, *inputs: jax.Array) -> jax.Array:
  """The network's output alone."""
  with jax.default_matmul_precision("float32"):
    return network.apply(variables, *inputs)[0]


@functools.partial(jax.jit, static_argnames=("network", "views", "sees"))
def _describe(
    network: nn.Module, variables: chex.ArrayTree, views: batches.Views, sees: str,
    images: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  x = getattr(views(images), sees)
  with jax.default_matmul_precision("float32"):
    output, activations = network.apply(variables, x)
  return output, activations[network.feature_layer].reshape(x.shape[0], -1)


def describe(
    network: nn.Module, variables: chex.ArrayTree, views: batches.Views, sees: str,
    images: np.ndarray,
) -> Iterator[tuple[jax.Array, jax.Array]]:
  """A network's output and last hidden features of images uint8 [N, H, W, C], block by block.

  Args:
    sees: the field of Batch that the network is applied to: "x_encoder" for E, "x" for a plain D.

  Yields:
    (output [B, d] or [B], features [B, f]): e and e- in the authors' names (reference section 7).
  """
  for i in range(0, len(images), BLOCK):
    yield _describe(network, variables, views, sees, images[i:i + BLOCK])


@functools.partial(jax.jit, static_argnames=("G", "E", "kind", "views"))
def reconstruct(
    G: nn.Module, E: nn.Module, kind: str, variables: dict[str, chex.ArrayTree],
    views: batches.Views, images: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """(x, G(E(x))) in the native range, of images uint8 [B, H, W, C]; `kind` is that of latents."""
  batch = views(images)
  with jax.default_matmul_precision("float32"):
    logits, _ = E.apply(variables["E"], batch.x_encoder)
    return batch.x, G.apply(variables["G"], latents.code(logits, kind))[0]

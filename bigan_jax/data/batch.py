"""A batch: what D sees and G makes, and what E sees."""

from typing import NamedTuple

import jax


class Batch(NamedTuple):
  """Images in the native range; both fields are one array unless BiGAN is generalised.

  x: [B, H, W, C], what D sees and G makes: g_X of the encoder's image (paper v7, section 3.5).
  x_encoder: [B, H', W', C], what E sees.
  """

  x: jax.Array
  x_encoder: jax.Array

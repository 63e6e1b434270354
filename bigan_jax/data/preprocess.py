"""Pixels between 8-bit storage and the networks' native range."""

import jax
import jax.numpy as jnp

Range = tuple[float, float]


def to_native(pixels: jax.Array, value_range: Range) -> jax.Array:
  """uint8 0..255 -> float32 in `value_range`: (0, 1) for digits, (-1, 1) for pictures."""
  low, high = value_range
  return pixels.astype(jnp.float32) * ((high - low) / 255) + low


def to_uint8(x: jax.Array, value_range: Range) -> jax.Array:
  """Native range -> uint8, rounded and clipped to 0..255."""
  low, high = value_range
  return jnp.clip(jnp.round((x - low) * (255 / (high - low))), 0, 255).astype(jnp.uint8)

"""build(config) -> the networks G, E and D, by one explicit dict of names."""

from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from bigan_jax.models import alexnet, dcgan, dim, mlp


class Networks(NamedTuple):
  """The three players; apply -> (output, {layer name: activation})."""

  G: nn.Module
  E: nn.Module
  D: nn.Module


FAMILIES = {
    "mlp": Networks(mlp.Generator, mlp.Encoder, mlp.Discriminator),
    "dcgan": Networks(dcgan.Generator, alexnet.Encoder, dcgan.Discriminator),
    "dcgan_alexnet_D": Networks(dcgan.Generator, alexnet.Encoder, alexnet.Discriminator),
    "dim": Networks(dcgan.Generator, dim.Encoder, dim.Discriminator),
    "dim_alexnet_E": Networks(dcgan.Generator, alexnet.Encoder, dim.Discriminator),
}


def build(model: ml_collections.ConfigDict, axis_name: str | None = None) -> Networks:
  """Builds the networks of a config's `model` section.

  Args:
    model: family, sizes and the fields of each player.
    axis_name: device axis over which batch statistics are averaged, None for a single device.
  """
  family = FAMILIES[model.family]
  return Networks(
      G=family.G(
          image_shape=tuple(model.image_shape),
          value_range=tuple(model.value_range),
          axis_name=axis_name,
          **model.G,
      ),
      E=family.E(latent_dim=model.latent_dim, axis_name=axis_name, **model.E),
      D=family.D(axis_name=axis_name, **model.D),
  )


def initialise(
    networks: Networks, model: ml_collections.ConfigDict, players: tuple[str, ...], joint: bool,
    key: chex.PRNGKey,
) -> dict[str, chex.ArrayTree]:
  """Initial {player: {"params": ..., "batch_stats": ...}}; D takes z only if `joint`."""
  shapes = (model.image_shape, model.encoder_shape, (model.latent_dim,))
  x, x_encoder, z = (jax.ShapeDtypeStruct((1, *shape), jnp.float32) for shape in shapes)
  inputs = {"G": (z,), "E": (x_encoder,), "D": (x, z) if joint else (x,)}
  keys = dict(zip("GED", jax.random.split(key, 3)))
  # Lazily: no pass through the networks is compiled, operation by operation, and thrown away.
  variables = {p: getattr(networks, p).lazy_init(keys[p], *inputs[p]) for p in players}
  return {p: {"batch_stats": {}, **v} for p, v in variables.items()}

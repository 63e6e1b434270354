"""build(config) -> the networks G, E and D, by one explicit dict of names."""

from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from bigan_jax.models import alexnet, dcgan, dim, mlp


class Networks(NamedTuple):
  """The players; apply -> (output, {layer name: activation}).

  D_xx is D's maps alone, of two pictures instead of a pair: as ALAD's, it has no hidden layer
  between the last of them and its logit. D_zz has perceptrons, of two codes.
  """

  G: nn.Module
  E: nn.Module
  D: nn.Module
  D_xx: nn.Module | None = None
  D_zz: nn.Module | None = None


ZZ_WIDTH = 256  # units of each hidden layer of D_zz; ALAD's has 64 and 32, with 100 latents
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
  D = family.D(axis_name=axis_name, **model.D)
  return Networks(
      G=family.G(
          image_shape=tuple(model.image_shape),
          value_range=tuple(model.value_range),
          axis_name=axis_name,
          **model.G,
      ),
      E=family.E(latent_dim=model.latent_dim, axis_name=axis_name, **model.E),
      D=D,
      D_xx=D.clone(hidden=0) if isinstance(D, dcgan.Discriminator) else D,
      D_zz=mlp.Discriminator(ZZ_WIDTH, norm=model.D.get("norm", "batch"), axis_name=axis_name),
  )


def initialise(
    networks: Networks, model: ml_collections.ConfigDict, players: tuple[str, ...], joint: bool,
    key: chex.PRNGKey,
) -> dict[str, chex.ArrayTree]:
  """Initial {player: {"params": ..., "batch_stats": ...}}; D takes z only if `joint`."""
  height, *rest = model.image_shape
  shapes = (model.image_shape, model.encoder_shape, (model.latent_dim,), (2 * height, *rest),
            (2 * model.latent_dim,))
  x, x_encoder, z, xx, zz = (jax.ShapeDtypeStruct((1, *shape), jnp.float32) for shape in shapes)
  inputs = {"G": (z,), "E": (x_encoder,), "D": (x, z) if joint else (x,), "D_xx": (xx,),
            "D_zz": (zz,)}
  keys = dict(zip("GED", jax.random.split(key, 3)))
  keys |= {p: jax.random.fold_in(keys["D"], i) for i, p in enumerate(("D_xx", "D_zz"))}
  # Lazily: no pass through the networks is compiled, operation by operation, and thrown away.
  variables = {p: getattr(networks, p).lazy_init(keys[p], *inputs[p]) for p in players}
  return {p: {"batch_stats": {}, **v} for p, v in variables.items()}

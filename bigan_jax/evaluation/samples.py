"""Samples G(z) of a trained model as pictures: the same ones for whoever gives the same seed."""

from collections.abc import Iterator
import pathlib

import jax
import numpy as np

from bigan_jax.data.preprocess import to_uint8
from bigan_jax.evaluation import pictures
from bigan_jax.exchange import blocks, loaded
from bigan_jax.machine import progress
from bigan_jax.models import latents


def drawn(model: loaded.Model, count: int, seed: int) -> Iterator[np.ndarray]:
  """`count` samples in all, block by block: uint8 [b, H, W, C]."""
  key, kind = jax.random.PRNGKey(seed), latents.kind(model.config.model)
  for first in progress.over(range(0, count, blocks.BLOCK), -(-count // blocks.BLOCK), "samples"):
    z = latents.sample(jax.random.fold_in(key, first), blocks.BLOCK, model.latent_dim, kind)
    yield np.asarray(to_uint8(model.G(z), model.value_range))[:count - first]


def write(folder: pathlib.Path, images: np.ndarray, first: int = 0) -> None:
  """Writes pictures uint8 [N, H, W, C] as PNGs, named by their numbers from `first` on."""
  for i, image in enumerate(images, start=first):
    pictures.save(image, folder / f"{i:06d}.png")

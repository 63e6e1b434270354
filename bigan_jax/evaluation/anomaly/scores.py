"""Anomaly scores that a picture has by itself, from a BiGAN's networks: higher is stranger.

x is the picture, x' = G(E(x)) its reconstruction, f the last hidden layer of D. EGBAD is Zenati et
al., "Efficient GAN-Based Anomaly Detection", arXiv 1802.06222, and its authors' code; ALAD theirs
too, "Adversarially Learned Anomaly Detection", arXiv 1812.02288.
"""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from bigan_jax.data.preprocess import Range, shrink, to_native
from bigan_jax.exchange import loaded
from bigan_jax.models.layers import TURNS

EGBAD_WEIGHT = 0.1  # of D's features; the rest is of pixels (EGBAD's code)
TITLES = {
    "pixels": "mean |x - x'| of pixels",
    "features": "mean |f(x, E(x)) - f(x', E(x))| of D's last hidden layer",
    "egbad": "EGBAD: 0.9 of the sum over pixels, 0.1 of that over D's features",
    "discriminator": "cross-entropy of D(x, E(x)) against real",
    "code": "mean |E(x) - E(x')|",
    "neighbours": "mean distance of E's last hidden layer to the nearest normal pictures",
    "cosine": "mean of 1 - cosine of E's last hidden layer and the nearest normal pictures'",
    "turns": "mean cross-entropy of E's answers to how the picture is turned, of all four turns",
    "alad": "ALAD: sum |f(x, x) - f(x, x')| of D_xx's last hidden layer",
    "combined": "mean of pixels, neighbours and cosine, standardised by held-out normal pictures",
}
ALAD, TURNED = "alad", "turns"  # of a D_xx, of an E that was asked: most networks lack both
COMBINED = ("pixels", "neighbours", "cosine")  # those that `combined` is of
PREFERRED = (ALAD, TURNED, "combined", "discriminator")  # see fitting.default
FEATURES = "e-"  # beside the scores: what `neighbours` and `cosine` compare


class Look(NamedTuple):
  """Pictures as D sees them, and made again: both float32 [B, H, W, C] in the native range."""

  x: jax.Array
  back: jax.Array


def available(model: loaded.Model) -> tuple[str, ...]:
  """The scores that a model's networks allow, of TITLES.

  Without E there is D's verdict on x alone; without D, what E and G say. Where E sees larger
  pictures than G makes (generalised BiGAN), E cannot see x', and there is no `code`.
  """
  judged = "D" in model.sizes
  if model.E is None:
    return ("discriminator",) if judged else ()
  lacking = set() if judged else {"features", "egbad", "discriminator"}
  lacking |= set() if model.encoder_shape == model.image_shape else {"code"}
  lacking |= set() if model.D_xx else {"alad"}
  lacking |= set() if model.turns else {"turns"}
  return tuple(name for name in TITLES if name not in lacking)


def look(model: loaded.Model, images: chex.Array) -> Look:
  """x and G(E(x)) of pictures uint8 [B, *encoder_shape]."""
  code, _ = model.E(_native(images, model.value_range, 0))
  return Look(_native(images, model.value_range, model.image_shape[0]), model.G(code))


def measure(model: loaded.Model, images: chex.Array) -> dict[str, jax.Array]:
  """All that pictures have by themselves.

  Args:
    images: uint8 [B, *encoder_shape].

  Returns:
    {score: [B]} of `available`, but for `neighbours`, `cosine` and `combined`; FEATURES: [B, f], if
    there is an E.
  """
  x = _native(images, model.value_range, model.image_shape[0])
  if model.E is None:
    return {"discriminator": discriminator(model.D(x)[0])}
  seen = _native(images, model.value_range, 0)
  code, layers = model.E(seen)
  back = model.G(code)
  found = {"pixels": mean_distance(x, back), FEATURES: layers[model.feature_layer].reshape(
      len(images), -1)}
  if model.encoder_shape == model.image_shape:
    found["code"] = mean_distance(code, model.E(back)[0])
  if "D" in model.sizes:
    given = (code,) if "z" in loaded.judged_shapes(model.config) else ()
    (logits, real), (_, fake) = model.D(x, *given), model.D(back, *given)
    f, f_back = real[model.hidden_layer], fake[model.hidden_layer]
    found["features"] = mean_distance(f, f_back)
    found["egbad"] = egbad(Look(x, back), f, f_back, model.value_range)
    found["discriminator"] = discriminator(logits)
  if model.turns:
    found["turns"] = turns([model.turns(jnp.rot90(seen, k, axes=(1, 2))) for k in range(TURNS)])
  if model.D_xx:
    found["alad"] = distance(model.D_xx(x, x)[1], model.D_xx(x, back)[1])
  return found


@jax.jit
def mean_distance(a: jax.Array, b: jax.Array) -> jax.Array:
  """Mean absolute difference of each of [B, ...] to its pair: [B]."""
  return jnp.mean(jnp.abs(a - b).reshape(a.shape[0], -1), axis=1)


@jax.jit
def distance(a: jax.Array, b: jax.Array) -> jax.Array:
  """Sum of absolute differences of each of [B, ...] to its pair: [B]."""
  return jnp.sum(jnp.abs(a - b).reshape(a.shape[0], -1), axis=1)


@functools.partial(jax.jit, static_argnames="value_range")
def egbad(pair: Look, f: jax.Array, f_back: jax.Array, value_range: Range) -> jax.Array:
  """0.9 sum |x - x'| + 0.1 sum |f - f'|: [B]; pixels as in the authors' code, from -1 to 1."""
  low, high = value_range
  pixels = distance(pair.x, pair.back) * (2 / (high - low))
  return (1 - EGBAD_WEIGHT) * pixels + EGBAD_WEIGHT * distance(f, f_back)


@jax.jit
def discriminator(logits: jax.Array) -> jax.Array:
  """Cross-entropy of D's logits against "real", as the paper of EGBAD writes it: [B].

  Args:
    logits: [B], or [B, 3] of a D in parts, which are summed, as in its loss.
  """
  return jnp.sum(jax.nn.softplus(-logits).reshape(len(logits), -1), axis=1)


@jax.jit
def turns(answers: list[jax.Array]) -> jax.Array:
  """Mean cross-entropy of logits [B, 4], of which the k-th are of pictures turned k times: [B]."""
  told = [jax.nn.log_softmax(logits)[:, k] for k, logits in enumerate(answers)]
  return -jnp.mean(jnp.stack(told), axis=0)


@functools.partial(jax.jit, static_argnames="k")
def neighbours(features: jax.Array, references: jax.Array, k: int) -> dict[str, jax.Array]:
  """Mean distances of features [B, f] to the k nearest of references [N, f], by each measure.

  Returns:
    `neighbours`, Euclidean, and `cosine`, 1 - cosine of the angle at the mean of normal pictures,
    where standardised features are 0: each [B].
  """
  products = jnp.matmul(features, references.T, precision="highest")
  own, theirs = (jnp.sum(jnp.square(a), axis=1) for a in (features, references))
  nearest = lambda closeness: jax.lax.top_k(closeness, k)[0]
  squares = -nearest(2 * products - own[:, None] - theirs)
  lengths = jnp.sqrt(jnp.maximum(own[:, None] * theirs, jnp.finfo(products.dtype).tiny))
  return {"neighbours": jnp.mean(jnp.sqrt(jnp.maximum(squares, 0)), axis=1),
          "cosine": 1 - jnp.mean(nearest(products / lengths), axis=1)}


@jax.jit
def residual(pair: Look) -> jax.Array:
  """|x - x'|, the mean over colours: [B, H, W], in the native range's units."""
  return jnp.mean(jnp.abs(pair.x - pair.back), axis=-1)


@functools.partial(jax.jit, static_argnames=("value_range", "size"))
def _native(images: jax.Array, value_range: Range, size: int) -> jax.Array:
  """uint8 pictures in the native range, made smaller as D's are; size 0: as large as they are."""
  return to_native(shrink(images, size) if size else images, value_range)

"""Walks through the latent space: what G makes of the way between the codes of pictures.

The way keeps to where G has been trained. z ~ U(-1, 1)^d fills a cube, and a straight line between
two codes never leaves it. z ~ N(0, I) lies near a sphere of radius sqrt(d); a straight line would
cut through the middle, where there is almost no z, so it goes along an arc (White, "Sampling
Generative Networks", arXiv 1609.04468).
"""

from collections.abc import Sequence
import pathlib
from typing import Any

import jax
import numpy as np

from bigan_jax.data.preprocess import shrink, to_native, to_uint8
from bigan_jax.evaluation import pictures
from bigan_jax.evaluation.anomaly import measuring
from bigan_jax.exchange import blocks, loaded
from bigan_jax.models import latents
from bigan_jax.runs import outputs

SHOWN = 8  # steps from one picture to the next in a strip
FRAMES = 24  # and in an animation
FRAME, REST = 80, 600  # milliseconds of a frame, and of one that is a picture's own
WIDTH = 256  # pixels that smaller frames are enlarged to, at least
PARALLEL = 1e-4  # sine of an angle, below which an arc is a line
STRIP, ANIMATION = "walk.png", "walk.gif"
ENDINGS = (".png", ".gif", ".webp")


def interpolate(model: loaded.Model, images: Any, steps: int = SHOWN) -> np.ndarray:
  """G along the way through the codes E(x) of pictures, in their order.

  Args:
    images: two or more: files, a folder of them, or what `model.preprocess` takes.
    steps: from one to the next.

  Returns:
    uint8 [(pictures - 1) * steps + 1, *image_shape]; every steps-th is a G(E(x)).

  Raises:
    ValueError: there is no E, or fewer than two pictures, or one that cannot be read; steps < 1.
  """
  return generate(model, way(codes(model, read(model, images)), steps, prior(model)))


def way(ends: np.ndarray, steps: int, kind: str) -> np.ndarray:
  """Codes [K, d] and, between each and the next, those on the way: [(K - 1) * steps + 1, d].

  Args:
    kind: of latents: lines for "uniform", arcs for "normal".
  """
  if steps < 1:
    raise ValueError(f"A walk of {steps} steps does not move: take 1 or more.")
  shares = np.arange(steps, dtype=np.float32)[:, None] / np.float32(steps)
  between = arc if kind == "normal" else line
  legs = [between(*pair, shares) for pair in zip(ends[:-1], ends[1:], strict=True)]
  return np.concatenate([*legs, ends[-1:]])


def line(a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
  """From a [d] to b [d] at shares [S, 1] of the way: [S, d]."""
  return (1 - shares) * a + shares * b


def arc(a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
  """The same at even angles around 0 (slerp); a line where a and b point one way, or opposite."""
  lengths = np.linalg.norm(a) * np.linalg.norm(b)
  angle = np.arccos(np.clip(np.dot(a, b) / max(lengths, 1e-30), -1, 1))
  if np.sin(angle) < PARALLEL:
    return line(a, b, shares)
  return np.float32((np.sin((1 - shares) * angle) * a + np.sin(shares * angle) * b) / np.sin(angle))


def prior(model: loaded.Model) -> str:
  """The kind of its latents."""
  return latents.kind(model.config.model)


def read(model: loaded.Model, images: Any) -> np.ndarray:
  """The pictures of a walk, as E sees them: uint8 [K, *encoder_shape]; errors as `interpolate`."""
  found = measuring.read_all(images, model.view)
  if len(found) < 2:
    raise ValueError("A walk goes from one picture to another, and there is but one: add another.")
  return found


def codes(model: loaded.Model, x: np.ndarray) -> np.ndarray:
  """E(x) of pictures uint8 [K, *encoder_shape]: [K, d]; ValueError if there is no E."""
  if model.E is None:
    raise ValueError(f"A model of {model.config.objective} has no encoder: take one of a BiGAN.")
  return np.asarray(model.E(to_native(x, model.value_range))[0])


def generate(model: loaded.Model, z: np.ndarray) -> np.ndarray:
  """G(z) of z [N, d]: uint8 [N, *image_shape]."""
  parts = [model.G(z[i:i + blocks.BLOCK]) for i in range(0, len(z), blocks.BLOCK)]
  return np.concatenate([np.asarray(to_uint8(x, model.value_range)) for x in parts])


def strip(model: loaded.Model, x: np.ndarray, steps: int = SHOWN) -> np.ndarray:
  """A row for every two neighbours of x uint8 [K, *encoder_shape], enlarged under a title.

  The left one, G along the way, the right one: uint8 [H, W, C].
  """
  walk = generate(model, way(codes(model, x), steps, prior(model)))
  small = np.asarray(shrink(jax.numpy.asarray(x), model.image_shape[0]))
  rows = [(small[i:i + 1], walk[i * steps:(i + 1) * steps + 1], small[i + 1:i + 2])
          for i in range(len(x) - 1)]
  picture = pictures.grid(np.concatenate([part for row in rows for part in row]), steps + 3)
  return pictures.titled(picture, "x, G on the way from E(x) to the next E(x), the next x")


def animate(model: loaded.Model, x: np.ndarray, path: pathlib.Path, kind: str) -> None:
  """Writes a picture that moves, from x to x and back to the first, without an end.

  Args:
    x: uint8 [K, *encoder_shape]. kind: GIF or WEBP.
  """
  ends = codes(model, x)
  walk = generate(model, way(np.concatenate([ends, ends[:1]]), FRAMES, prior(model)))[:-1]
  factor = -(-WIDTH // walk.shape[2])
  large = walk.repeat(factor, axis=1).repeat(factor, axis=2)
  first, *others = map(pictures.image, large)
  times = [FRAME if i % FRAMES else REST for i in range(len(walk))]
  first.save(path, kind, save_all=True, append_images=others, duration=times, loop=0)


def write(model: loaded.Model, images: Sequence[str], out: pathlib.Path, force: bool) -> None:
  """Writes a walk: a strip to a .png, an animation to a .gif or .webp, to a folder both.

  Raises:
    ValueError: as `interpolate`; the ending of `out` is another.
    FileExistsError: `out` is there.
  """
  if out.suffix not in ("", *ENDINGS):
    raise ValueError(f"--out={out} is no name of a {', '.join(ENDINGS)} file, nor, without an "
                     "ending, of a folder: choose one of them.")
  x = read(model, images)
  def draw(path: pathlib.Path, ending: str) -> None:
    if ending == ".png":
      pictures.save(strip(model, x), path)
    else:
      animate(model, x, path, ending[1:].upper())
  if out.suffix:
    with outputs.new_file(out, force) as path:
      draw(path, out.suffix)
    return
  with outputs.new_folder(out, force, outputs.only(STRIP, ANIMATION)) as folder:
    for name in (STRIP, ANIMATION):
      draw(folder / name, pathlib.Path(name).suffix)

"""Picture grids at fixed z and x: samples G(z), and reconstructions G(E(x)) under their x."""

from collections.abc import Callable
import functools
import pathlib

import chex
import jax
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bigan_jax.data.preprocess import to_uint8
from bigan_jax.evaluation import frozen
from bigan_jax.evaluation.metrics import Evaluator, Judge, Results
from bigan_jax.training.state import Snapshot

COLUMNS = 20
ROWS = 10
WIDTH = 600  # pixels that smaller pictures are enlarged to, at least
TITLE = 18  # pixels of a title's letters, in a picture of that width
Write = Callable[[str, int, np.ndarray], None]  # (name, step, uint8 [H, W, C]) -> None


def grid(images: np.ndarray, columns: int) -> np.ndarray:
  """uint8 [N, H, W, C] -> one picture, row by row, one white pixel between; the rest white."""
  n, height, width, channels = images.shape
  rows = -(-n // columns)
  cells = np.full((rows * columns, height + 1, width + 1, channels), 255, np.uint8)
  cells[:n, :-1, :-1] = images
  cells = cells.reshape(rows, columns, height + 1, width + 1, channels)
  picture = cells.transpose(0, 2, 1, 3, 4)
  return picture.reshape(rows * (height + 1), columns * (width + 1), channels)[:-1, :-1]


def titled(picture: np.ndarray, title: str) -> np.ndarray:
  """A picture uint8 [H, W, 1 or 3] by a whole factor at least WIDTH wide, under a line of text."""
  factor = -(-WIDTH // picture.shape[1])
  large = picture.repeat(factor, axis=0).repeat(factor, axis=1)
  line = _line(title, large.shape[1])[..., None]
  return np.concatenate([np.broadcast_to(line, (len(line), *large.shape[1:])), large])


@functools.lru_cache(maxsize=16)  # Many pictures of one size have one title.
def _line(title: str, width: int) -> np.ndarray:
  """A title in black on white: uint8 [H, width], in smaller letters if it is too long."""
  size = TITLE * width // WIDTH
  while size > 8 and ImageFont.load_default(size).getlength(title) > width - size:
    size -= 1
  line = Image.new("L", (width, 2 * size), 255)
  pen = ImageDraw.Draw(line)
  pen.text((size // 2, size), title, fill=0, font=ImageFont.load_default(size), anchor="lm")
  return np.asarray(line)


def image(picture: np.ndarray) -> Image.Image:
  """uint8 [H, W, 1 or 3] as Pillow has it."""
  return Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)


def save(picture: np.ndarray, path: pathlib.Path) -> None:
  """Writes uint8 [H, W, 1 or 3] as a PNG."""
  image(picture).save(path, "PNG")


def interleave(above: np.ndarray, below: np.ndarray, columns: int) -> np.ndarray:
  """[N, ...] twice -> [2 N, ...]: rows of `columns` images in turn."""
  pairs = [
      (above[i:i + columns], below[i:i + columns]) for i in range(0, len(above), columns)
  ]
  return np.concatenate([rows for pair in pairs for rows in pair])


def by_class(labels: np.ndarray, num_classes: int) -> np.ndarray:
  """Indices of COLUMNS images of each of the first classes; unlabelled: of the first images.

  Images of classes that have fewer are repeated.
  """
  if not num_classes:
    return np.arange(min(len(labels), ROWS * COLUMNS))
  present = np.unique(labels)[:ROWS]
  return np.concatenate([np.resize(np.flatnonzero(labels == c), COLUMNS) for c in present])


def filters(params: chex.ArrayTree, channels: int) -> np.ndarray | None:
  """The kernels that touch pixels, each scaled to 0..255: uint8 [N, k, k, C].

  Figure 3 of the paper; None where no layer is convolutional.
  """
  kernels = [a for a in jax.tree.leaves(params) if a.ndim == 4 and a.shape[2] == channels]
  if not kernels:
    return None
  kernel = np.asarray(kernels[0]).transpose(3, 0, 1, 2)
  low, high = (f(kernel, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
  return np.uint8(np.round(255 * (kernel - low) / np.maximum(high - low, 1e-12)))


def painter(judge: Judge, write: Write) -> Evaluator:
  """An evaluator that yields no number but writes samples, reconstructions and filters."""
  chosen = judge.images.images[by_class(judge.images.labels, judge.images.num_classes)]
  def show(snapshot: Snapshot, name: str, images: np.ndarray, title: str) -> None:
    picture = titled(grid(images, COLUMNS), f"{title}, epoch {snapshot.epoch}")
    write(name, snapshot.step, picture)
  def paint(snapshot: Snapshot) -> Results:
    G, E, *_ = judge.networks
    samples = frozen.apply(G, snapshot.variables["G"], judge.z[:ROWS * COLUMNS])
    show(snapshot, "samples", _pixels(judge, samples), "G(z)")
    if "E" in judge.objective.players:
      x, back = frozen.reconstruct(
          G, E, judge.latents, snapshot.variables, judge.views, chosen
      )
      rows = interleave(_pixels(judge, x), _pixels(judge, back), COLUMNS)
      show(snapshot, "reconstructions", rows, "x above, G(E(x)) below")
    for player, variables in snapshot.variables.items():
      kernels = filters(variables["params"], chosen.shape[-1])
      if kernels is not None:
        show(snapshot, f"filters_{player}", kernels, f"kernels of {player} that touch pixels")
    return ()
  return paint


def _pixels(judge: Judge, x: np.ndarray) -> np.ndarray:
  return np.asarray(to_uint8(x, judge.value_range))

"""An encoder's features of any folder of pictures, reconstructions of them, and samples.

  python -m bigan_jax.features --model=DIR_OR_RUN --images=FOLDER --out=FILE.npz
  python -m bigan_jax.features --model=DIR_OR_RUN --sample=100 --out=FOLDER
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()  # The imports below take a while.

from collections.abc import Iterator, Sequence
import concurrent.futures
import contextlib
import os
import pathlib
from typing import Any, NamedTuple
import warnings

from absl import flags
import chex
import jax
import numpy as np
from PIL import Image

from bigan_jax.data import files, folders, survey
from bigan_jax.data.builders import presize
from bigan_jax.data.preprocess import shrink, to_native, to_uint8
from bigan_jax.evaluation import pictures
from bigan_jax.evaluation.layer_features import LAST, find_layer
from bigan_jax.exchange import blocks, feature_files, loaded
from bigan_jax.exchange.feature_files import Rows
from bigan_jax.machine import progress
from bigan_jax.models import latents
from bigan_jax.runs import outputs
from bigan_jax.settings import program

SHEET = "samples.png"
ON_SHEET = pictures.ROWS * pictures.COLUMNS
PAIR = "x left, G(E(x)) right"
Path = pathlib.Path


def define_flags() -> None:
  """The command line's; not for those who import this module."""
  flags.DEFINE_string("model", None, "Run folder, or one of bigan_jax.export.", required=True)
  flags.DEFINE_string("images", None, "Folder of pictures, at any depth.")
  flags.DEFINE_string("out", None, "FILE.npz or FILE.parquet; with --sample, a folder.")
  flags.DEFINE_string("layer", None, "Of the features; default: e-, the last hidden one.")
  flags.DEFINE_string("reconstruct", None, "Folder for pictures of x beside G(E(x)), enlarged.")
  flags.DEFINE_integer("sample", None, "How many samples G(z) to write.", lower_bound=1)
  flags.DEFINE_integer("seed", 0, "Of the samples.", lower_bound=0)
  flags.DEFINE_string("step", "latest", "Of a run: latest, best, or a number of updates.")
  flags.DEFINE_bool("force", False, "Replace earlier outputs.")


class Task(NamedTuple):
  """What is made of a folder of pictures.

  layer: of E, whose activations are the features; see `layer_features.find_layer`.
  out: a file of features, or None. reconstruct: a folder of pictures, or None; not both None.
  threads: that decode pictures.
  """

  model: loaded.Model
  images: str
  layer: str
  out: Path | None
  reconstruct: Path | None
  force: bool
  threads: int


def describe_folder(task: Task) -> tuple[int, list[tuple[str, str]]]:
  """Writes the features and reconstructions of all pictures that can be read.

  Returns:
    (how many there were, [(name, reason)] of all that was left out).

  Raises:
    FileNotFoundError: no such folder.
    FileExistsError: an output is there.
    ValueError: no picture, or none that can be read; the layer or kind of file is unknown.
  """
  lying, write, skipped = survey.find(task.images, "--images"), _writer(task), []
  names = lying.pictures
  if task.reconstruct and folders.holds(task.reconstruct, task.images):
    raise ValueError(f"{task.reconstruct} holds the pictures of --images: choose another folder.")
  task = task._replace(layer=find_layer(task.model, task.layer))
  how, shape = task.model.view, task.model.layers[task.layer]
  about = {"layer": task.layer, "shape": shape, "step": task.model.step, "view": how._asdict()}
  with contextlib.ExitStack() as stack:
    out = task.out and stack.enter_context(outputs.new_file(task.out, task.force))
    pairs = task.reconstruct and stack.enter_context(
        outputs.new_folder(task.reconstruct, task.force, holds_pictures)
    )
    found = stack.enter_context(blocks.made(
        _program(task), files.stream(task.images, names, how, task.threads),
        progress.bar(len(names), unit="img"), skipped, how.shape,
    ))
    write(out, _rows(task.images, found, pairs), about)
  return len(names) - len(skipped), lying.left + skipped


def _rows(
    folder: str, found: Iterator[tuple[blocks.Block, dict[str, Any]]], pairs: Path | None
) -> Iterator[Rows]:
  """The rows of each block, whose pairs are written on the way; ValueError if there is none."""
  block = None
  for block, arrays in found:
    if pairs:
      _write_pairs(pairs, block.names, *arrays["pairs"])
    count = len(block.names)
    names = list(map(folders.escape, block.names))
    yield Rows(names, *(np.asarray(arrays[name])[:count] for name in ("code", "features")))
  if block is None:
    raise ValueError(f"None of the pictures in {folder} can be read.")


def sample(
    model: loaded.Model, count: int, seed: int, folder: Path, force: bool = False
) -> None:
  """Writes samples G(z) as PNGs, and SHEET, to `folder`; FileExistsError if something is there."""
  key, kind, shown = jax.random.PRNGKey(seed), latents.kind(model.config.model), []
  with outputs.new_folder(folder, force, holds_pictures) as scratch:
    for first in progress.over(range(0, count, blocks.BLOCK), -(-count // blocks.BLOCK), "samples"):
      z = latents.sample(jax.random.fold_in(key, first), blocks.BLOCK, model.latent_dim, kind)
      pixels = np.asarray(to_uint8(model.G(z), model.value_range))
      for i, picture in enumerate(pixels[:count - first], start=first):
        _save(picture, scratch / f"{i:06d}.png")
      shown.extend(pixels[:min(count, ON_SHEET) - first] if first < ON_SHEET else ())
    sheet = pictures.grid(np.stack(shown), min(count, pictures.COLUMNS))
    _save(pictures.titled(sheet, f"G(z), step {model.step:,}, seed {seed}"), scratch / SHEET)


def holds_pictures(folder: Path) -> bool:
  """Whether a folder holds PNGs, in folders or not, and nothing else."""
  return all(path.is_dir() or path.suffix == ".png" for path in folder.rglob("*"))


def _writer(task: Task) -> Any:
  """What consumes the rows, by the name of the file."""
  if task.out is None:
    return lambda path, rows, about: [None for _ in rows]
  if task.out.suffix not in feature_files.WRITERS:
    kinds = " or ".join(feature_files.WRITERS)
    raise ValueError(f"--out={task.out} is no name of a {kinds} file: give it such an ending.")
  return feature_files.WRITERS[task.out.suffix]


def _program(task: Task) -> Any:
  """A jitted function: uint8 [B, H, W, C] -> {"code", "features", "pairs" if asked for}."""
  model, size = task.model, task.model.image_shape[0]
  @jax.jit
  def run(images: jax.Array) -> dict[str, Any]:
    code, layers = model.E(to_native(images, model.value_range))
    found = {"code": code, "features": layers[task.layer].reshape(len(images), -1)}
    if task.reconstruct:
      found["pairs"] = shrink(images, size), to_uint8(model.G(code), model.value_range)
    return found
  return run


def _write_pairs(folder: Path, names: list[str], x: chex.Array, back: chex.Array) -> None:
  """FOLDER/NAME.png of each picture, enlarged: x and, to its right, G(E(x))."""
  pairs = np.stack([x, back], axis=1)[:len(names)]
  paths = [folder / f"{name}.png" for name in names]
  for path in paths:
    path.parent.mkdir(parents=True, exist_ok=True)
  with concurrent.futures.ThreadPoolExecutor(presize.cores()) as pool:
    list(pool.map(_save, (pictures.titled(pictures.grid(pair, 2), PAIR) for pair in pairs), paths))


def _save(picture: np.ndarray, path: Path) -> None:
  Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(path, "PNG")


def main(argv: Sequence[str]) -> None:
  """Does what the flags say."""
  values = flags.FLAGS
  del argv
  if bool(values.images) == bool(values.sample):
    raise ValueError("Give either --images=FOLDER or --sample=N.")
  out, reconstruct = (Path(name).expanduser() if name else None
                      for name in (values.out, values.reconstruct))
  if not (out or values.images and reconstruct):
    raise ValueError("--out is missing: name what to write.")
  step = int(values.step) if values.step.isdigit() else values.step
  model = loaded.load(values.model, step)
  if values.sample and (values.layer or reconstruct):
    raise ValueError("--layer and --reconstruct are of --images, not of --sample: leave them out.")
  if values.sample:
    sample(model, values.sample, values.seed, out, values.force)
    return
  if model.E is None:
    raise ValueError(f"{values.model} has no encoder, being a plain GAN: it can only --sample.")
  warnings.filterwarnings("ignore", module=r"PIL\.")  # On large pictures and odd metadata.
  task = Task(model, os.path.expanduser(values.images), values.layer or LAST, out, reconstruct,
              values.force, presize.cores())
  survey.report(*describe_folder(task), out or reconstruct)


def command() -> None:
  """The program."""
  define_flags()
  program.run(main)


if __name__ == "__main__":
  command()

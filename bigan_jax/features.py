"""An encoder's features of any folder of pictures, reconstructions of them, and samples.

  python -m bigan_jax.features --model=DIR_OR_RUN --images=FOLDER --out=FILE.npz
  python -m bigan_jax.features --model=DIR_OR_RUN --sample=100 --out=FOLDER

and, with the same --model and --out, --interpolate, --project and --neighbours: see TASKS.
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()  # The imports below take a while.

from collections.abc import Iterator, Sequence
import concurrent.futures
import contextlib
import os
import pathlib
import re
from typing import Any, NamedTuple
import warnings

from absl import flags
import chex
import jax
import numpy as np

from bigan_jax.data import codec, files, folders, survey
from bigan_jax.data.builders import presize
from bigan_jax.data.preprocess import shrink, to_native, to_uint8
from bigan_jax.evaluation import copies, pictures, projection, samples, walks
from bigan_jax.evaluation.layer_features import LAST, find_layer
from bigan_jax.exchange import blocks, feature_files, loaded
from bigan_jax.exchange.feature_files import Rows
from bigan_jax.machine import progress
from bigan_jax.runs import outputs
from bigan_jax.settings import program, rules

SHEET = "samples.png"
TASKS = {  # What to give, of which one is given.
    "images": "--images=FOLDER", "sample": "--sample=N", "interpolate": "--interpolate=FILE,FILE",
    "project": "--project=FILE", "neighbours": "--neighbours=FOLDER",
}
FOLDERS = ("sample", "project", "neighbours")  # tasks whose --out is one
FILES = (*feature_files.WRITERS, *walks.ENDINGS, ".jpg", ".csv")  # endings that no folder has
WITHOUT_E = ("sample", "neighbours")  # all that a plain GAN can do
ON_SHEET = pictures.ROWS * pictures.COLUMNS
PAIR = "x left, G(E(x)) right"
Path = pathlib.Path


def define_flags() -> None:
  """The command line's; not for those who import this module."""
  flags.DEFINE_string("model", None, "Run folder, or one of bigan_jax.export.", required=True)
  flags.DEFINE_string("images", None, "Folder of pictures, at any depth.")
  flags.DEFINE_string("out", None, "FILE.npz or FILE.parquet; without --images, a folder.")
  flags.DEFINE_string("layer", None, "Of the features; default: e-, the last hidden one.")
  flags.DEFINE_string("reconstruct", None, "Folder for pictures of x beside G(E(x)), enlarged.")
  flags.DEFINE_integer("sample", None, "How many samples G(z) to write.", lower_bound=1)
  flags.DEFINE_list(
      "interpolate", None, "Pictures, to walk from one to the next: .png, .gif, .webp or a folder."
  )
  flags.DEFINE_string("project", None, "Picture whose z is searched by gradient, from E(x) on.")
  flags.DEFINE_string("neighbours", None, "Folder of pictures: which are nearest to samples G(z)?")
  flags.DEFINE_integer("seed", 0, "Of the samples.", 0, rules.LAST_SEED)
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
  if task.reconstruct and folders.holds(task.images, task.reconstruct):
    raise ValueError(f"{task.reconstruct} lies among the pictures of --images, as which its pairs "
                     "would be read the next time: choose another folder.")
  task = task._replace(layer=find_layer(task.model, task.layer))
  how, shape = task.model.view, task.model.layers[task.layer]
  about = {"layer": task.layer, "shape": shape, "step": task.model.step, "view": how._asdict()}
  with contextlib.ExitStack() as stack:
    out = task.out and stack.enter_context(outputs.new_file(task.out, task.force))
    pairs = task.reconstruct and stack.enter_context(
        outputs.new_folder(task.reconstruct, task.force, is_pairs)
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
  first, shown = 0, []
  with outputs.new_folder(folder, force, is_samples) as scratch:
    for pixels in samples.drawn(model, count, seed):
      samples.write(scratch, pixels, first)
      first += len(pixels)
      shown.extend(pixels[:ON_SHEET - len(shown)])
    sheet = pictures.grid(np.stack(shown), min(count, pictures.COLUMNS))
    title = f"G(z), step {model.step:,}, seed {seed}"
    pictures.save(pictures.titled(sheet, title), scratch / SHEET)


def is_samples(folder: Path) -> bool:
  """Whether a folder holds what `sample` writes and nothing else: no PNGs of somebody's own."""
  names = {path.name for path in outputs.items(folder)}
  return SHEET in names and all(re.fullmatch(r"\d{6,}\.png", name) for name in names - {SHEET})


def is_pairs(folder: Path) -> bool:
  """Whether a folder holds nothing but PNGs, in folders or not, named after other pictures."""
  endings = (*codec.EXTENSIONS, *codec.HEIF_EXTENSIONS)
  named = lambda path: path.suffix == ".png" and path.stem.lower().endswith(endings)
  mine = lambda path: path.is_dir() or named(path) or path.name in outputs.LITTER
  return all(map(mine, folder.rglob("*")))


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
  sheets = (pictures.titled(pictures.grid(pair, 2), PAIR) for pair in pairs)
  with concurrent.futures.ThreadPoolExecutor(presize.cores()) as pool:
    list(pool.map(pictures.save, sheets, paths))


def asked(values: flags.FlagValues) -> str:
  """The one of TASKS that the flags name; --sample may say how many --neighbours are to be of.

  Raises:
    ValueError: it is none, or several, or a flag of another task is there, or --out is not.
  """
  found = [name for name in TASKS if getattr(values, name)]
  if found == ["sample", "neighbours"]:
    found = ["neighbours"]
  if len(found) != 1:
    but = f", not {' and '.join(f'--{name}' for name in found)}" if found else ""
    raise ValueError(f"Give one of {', '.join(TASKS.values())}{but}.")
  task, = found
  if task != "images" and (values.layer or values.reconstruct):
    raise ValueError(
        f"--layer and --reconstruct are of --images, not of --{task}: leave them out."
    )
  if not (values.out or values.reconstruct):
    raise ValueError("--out is missing: name what to write.")
  if task in FOLDERS and Path(values.out).suffix in FILES:
    raise ValueError(f"--out={values.out} has the ending of a file, but --{task} writes a folder: "
                     "leave the ending out.")
  return task


def main(argv: Sequence[str]) -> None:
  """Does what the flags say."""
  del argv
  values = flags.FLAGS
  task = asked(values)
  out, reconstruct = (Path(name).expanduser() if name else None
                      for name in (values.out, values.reconstruct))
  model = loaded.load(values.model, values.step)
  if model.E is None and task not in WITHOUT_E:
    can = " and ".join(f"--{name}" for name in WITHOUT_E)
    raise ValueError(f"{values.model} has no encoder, being a plain GAN: it can only {can}.")
  warnings.filterwarnings("ignore", module=r"PIL\.")  # On large pictures and odd metadata.
  if task == "images":
    whole = Task(model, os.path.expanduser(values.images), values.layer or LAST, out, reconstruct,
                 values.force, presize.cores())
    survey.report(*describe_folder(whole), out or reconstruct)
  elif task == "sample":
    sample(model, values.sample, values.seed, out, values.force)
  elif task == "interpolate":
    walks.write(model, values.interpolate, out, values.force)
  elif task == "project":
    print(projection.write(model, values.project, out, values.force))
  else:
    count, folder = values.sample or copies.COUNT, os.path.expanduser(values.neighbours)
    print(copies.write(model, count, values.seed, folder, out, values.force))
  print(f"Wrote {' and '.join(map(str, filter(None, (out, reconstruct))))}.")


def command() -> None:
  """The program."""
  define_flags()
  program.run(main)


if __name__ == "__main__":
  command()

"""Takes trained networks out of their run folder: weights, programs and a model card.

  python -m bigan_jax.export --workdir=RUN --out=DIR
  python -m bigan_jax.export --workdir=RUN --push=USER/NAME
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()  # The imports below take a while.

from collections.abc import Iterator, Sequence
import contextlib
import functools
import importlib.util
import pathlib
import tempfile
from types import ModuleType
from typing import Any

from absl import flags
import jax
from jax import export as programs
import jax.numpy as jnp
import ml_collections
import numpy as np
from PIL import Image

from bigan_jax.data import files
from bigan_jax.evaluation import pictures
from bigan_jax.evaluation.samples import drawn
from bigan_jax.exchange import exported, hub, loaded, model_card, pretrained
from bigan_jax.models import latents, merging
from bigan_jax.runs import outputs
from bigan_jax.settings import program
from bigan_jax.settings.arguments import nearest

FORMATS = ("safetensors", "stablehlo", "onnx")
USUAL = FORMATS[:2]
PROGRAMS = {"E": "encoder", "G": "generator", "D": "discriminator"}  # with a format as the ending
PLATFORMS = ("cpu", "cuda", "tpu")
CARD = "README.md"
SAMPLES = 64  # on the card
NAMES = (CARD, hub.CONFIG, model_card.SAMPLES, exported.FILE,
         *(f"{name}.{kind}" for name in PROGRAMS.values() for kind in FORMATS[1:]))


def define_flags() -> None:
  """The command line's; not for those who import this module."""
  flags.DEFINE_string("workdir", None, "Run folder of bigan_jax.main.", required=True)
  flags.DEFINE_string("out", None, "Folder to write.")
  flags.DEFINE_string("push", None, "USER/NAME or USER/NAME@BRANCH on the Hugging Face Hub.")
  flags.DEFINE_bool("private", False, "With --push: a repository that nobody else may see.")
  flags.DEFINE_list("format", list(USUAL), "Which of safetensors, stablehlo, onnx.")
  flags.DEFINE_bool("onnx", False, "Write ONNX files too, as onnx among --format does.")
  flags.DEFINE_string("step", "latest", "latest, best, or a number of updates.")
  flags.DEFINE_bool("merge_bn", False, "Fold batch norm into kernels and biases.")
  flags.DEFINE_string("license", None, "Of the weights, as the hub names it: apache-2.0, mit, ...")
  flags.DEFINE_bool("force", False, "Replace an earlier export.")


def export(
    workdir: str, out: str | None, formats: Sequence[str] = USUAL, step: str | int = "latest",
    merge_bn: bool = False, force: bool = False, license: str | None = None,
    push: str | None = None, private: bool = False,
) -> str:
  """Writes `out`: model.safetensors, encoder.stablehlo and the like of the others, README.md.

  D_xx and D_zz of ALAD stay in the run folder.

  Args:
    workdir: a run folder.
    out: the folder, which appears whole or not at all; None if it is only to be pushed.
    formats: of FORMATS; the model card, config.json and samples are always written.
    step: "latest", "best" or a number.
    merge_bn: fold each batch norm into the kernel before it and a bias. Of ONNX always.
    force: replace `out` if it is an earlier export.
    license: of the weights, by the hub's name of it, for the head of the card.
    push: USER/NAME or USER/NAME@BRANCH on the Hugging Face Hub, which is told no local path.
    private: a repository that nobody else may see.

  Returns:
    Where it is: `out`, or the address of the commit.

  Raises:
    ValueError: an unknown format, step or license; not finite; the repository is of another model.
    ImportError: an extra is not installed.
    FileExistsError: `out` is there.
    FileNotFoundError, OSError: the run has no network that can be read; the Hub refuses.
  """
  _check_formats(formats)
  model_card.check_license(license)
  place = _place(push, private, formats)
  found = _read(workdir, step)
  if place:
    forget_paths(found.config)
  with _folder(out, force) as folder:
    info = _write(folder, found, formats, merge_bn, license, str(place or "THIS_FOLDER"))
    if not place:
      return str(out)
    return hub.push(folder, place, private, _message(info), NAMES)


def forget_paths(config: ml_collections.ConfigDict) -> None:
  """Leaves out of a config what it tells of this machine's folders."""
  config.data.path = config.data_dir = ""
  if "imported" in config:
    config.imported = pathlib.PurePath(config.imported).name


def _write(
    folder: pathlib.Path, found: pretrained.Pretrained, formats: Sequence[str], merge_bn: bool,
    license: str | None, place: str,
) -> dict[str, Any]:
  """Writes all files of an export; what `describe` says of it."""
  if merge_bn:
    merged = {player: merging.merge(v) for player, v in found.variables.items()}
    found = found._replace(variables=merged)
  info = describe(found)
  if "safetensors" in formats:
    exported.write(folder / exported.FILE, found.variables, info, merge_bn)
  for player, name in PROGRAMS.items():
    if player in found.variables and "stablehlo" in formats:
      (folder / f"{name}.stablehlo").write_bytes(serialize(found, player))
    if player in found.variables and "onnx" in formats:
      _onnx_files().write(folder / f"{name}.onnx", found, player, info)
  (folder / hub.CONFIG).write_text(hub.config(info))
  Image.fromarray(samples(found)).save(folder / model_card.SAMPLES)
  names = sorted(path.name for path in folder.iterdir())
  card = model_card.text(info, names, merge_bn, license, place)
  (folder / CARD).write_text(card, encoding="utf-8")
  return info


def samples(found: pretrained.Pretrained) -> np.ndarray:
  """The first SAMPLES of `features --sample --seed=0`: uint8 [H, W] or [H, W, 3].

  Side by side and enlarged.
  """
  x = np.concatenate(list(drawn(loaded.assemble(found, "this run"), SAMPLES, 0)))
  sheet = pictures.titled(pictures.grid(x, 16), f"G(z), step {found.step:,}, seed 0")
  return sheet[:, :, 0] if sheet.shape[2] == 1 else sheet


def describe(found: pretrained.Pretrained) -> dict[str, Any]:
  """What readers of the weights want to know, in plain JSON values."""
  how, config = files.view(found.config), found.config
  sees = _inputs(config)
  layers = {
      player: loaded.layer_shapes(getattr(found.networks, player), variables, *sees[player])
      for player, variables in found.variables.items()
  }
  if "G" in layers:
    layers["G"]["x"] = layers["G"].pop("logits")
  return {
      "config": config.to_dict(), "step": found.step, "metrics": found.metrics, "layers": layers,
      "preprocessing": {
          "colours": "grey" if how.shape[2] == 1 else "RGB", "resize_shorter_edge": how.edge,
          "filter": "lanczos", "centre_crop": how.shape[:2], "value_range": how.value_range,
      },
  }


def serialize(found: pretrained.Pretrained, player: str) -> bytes:
  """A network with its weights as StableHLO for any batch, on every platform; see jax.export.

  E: x -> (code, {layer: activation}); G: z -> x; D: x and, jointly, z -> (logits,
  {layer: activation}), as in loaded.Model.
  """
  networks, kind = found.networks, latents.kind(found.config.model)
  apply = {
      "E": functools.partial(loaded.encode, networks.E, kind),
      "G": functools.partial(loaded.generate, networks.G),
      "D": functools.partial(loaded.judge, networks.D),
  }[player]
  batch, = programs.symbolic_shape("batch")
  inputs = [jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
            for shape in _inputs(found.config)[player]]
  run = jax.jit(functools.partial(apply, found.variables[player]))
  return bytes(programs.export(run, platforms=PLATFORMS)(*inputs).serialize())


def _inputs(config: ml_collections.ConfigDict) -> dict[str, list[tuple[int, ...]]]:
  """{player: shapes of one of each of its inputs}."""
  return {
      "E": [tuple(config.model.encoder_shape)], "G": [(config.model.latent_dim,)],
      "D": list(loaded.judged_shapes(config).values()),
  }


def is_export(folder: pathlib.Path) -> bool:
  """Whether a folder holds what `export` writes and nothing else."""
  names = {path.name for path in outputs.items(folder)}
  return CARD in names and names <= set(NAMES)


@contextlib.contextmanager
def _folder(out: str | None, force: bool) -> Iterator[pathlib.Path]:
  """Within: an empty folder, which becomes `out` if there is one and no error."""
  if out:
    with outputs.new_folder(pathlib.Path(out), force, is_export) as folder:
      yield folder
    return
  with tempfile.TemporaryDirectory() as folder:
    yield pathlib.Path(folder)


def _place(push: str | None, private: bool, formats: Sequence[str]) -> hub.Place | None:
  """Where to push; errors come before anything is made."""
  if not push:
    if private:
      raise ValueError("--private is of --push: say where to push, or leave it out.")
    return None
  if "safetensors" not in formats:
    raise ValueError("--push needs safetensors, which load reads: add it to --format.")
  hub.check_installed()
  return hub.place(push)


def _message(info: dict[str, Any]) -> str:
  """Of the commit."""
  return f"{info['config']['objective']} ({info['config']['recipe']}), {info['step']:,} updates"


def _check_formats(formats: Sequence[str]) -> None:
  for name in formats:
    if name not in FORMATS:
      raise ValueError(f"Unknown format {name!r}: {nearest(name, FORMATS)}")
  if not formats:
    raise ValueError(f"--format is empty: choose from {', '.join(FORMATS)}.")
  if "onnx" in formats:
    _onnx_files()


def _onnx_files() -> ModuleType:
  """The module that needs the extra `onnx`; ImportError without it."""
  if not importlib.util.find_spec("onnx"):
    raise ImportError("ONNX files need the package onnx: pip install '.[onnx]'.")
  from bigan_jax.exchange import onnx_files

  return onnx_files


def _read(workdir: str, step: str | int) -> pretrained.Pretrained:
  if workdir.startswith(hub.SCHEME) or exported.is_export(pathlib.Path(workdir).expanduser()):
    raise ValueError(f"{workdir} is an export already: name the run folder that it came from.")
  found = loaded.read(workdir, step)
  variables = {player: v for player, v in found.variables.items() if player in PROGRAMS}
  return found._replace(variables=variables)


def main(argv: Sequence[str]) -> None:
  """Exports as the flags say."""
  del argv
  values = flags.FLAGS
  if not (values.out or values.push):
    raise ValueError("--out is missing: write --out=FOLDER, or --push=USER/NAME.")
  formats = [*values.format, *["onnx"] * (values.onnx and "onnx" not in values.format)]
  where = export(values.workdir, values.out, formats, values.step, values.merge_bn,
                 values.force, values.license, values.push, values.private)
  if "onnx" in formats and not importlib.util.find_spec("onnxruntime"):
    print("The ONNX files were not compared with JAX: pip install onnxruntime does that.")
  if values.out:
    print(f"Wrote {values.out}: see its {CARD}.")
  if values.push:
    print(f"Pushed {where}.")


def command() -> None:
  """The program."""
  define_flags()
  program.run(main)


if __name__ == "__main__":
  command()

"""Takes trained networks out of their run folder: weights, programs and a model card.

  python -m bigan_jax.export --workdir=RUN --out=DIR
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()  # The imports below take a while.

from collections.abc import Sequence
import functools
import pathlib
from typing import Any

from absl import flags
import jax
from jax import export as programs
import jax.numpy as jnp
import ml_collections

from bigan_jax.data import files
from bigan_jax.exchange import exported, loaded, model_card, pretrained
from bigan_jax.models import latents, merging
from bigan_jax.runs import outputs
from bigan_jax.settings import program
from bigan_jax.settings.arguments import nearest

FORMATS = ("safetensors", "stablehlo")
PROGRAMS = {"E": "encoder.stablehlo", "G": "generator.stablehlo", "D": "discriminator.stablehlo"}
PLATFORMS = ("cpu", "cuda", "tpu")
CARD = "README.md"


def define_flags() -> None:
  """The command line's; not for those who import this module."""
  flags.DEFINE_string("workdir", None, "Run folder of bigan_jax.main.", required=True)
  flags.DEFINE_string("out", None, "Folder to write.", required=True)
  flags.DEFINE_list("format", list(FORMATS), "Which of safetensors, stablehlo.")
  flags.DEFINE_string("step", "latest", "latest, best, or a number of updates.")
  flags.DEFINE_bool("merge_bn", False, "Fold batch norm into kernels and biases.")
  flags.DEFINE_string("license", None, "Of the weights, as the hub names it: apache-2.0, mit, ...")
  flags.DEFINE_bool("force", False, "Replace an earlier export.")


def export(
    workdir: str, out: str, formats: Sequence[str] = FORMATS, step: str | int = "latest",
    merge_bn: bool = False, force: bool = False, license: str | None = None,
) -> None:
  """Writes `out`: model.safetensors, encoder.stablehlo and the like of G and D, README.md.

  A plain GAN has no encoder, an autoencoder no D. D_xx and D_zz of ALAD stay in the run folder.

  Args:
    workdir: a run folder.
    out: the folder, which appears whole or not at all.
    formats: of FORMATS; the model card is always written.
    step: "latest", "best" or a number.
    merge_bn: fold each batch norm into the kernel before it and a bias.
    force: replace `out` if it is an earlier export.
    license: of the weights, by the hub's name of it, for the head of the card.

  Raises:
    ValueError: an unknown format; no name of a license; the run has no such step; an array is not
      finite.
    FileExistsError: `out` is there.
    FileNotFoundError, OSError: the run has no network that can be read.
  """
  _check_formats(formats)
  model_card.check_license(license)
  found = _read(workdir, step)
  if merge_bn:
    merged = {player: merging.merge(v) for player, v in found.variables.items()}
    found = found._replace(variables=merged)
  info = describe(found)
  with outputs.new_folder(pathlib.Path(out), force, is_export) as folder:
    if "safetensors" in formats:
      exported.write(folder / exported.FILE, found.variables, info, merge_bn)
    if "stablehlo" in formats:
      for player, file in PROGRAMS.items():
        if player in found.variables:
          (folder / file).write_bytes(serialize(found, player))
    names = sorted(path.name for path in folder.iterdir())
    card = model_card.text(info, names, merge_bn, license)
    (folder / CARD).write_text(card)


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
  names = {path.name for path in folder.iterdir()}
  return CARD in names and names <= {CARD, exported.FILE, *PROGRAMS.values()}


def _check_formats(formats: Sequence[str]) -> None:
  for name in formats:
    if name == "onnx":
      raise ValueError(
          "--format=onnx is not offered, because the one converter from JAX (jax2onnx) does not go "
          "with the version of orbax-checkpoint that runs need: take safetensors or stablehlo."
      )
    if name not in FORMATS:
      raise ValueError(f"Unknown format {name!r}: {nearest(name, FORMATS)}")
  if not formats:
    raise ValueError(f"--format is empty: choose from {', '.join(FORMATS)}.")


def _read(workdir: str, step: str | int) -> pretrained.Pretrained:
  if exported.is_export(pathlib.Path(workdir).expanduser()):
    raise ValueError(f"{workdir} is an export already: name the run folder that it came from.")
  found = loaded.read(workdir, step)
  variables = {player: v for player, v in found.variables.items() if player in PROGRAMS}
  return found._replace(variables=variables)


def main(argv: Sequence[str]) -> None:
  """Exports as the flags say."""
  del argv
  values = flags.FLAGS
  step = int(values.step) if values.step.isdigit() else values.step
  export(values.workdir, values.out, values.format, step, values.merge_bn, values.force,
         values.license)
  print(f"Wrote {values.out}: see its {CARD}.")


def command() -> None:
  """The program."""
  define_flags()
  program.run(main)


if __name__ == "__main__":
  command()

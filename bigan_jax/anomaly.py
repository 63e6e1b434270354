"""Which of these pictures do not belong? A sorted list, a threshold, and a page to look at.

  python -m bigan_jax.anomaly --model=DIR_OR_RUN --normal=FOLDER --images=FOLDER --out=FOLDER
  python -m bigan_jax.anomaly --model=RUN --out=FOLDER

The second judges by the set that RUN was trained on without some classes.
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()  # The imports below take a while.

from collections.abc import Sequence
import os
import pathlib
import warnings

from absl import flags

from bigan_jax.evaluation.anomaly import fitting, scores, subjects, verdicts
from bigan_jax.exchange import loaded
from bigan_jax.runs import outputs
from bigan_jax.settings import program


def define_flags() -> None:
  """The command line's; not for those who import this module."""
  flags.DEFINE_string("model", None, "Run folder, or one of bigan_jax.export.", required=True)
  flags.DEFINE_string("normal", None, "Folder of normal pictures, or with train/good in it.")
  flags.DEFINE_string("images", None, "Folder of pictures to judge, or with test in it.")
  flags.DEFINE_string("out", None, "Folder to write.", required=True)
  flags.DEFINE_string("score", None, f"That counts: {', '.join(scores.TITLES)}; default: the best.")
  flags.DEFINE_float(
      "contamination", fitting.CONTAMINATION, "Share of normal pictures above the threshold."
  )
  flags.DEFINE_integer(
      "neighbours", fitting.NEIGHBOURS, "How many normal pictures each is compared with."
  )
  flags.DEFINE_string("step", "latest", "Of a run: latest, best, or a number of updates.")
  flags.DEFINE_bool("force", False, "Replace earlier outputs.")


def find(
    model: loaded.Model, options: fitting.Options, folders: tuple[str, str] | None,
    out: pathlib.Path, force: bool = False,
) -> verdicts.Verdict:
  """Judges pictures and writes `out`: see `verdicts.FILES`.

  Args:
    folders: of normal pictures and of those to judge; None: of the set that the model's run names.
    out: the folder, which appears whole or not at all.
    force: replace an earlier one.

  Raises:
    FileNotFoundError, ValueError: see `subjects.of_folders`, `subjects.of_set`, `verdicts.judge`.
    FileExistsError: the folder is there.
  """
  found = subjects.of_folders(model, *folders) if folders else subjects.of_set(model)
  with outputs.new_folder(out, force, outputs.only(*verdicts.FILES)) as scratch:
    print(f"Normal: {found.places[0]}. Judged: {found.places[1]}.")
    return verdicts.judge(model, found, options, scratch)


def pair(normal: str | None, images: str | None) -> tuple[str, str] | None:
  """Both folders, or None where neither is given; ValueError where one is."""
  if bool(normal) != bool(images):
    raise ValueError("Give both --normal=FOLDER and --images=FOLDER, or neither.")
  return (os.path.expanduser(normal), os.path.expanduser(images)) if normal and images else None


def main(argv: Sequence[str]) -> None:
  """Does what the flags say."""
  del argv
  values = flags.FLAGS
  fitting.check_contamination(values.contamination)
  given = pair(values.normal, values.images)
  model = loaded.load(values.model, values.step)
  options = fitting.Options(values.score or "", values.contamination, values.neighbours)
  fitting.check_score(model, options.score)
  able = scores.available(model)
  if set(scores.TITLES) - set(able) - {scores.ALAD, scores.TURNED}:
    print(f"{values.model} allows these scores alone: {', '.join(able)}.")
  warnings.filterwarnings("ignore", module=r"PIL\.")  # On large pictures and odd metadata.
  out = pathlib.Path(values.out).expanduser()
  verdict = find(model, options, given, out, values.force)
  print(f"{verdicts.sentence(verdict)}\nWrote {out}: see its {verdicts.PAGE}.")


def command() -> None:
  """The program."""
  define_flags()
  program.run(main)


if __name__ == "__main__":
  command()

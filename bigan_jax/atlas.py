"""A map of pictures by their features: one page to zoom, search and cut regions out of.

  python -m bigan_jax.atlas --model=DIR_OR_RUN --images=FOLDER --out=FILE.html
  python -m bigan_jax.atlas --model=DIR_OR_RUN --images=FOLDER --projector=FOLDER

The second writes files for TensorBoard's projector beside the page.
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()  # The imports below take a while.

from collections.abc import Sequence
import os
import pathlib
import warnings

from absl import flags

from bigan_jax.data import survey
from bigan_jax.evaluation import web
from bigan_jax.evaluation.atlas import making, places
from bigan_jax.evaluation.layer_features import LAST
from bigan_jax.exchange import loaded
from bigan_jax.settings import program, rules


def define_flags() -> None:
  """The command line's; not for those who import this module."""
  flags.DEFINE_string("model", None, "Run folder, or one of bigan_jax.export.", required=True)
  flags.DEFINE_string("images", None, "Folder of pictures, at any depth.", required=True)
  flags.DEFINE_string("out", "atlas.html", "The page.")
  flags.DEFINE_string("projector", None, "Folder for TensorBoard: the files of its projector.")
  flags.DEFINE_enum("layout", "tsne", places.LAYOUTS, "t-SNE of 50 principal components, or 2 of "
                    "these alone.")
  flags.DEFINE_string("layer", LAST, "Of E, whose activations are the features; e: the code.")
  flags.DEFINE_integer("seed", 0, "Of the layout.", 0, rules.LAST_SEED)
  flags.DEFINE_string("step", "latest", "Of a run: latest, best, or a number of updates.")
  flags.DEFINE_bool("force", False, "Replace earlier outputs.")


def main(argv: Sequence[str]) -> None:
  """Does what the flags say."""
  del argv
  values = flags.FLAGS
  # Threads of t-SNE that spin while they wait take a busy machine's cores from each other. This is
  # read when scikit-learn is imported, which `places` does late.
  os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
  out = web.named(values.out)
  projector = values.projector and pathlib.Path(values.projector).expanduser()
  model = loaded.load(values.model, values.step)
  warnings.filterwarnings("ignore", module=r"PIL\.")  # On large pictures and odd metadata.
  task = making.Task(model, os.path.expanduser(values.images), values.layer, values.layout, out,
                     projector, values.force, values.seed)
  survey.report(*making.make(task), out)
  print(f"Wrote {' and '.join(map(str, filter(None, (out, projector))))}.")


def command() -> None:
  """The program."""
  define_flags()
  program.run(main)


if __name__ == "__main__":
  command()

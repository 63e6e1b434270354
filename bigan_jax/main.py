"""The program: flags -> config -> job. `python -m bigan_jax.main --config=configs/digits.py`."""

from collections.abc import Sequence
import pathlib
import sys

from absl import app
from absl import flags
from absl import logging
from ml_collections import config_flags

from bigan_jax import config as configs

CONFIG = config_flags.DEFINE_config_file("config", None, "FILE.py[:variant[,key=value...]].")
WORKDIR = flags.DEFINE_string("workdir", None, "Run folder; an old one is continued.")
TRACEBACK = flags.DEFINE_bool("traceback", False, "Show where an error came from.")
flags.mark_flags_as_required(["config", "workdir"])


def main(argv: Sequence[str]) -> None:
  """Runs the job that the config names."""
  if argv[1:]:
    raise app.UsageError(f"Unexpected argument {argv[1]!r}: flags begin with --.")
  configs.refuse_derived(config_flags.get_override_values(flags.FLAGS["config"]))
  configs.validate(CONFIG.value)
  from bigan_jax import jobs  # Here, so that --help and a bad config are answered at once.

  jobs.JOBS[CONFIG.value.job](CONFIG.value, WORKDIR.value)


def parse_flags(argv: Sequence[str]) -> list[str]:
  """Like absl's, but a wrong flag raises ValueError in one sentence."""
  try:
    rest = flags.FLAGS(argv)
  except flags.Error as error:
    lines = [line.strip() for line in str(error).splitlines()]
    if "Traceback (most recent call last):" in lines:  # Out of a config file: its last line.
      lines = [[line for line in lines if line][-1].removeprefix("ValueError: ")]
    raise ValueError(" ".join(lines)) from error
  except (AttributeError, KeyError) as error:  # ml_collections'; the innermost message is plain.
    while isinstance(error.args[0], Exception):
      error = error.args[0]
    raise ValueError(f"Unknown config field {'. '.join(error.args[0].splitlines())}") from error
  if flags.FLAGS["verbosity"].using_default_value:
    flags.FLAGS.verbosity = logging.WARNING  # At absl's default, INFO, libraries say too much.
  return rest


def run() -> None:
  """Runs main, and turns what a user can mend into one sentence and exit code 1."""
  try:
    app.run(main, argv=[configs.find_file(argument) for argument in sys.argv],
            flags_parser=parse_flags)
  except (ValueError, OSError, ArithmeticError, ImportError) as error:
    if "--traceback" in sys.argv:
      raise
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {error}")


if __name__ == "__main__":
  run()

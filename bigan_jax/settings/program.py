"""What every command-line program shares: flags read kindly, and errors in one sentence."""

from collections.abc import Callable, Sequence
import pathlib
import sys

from absl import app, flags, logging

from bigan_jax.settings import arguments

TRACEBACK = flags.DEFINE_bool("traceback", False, "Show where an error came from.")


def run(main: Callable[[Sequence[str]], None]) -> None:
  """Runs main(argv), and turns what a user can mend into one sentence and exit code 1."""
  try:
    app.run(main, argv=[arguments.find_file(word) for word in sys.argv],
            flags_parser=parse_flags)
  except (ValueError, OSError, ArithmeticError, ImportError, MemoryError, RuntimeError) as error:
    sentence = remedy(error)
    if sentence is None or "--traceback" in sys.argv:
      raise
    sys.exit(f"{name(sys.argv[0])}: {sentence}")


def name(program: str) -> str:
  """A program as errors name it: main.py, or the package that python -m ran."""
  path = pathlib.Path(program)
  return path.parent.name if path.stem == "__main__" else path.name


def remedy(error: Exception) -> str | None:
  """What a user can do about an error; None where it is the program's own."""
  reason = str(error).partition("\n")[0]
  if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in reason:
    return (f"Out of memory ({reason}): lower --config.batch_size, keep pictures on disk with "
            "--config.data.resident_gb=0.001, or choose --config.precision=bfloat16.")
  if "Unable to initialize backend" in reason:
    return f"JAX finds no such device ({reason}): set JAX_PLATFORMS=cpu, or install jax for it."
  return None if isinstance(error, RuntimeError) else str(error)


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

"""What every command-line program shares: flags read kindly, errors and Ctrl-C in one sentence."""

from collections.abc import Callable, Sequence
import io
import re
import sys

from absl import app, flags, logging
import ml_collections

from bigan_jax.machine import progress
from bigan_jax.settings import fields, interrupts, words
from bigan_jax.settings.arguments import nearest

TRACEBACK = flags.DEFINE_bool("traceback", False, "Show where an error came from.")
NO_VALUE = {  # what Python says of a value that does not fit, and what a person would say
    "invalid literal for int": "no whole number", "could not convert string to float": "no number",
    "Non-boolean argument": "neither true nor false",
}
HELP = ("--help", "--h", "--?", "--helpshort")


def run(main: Callable[[Sequence[str]], None], takes_words: bool = False) -> None:
  """Runs main(argv), and turns what a user can mend into one sentence and exit code 1.

  After Ctrl-C the exit code is 130, after SIGTERM 143, unless `main` takes it for itself. A
  KeyboardInterrupt that carries words has said them.

  Args:
    main: gets the program's name and, if it `takes_words`, those that are no flags.
  """
  interrupts.end_in_order()
  # Names of files are bytes, and may be no UTF-8.
  if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
    sys.stdout.reconfigure(errors="backslashreplace")
  try:
    app.define_help_flags()
    typed = sys.argv[1:]
    sys.argv[1:] = words.arrange(typed, lambda name: is_switch(name, typed))  # ml_collections looks
    app.run(main, flags_parser=lambda argv: parse_flags(argv, main.__module__, takes_words))
  except KeyboardInterrupt as stop:
    interrupts.end_silently()
    progress.end_all()
    if not stop.args:
      interrupts.say(stop)
    sys.exit(interrupts.status(stop))
  except (ValueError, OSError, ArithmeticError, ImportError, MemoryError, RuntimeError) as error:
    sentence = remedy(error)
    if sentence is None or "--traceback" in sys.argv:
      raise
    sys.exit(f"{interrupts.name(sys.argv[0])}: {sentence}")


def remedy(error: Exception) -> str | None:
  """What a user can do about an error; None where it is the program's own."""
  reason = str(error).partition("\n")[0]
  if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in reason:
    return (f"Out of memory ({reason}): in training lower --config.batch_size, keep pictures on "
            "disk with --config.data.resident_gb=0.001, or choose --config.precision=bfloat16; in "
            "judging lower --config.train_images; elsewhere give fewer pictures.")
  return None if isinstance(error, RuntimeError) else str(error)


def is_switch(flag: str, typed: Sequence[str]) -> bool:
  """Whether a flag among the words that were typed does without a value; so do unknown ones."""
  if flag in flags.FLAGS:
    return flags.FLAGS[flag].boolean
  section, dot, field = flag.partition(".")
  if not dot or section != words.CONFIG:
    return True  # A switch with "no" before it, or not known.
  config = words.config_among(typed)
  known = _load(config) if config else None
  return known is None or isinstance(fields.flat(known).get(field), bool | None)


def parse_flags(argv: Sequence[str], module: str, takes_words: bool = False) -> list[str]:
  """Like absl's, but a wrong flag raises ValueError in one sentence, and --help is short.

  Args:
    argv: after `words.arrange`.
    module: of the program, whose docstring --help begins with.
    takes_words: whether there may be words that are no flags.
  """
  try:
    if any(word in HELP for word in argv[1:]):
      print(help_text(sys.modules[module].__doc__, argv), end="")
      sys.exit()
    rest = flags.FLAGS(argv)
  except flags.UnrecognizedFlagError as error:
    raise ValueError(_unknown_flag(error.flagname, argv)) from error
  except Exception as error:  # absl's, ml_collections', or out of a config file
    raise ValueError(_unknown_field(argv) or _one_line(error)) from error
  if rest[1:] and not takes_words:
    raise ValueError(f"Unexpected argument {rest[1]!r}: flags begin with --.")
  for flag in _own_flags():
    if flag.present and flag.value == "":
      raise ValueError(f"--{flag.name} is empty: give it a value, or leave it out.")
  if flags.FLAGS["verbosity"].using_default_value:
    flags.FLAGS.verbosity = logging.WARNING  # At absl's default, INFO, libraries say too much.
  return rest


def help_text(doc: str, argv: Sequence[str]) -> str:
  """What a program does, its flags and, where a config is named, the config's fields."""
  lines = [doc.strip(), "", "flags:"]
  for flag in _own_flags():
    default = "" if flag.default in (None, False) else f" Default: {flag.default_as_str}."
    lines.append(fields.row(f"--{flag.name}", f"{flag.help}{default}".replace("'", "")))
  text = "\n".join(lines) + "\n"
  config = words.config_among(argv)
  if config:
    return f"{text}\n{fields.table(config)}"
  if words.CONFIG in flags.FLAGS:
    text += f"\nconfigs: {', '.join(words.shipped())}; --config=NAME --help lists their fields.\n"
  return text


def _own_flags() -> list[flags.Flag]:
  """The flags of this program, without those that libraries define."""
  modules = flags.FLAGS.flags_by_module_dict().items()
  own = {flag.name: flag for module, found in modules for flag in found
         if module == sys.argv[0] or module.startswith("bigan_jax.")}
  fixed = [own[name] for name in sorted(own) if "." not in name]
  return sorted(fixed, key=lambda flag: flag.name != words.CONFIG)


def _unknown_flag(flag: str, argv: Sequence[str]) -> str:
  config = words.config_among(argv)
  known = fields.flat(_load(config) or {}) if config else {}
  for field in (flag, flag.removeprefix("no"), flag.partition(".")[2]):
    if field in known:
      return f"Unknown flag --{flag}: did you mean --config.{field}?"
  return f"Unknown flag --{flag}: {nearest(flag, tuple(own.name for own in _own_flags()))}"


def _unknown_field(argv: Sequence[str]) -> str | None:
  """The sentence about the first flag that is no field of the config."""
  prefixes = f"--{words.CONFIG}.", f"--no{words.CONFIG}."
  asked = [word for word in argv if word.startswith(prefixes)]
  config = words.config_among(argv) if asked else None
  known = _load(config) if config else None
  for word in asked if known else ():
    sentence = fields.unknown(word.partition("=")[0].partition(".")[2], known)
    if sentence:
      return sentence
  return None


def _load(config: str) -> ml_collections.ConfigDict | None:
  """The config of FILE.py[:argument], or None if the file or the argument is wrong."""
  try:
    return fields.load(config)
  except Exception:  # Whatever a file of somebody's own raises; absl meets it again.
    return None


def _one_line(error: Exception) -> str:
  while error.args and isinstance(error.args[0], Exception):  # The innermost message is plain.
    error = error.args[0]
  missing = re.findall(r"Flag (--\w+) must have a value", str(error))
  if missing:
    verb = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {verb} missing: write {missing[0]}=VALUE."
  for sign, reason in NO_VALUE.items():
    if sign in str(error):
      return f"{str(error).removeprefix('flag ').partition(': ')[0]}: this is {reason}."
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  if "Traceback (most recent call last):" in lines:  # Out of a config file: its last line.
    return lines[-1].removeprefix("ValueError: ")
  if isinstance(error, ValueError | flags.Error | OSError):
    return " ".join(lines)
  return f"The config cannot be read ({type(error).__name__}: {' '.join(lines)}): mend it."

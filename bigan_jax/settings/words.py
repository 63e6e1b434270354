"""The words of a command line, put into the one order and form that absl and ml_collections read.

`-config digits --config.epochs=3` and the like become `--config=FILE.py` first, then the rest.
"""

from collections.abc import Callable, Iterator, Sequence
import pathlib

from bigan_jax.settings.arguments import nearest

CONFIG = "config"
Switch = Callable[[str], bool]


def arrange(words: Sequence[str], is_switch: Switch) -> list[str]:
  """The words after the program's name, each flag as --name=value, --config before its fields.

  Args:
    words: as they were typed.
    is_switch: whether a flag, by its name, does without a value.

  Raises:
    ValueError: a flag has no value; --config is given twice, or names nothing.
    FileNotFoundError: there is no such config.
  """
  pairs = list(_pairs(words, is_switch))
  own = [value for name, value in pairs if name == CONFIG]
  if len(own) > 1:
    raise ValueError(f"--config is given twice, as {own[0]} and as {own[1]}: leave one out.")
  rest = [value if not name else f"--{name}" if value is None else f"--{name}={value}"
          for name, value in pairs if name != CONFIG]
  return [f"--{CONFIG}={find_config(value)}" for value in own] + rest


def _pairs(words: Sequence[str], is_switch: Switch) -> Iterator[tuple[str, str | None]]:
  """(name, value) of each flag; (name, None) of a switch, ("", word) of any other word."""
  todo = list(words)
  while todo:
    word = todo.pop(0)
    name, equals, value = word.lstrip("-").partition("=")
    if word == "--" or not word.startswith("-") or not name:
      yield "", word
    elif equals:
      yield name, value
    elif is_switch(name):
      yield name, None
    elif not todo or todo[0].startswith("--"):
      raise ValueError(f"--{name} has no value: write --{name}=VALUE.")
    else:
      yield name, todo.pop(0)


def config_among(words: Sequence[str]) -> str | None:
  """FILE.py[:argument] of the last --config, in whatever order and form."""
  found = None
  for i, word in enumerate(words):
    if word.lstrip("-").partition("=")[0] == CONFIG and word.startswith("-"):
      found = word.partition("=")[2] if "=" in word else "".join(words[i + 1:i + 2])
  return found and find_config(found)


def find_config(value: str) -> str:
  """Completes FILE[:variant,...]: without .py, or from another folder, the package's configs too.

  Raises:
    ValueError: it is empty, a folder, or no Python file.
    FileNotFoundError: there is none of that name.
  """
  name, colon, rest = value.partition(":")
  known = shipped()
  if not name.strip():
    raise ValueError(f"--config={value} names no file: write --config=NAME, such as "
                     f"--config=digits; {nearest('', tuple(known))}")
  path = pathlib.Path(name).expanduser()
  for candidate in (path, path.with_name(f"{path.name}.py") if path.name else path):
    if candidate.is_file():
      if candidate.suffix != ".py":
        raise ValueError(f"--config={value}: {name} is no Python file; {_choose(name, known)}")
      return f"{candidate}{colon}{rest}"
  # A path of one's own that is misspelt is not answered with another file of the same name.
  ours = path.parent.as_posix() in (".", "configs", "bigan_jax/configs")
  stem = path.name.removesuffix(".py")
  if ours and stem in known:
    return f"{known[stem]}{colon}{rest}"
  if path.is_dir():
    raise ValueError(f"--config={value}: {name} is a folder; {_choose(name, known)}")
  raise FileNotFoundError(f"There is no config {name}: {_choose(name, known)}")


def shipped() -> dict[str, pathlib.Path]:
  """{name: file} of the configs that come with the program."""
  package = pathlib.Path(__file__).parents[1]
  folders = (package.parent / "configs", package / "configs")  # a checkout's, an installation's
  found = {file.stem: file for folder in folders for file in folder.glob("[!_]*.py")}
  return dict(sorted(found.items()))


def _choose(name: str, known: dict[str, pathlib.Path]) -> str:
  return nearest(pathlib.Path(name).name.removesuffix(".py"), tuple(known))

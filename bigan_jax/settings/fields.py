"""The fields of a config: what they are called, what they are set to, and what they are for.

What is said of a field is the comment that stands beside it where it is set, in configs/*.py or
here in settings/.
"""

import ast
from collections.abc import Iterator
import difflib
import importlib.util
import io
import pathlib
import runpy
import shutil
import textwrap
import tokenize
from typing import Any

import ml_collections

from bigan_jax.settings.arguments import DERIVED
from bigan_jax.settings.rules import flat_fields

HERE = pathlib.Path(__file__).parent
ROOMS = ("bigan_jax.settings", "bigan_jax.configs", "configs")  # that configs are made of
LEFT = 36  # columns of names and defaults; longer ones have a line of their own
HEADER = "fields of {path}, each of them a flag, such as --config.seed=1:"


def load(value: str) -> ml_collections.ConfigDict:
  """The config of FILE.py[:argument]."""
  path, colon, argument = value.partition(":")
  get_config = runpy.run_path(path)["get_config"]
  return get_config(argument) if colon else get_config()


def flat(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """{"section.field": value}."""
  return dict(flat_fields(config))


def unknown(name: str, config: ml_collections.ConfigDict) -> str | None:
  """The sentence about a field that is not there, or is a section; None for one that is there."""
  values = flat(config)
  if name in values:
    return None
  section, known = name, []
  while not known and section:
    known = [field for field in values if field.startswith(f"{section}.")]
    if not known and section in values:
      return f"config.{section} has no fields: it is {values[section]!r}, not a section."
    section = section if known else section.rpartition(".")[0]
  known = known or list(values)
  if section == name:
    return f"config.{name} is a section: set one of its fields, {_listed(known, section)}"
  inner = [field.removeprefix(f"{section}.") for field in known] if section else known
  hint = _hint(name.removeprefix(f"{section}."), inner, values)
  where = f" in config.{section}" if section else ""
  return f"Unknown config field {name!r}{where}: {hint}choose from {_listed(known, section)}"


def _hint(name: str, near: list[str], everywhere: dict[str, Any]) -> str:
  """What was probably meant: the same word in a section, else one like it in the same section."""
  last = name.rpartition(".")[2]
  close = [field for field in everywhere if field.rpartition(".")[2] == last]
  close = close or difflib.get_close_matches(name, near, n=1)
  return f"did you mean {' or '.join(map(repr, close))}? " if close else ""


def _listed(fields: list[str], section: str) -> str:
  """The names right in a section; deeper ones by their section."""
  names = dict.fromkeys(
      first + ".*" * bool(dot) for first, dot, _ in
      (field.removeprefix(f"{section}.").partition(".") for field in fields)
  )
  return f"{', '.join(names)}."


def table(value: str) -> str:
  """All fields of FILE.py[:argument] with their values and comments, a line or more each."""
  said, lines = comments(pathlib.Path(value.partition(":")[0])), [HEADER.format(path=value)]
  for name, default in flat(load(value)).items():
    text = said.get(name) or said.get(name.rpartition(".")[0], "")
    text = "after the colon, not by a flag" if name in DERIVED else text
    lines.append(row(f"{name}={default!r}" if default != "" else f"{name}=", text))
  return "\n".join(lines) + "\n"


def row(left: str, text: str) -> str:
  """`left`, and `text` in a column of its own."""
  width = max(40, shutil.get_terminal_size((100, 24)).columns - LEFT - 4)
  first, *others = textwrap.wrap(text, width) or [""]
  head = f"  {left:<{LEFT}}  {first}" if len(left) <= LEFT or not text else (
      f"  {left}\n{'':{LEFT + 4}}{first}")
  return "\n".join([head.rstrip(), *(f"{'':{LEFT + 4}}{line}" for line in others)])


def comments(path: pathlib.Path) -> dict[str, str]:
  """{"section.field": comment} of a config file and of what it imports of ROOMS.

  What is said in settings goes before what a file says of its own value; of two files in settings,
  the one that is imported by the other gives way.
  """
  todo, trees = [path], {}
  while todo:
    file = todo.pop(0)
    if file not in trees:
      trees[file] = ast.parse(file.read_text(encoding="utf-8"))
      todo += _imported(trees[file])
  found: dict[str, str] = {}
  for file in sorted(trees, key=lambda file: file.parent != HERE):
    for name, text in _beside(file.read_text(encoding="utf-8"), trees[file]):
      found.setdefault(name, text)
  return found


def _imported(tree: ast.Module) -> list[pathlib.Path]:
  """The files of ROOMS that a file imports."""
  names = []
  for node in tree.body:
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(ROOMS):
      names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
  found = []
  for name in names:
    try:
      spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # It is a function in a module.
      continue
    if spec and spec.origin:
      found.append(pathlib.Path(spec.origin))
  return found


def _beside(source: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
  """(field, comment) of every assignment to a field with a comment on its lines."""
  tokens = tokenize.generate_tokens(io.StringIO(source).readline)
  said = {
      token.start[0]: token.string.lstrip("# ") for token in tokens
      if token.type == tokenize.COMMENT and token.line.strip() != token.string
  }
  for node in ast.walk(tree):
    if isinstance(node, ast.Assign):
      names = [name for target in node.targets for name in _names(target)]
      for inner in ast.walk(node.value):
        if isinstance(inner, ast.Dict):
          for key in inner.keys:
            if isinstance(key, ast.Constant) and key.lineno in said:
              yield from ((f"{name}.{key.value}", said[key.lineno]) for name in names)
      text = said.get(node.end_lineno) or said.get(node.lineno)
      if text:
        yield from ((name, text) for name in names)


def _names(target: ast.expr) -> list[str]:
  """`config.data.edge` -> data.edge, and `data.edge` in a function that makes a section, too."""
  if isinstance(target, ast.Tuple):
    return [name for element in target.elts for name in _names(element)]
  if not isinstance(target, ast.Attribute):
    return []
  name = ast.unparse(target).removeprefix("config.")
  return [name]

"""Tests of who imports whom: one way, without cycles, and nothing that setup.cfg does not name."""

import ast
import configparser
import graphlib
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
ORDER = (  # Rooms from the top floor down: each may import from itself and from those below.
    "main",
    "anomaly atlas export features import_official",
    "transfer.jobs",
    "transfer.voc",
    "transfer",
    "evaluation.tables",
    "evaluation",
    "benchmark",
    "exchange",
    "training",
    "data",
    "runs",
    "models",
    "settings",
    "machine",
)
RANKS = {room: rank for rank, floor in enumerate(reversed(ORDER)) for room in floor.split()}
DISTRIBUTIONS = {"absl": "absl-py", "PIL": "pillow", "sklearn": "scikit-learn", "orbax":
                 "orbax-checkpoint", "cv2": "opencv-contrib-python-headless"}


def module_name(path: pathlib.Path) -> str:
  """bigan_jax/data/order.py -> bigan_jax.data.order."""
  parts = path.relative_to(ROOT).with_suffix("").parts
  return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(p): p for p in [*ROOT.glob("bigan_jax/**/*.py"), *ROOT.glob("configs/*.py")]}
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}


def imports(tree: ast.AST) -> set[str]:
  """Every module that is imported anywhere in a file, inside of functions too."""
  found, unseen = set(), set()
  for node in ast.walk(tree):  # From the outside to the inside.
    if node in unseen or isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
      unseen.update(ast.walk(node))
      continue
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, "imports are absolute"
      full = [f"{node.module}.{alias.name}" for alias in node.names]
      found |= {name if name in SOURCES else node.module for name in full}
  return found


GRAPH = {name: imports(tree) for name, tree in TREES.items()}


def room(module: str) -> str:
  """The entry of ORDER that a module of the package stands under, the innermost one."""
  name = module.removeprefix("bigan_jax.")
  while name not in RANKS and "." in name:
    name = name.rpartition(".")[0]
  return name


def test_every_module_has_a_room() -> None:
  assert {room(name) for name in SOURCES if name.startswith("bigan_jax.")} == RANKS.keys()


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_imports_run_downwards(module: str) -> None:
  ours = {name for name in GRAPH[module] if name.partition(".")[0] in ("bigan_jax", "configs")}
  if module.startswith("configs"):
    assert {room(name) for name in ours} <= {"settings"}
    return
  for name in ours:
    assert name in SOURCES and name != "bigan_jax", f"{module} imports {name}"
    same = room(name) == room(module)
    assert same or RANKS[room(name)] < RANKS[room(module)], f"{module} imports {name}"


def test_every_room_says_what_belongs_there() -> None:
  for path in ROOT.glob("bigan_jax/**/__init__.py"):
    assert ast.get_docstring(ast.parse(path.read_text())), path


def test_the_hall_stays_small() -> None:
  """At most 8 files and 10 folders are seen by who opens the package."""
  seen = [path for path in (ROOT / "bigan_jax").iterdir() if path.name != "__pycache__"]
  assert sum(path.is_file() for path in seen) <= 8
  assert sum(path.is_dir() for path in seen) <= 10


def test_files_can_be_read_in_one_go() -> None:
  others = (*ROOT.glob("tests/**/*.py"), *ROOT.glob("bigan_jax/**/*.js"))
  for path in (*SOURCES.values(), *others):
    assert len(path.read_text().splitlines()) <= 300, path


def test_tests_mirror_the_rooms() -> None:
  for path in ROOT.glob("tests/*/**/*_test.py"):
    assert (ROOT / "bigan_jax" / path.parent.relative_to(ROOT / "tests")).is_dir(), path


def test_there_are_no_cycles() -> None:
  graph = {name: found & SOURCES.keys() - {name} for name, found in GRAPH.items()}
  assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(SOURCES)


def test_training_does_not_know_evaluation() -> None:
  reached, todo = set(), ["bigan_jax.training.loop"]
  while todo:
    name = todo.pop()
    reached.add(name)
    todo += (GRAPH[name] & SOURCES.keys()) - reached
  assert "bigan_jax.training.train_step" in reached
  assert not [name for name in reached if name.startswith("bigan_jax.evaluation")]


def test_the_command_line_is_read_without_jax() -> None:
  """Otherwise --help and the answer to a wrong flag take seconds."""
  top = ast.parse(SOURCES["bigan_jax.main"].read_text()).body
  early = imports(ast.Module([n for n in top if isinstance(n, (ast.Import, ast.ImportFrom))], []))
  light = {name for name in SOURCES if room(name) == "settings"} | {"bigan_jax.machine.progress"}
  for name in early.union(GRAPH["bigan_jax"], *(GRAPH[name] for name in light)):
    assert name.partition(".")[0] not in ("jax", "flax", "tensorflow_datasets", "sklearn")
    assert not name.startswith("bigan_jax.") or name in light


def test_tensorflow_and_torch_are_nowhere() -> None:
  tests = {path.name: ast.parse(path.read_text()) for path in ROOT.glob("tests/**/*.py")}
  for name, tree in {**TREES, **tests}.items():
    roots = {found.partition(".")[0] for found in imports(tree)}
    assert not roots & {"tensorflow", "torch", "torchvision", "keras", "clu"}, name


def test_orbax_and_pmap_have_one_place_each() -> None:
  orbax = {name for name, found in GRAPH.items() if any(f.startswith("orbax") for f in found)}
  assert orbax == {"bigan_jax.runs.checkpoints"}
  pmap = {
      name for name, tree in TREES.items() for node in ast.walk(tree)
      if (isinstance(node, ast.Attribute) and node.attr == "pmap")
      or (isinstance(node, ast.alias) and node.name == "pmap")
  }
  assert pmap == {"bigan_jax.training.parallel"}


def read_list(section: str, field: str) -> set[str]:
  config = configparser.ConfigParser()
  config.read(ROOT / "setup.cfg")
  return set(config[section][field].split("\n")) - {""}


def test_every_folder_is_in_the_package_list() -> None:
  folders = {name if path.name == "__init__.py" else name.rpartition(".")[0]
             for name, path in SOURCES.items()}
  ours = {"bigan_jax.configs" if name == "configs" else name for name in folders}
  assert read_list("options", "packages") == ours
  assert "bigan_jax.configs = configs" in read_list("options", "package_dir")
  assert all((SOURCES[name].name == "__init__.py") for name in folders)


def test_what_is_imported_is_what_is_required() -> None:
  roots = {found.partition(".")[0] for names in GRAPH.values() for found in names}
  foreign = roots - set(sys.stdlib_module_names) - {"bigan_jax", "configs"}
  needed = {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in foreign}
  lines = read_list("options", "install_requires")
  required = {re.split(r"[<>=!~ ]", line)[0].replace("_", "-") for line in lines}
  optional = {re.split(r"[<>=!~ ]", line)[0] for extra in ("detection", "heic", "hub", "onnx")
              for line in read_list("options.extras_require", extra)}
  assert optional <= needed <= required | optional
  undeclared_by_tfds = {"importlib-resources", "array-record"}
  assert undeclared_by_tfds <= required
  assert required - needed <= undeclared_by_tfds | {"flatbuffers"}  # Nothing that nobody uses.

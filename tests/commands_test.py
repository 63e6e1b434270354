"""README and docs: their commands and their links.

Nothing is run here. Of each command of the program, in fenced blocks, tables and text, the flags
are parsed, the config is built and its rules are checked. Scripts under launch/ must exist. That
the programs do what they are told is tested in main_test.py, export_test.py and features_test.py.
"""

import pathlib
import re
import shlex
import sys

from absl import flags
from ml_collections import config_flags
import pytest

from bigan_jax.settings import arguments, downstream, rules

ROOT = pathlib.Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FILLED = {  # What stands for a placeholder.
    "JOB": "configs/linear_probe.py", "S": "0", "N": "2", "PREFIX": "weights/bigan",
    "VARIANT": "bigan", "configs/X.py": "configs/mnist.py", "HOST:PORT": "localhost:1234",
}
MODULES = {"main": "main.py", "export": "export.py", "features": "features.py",
           "import_official": "import_official.py", "benchmark": "benchmark/__main__.py"}
NEEDS = {"cluster", "GPU", "ImageNet"}


def commands(text: str) -> list[str]:
  """Every `python -m bigan_jax.X ...` of a page, on one line, without what follows && or #."""
  text = re.sub(r"\\\n\s*", " ", text)
  fenced = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
  lines = [line for block in fenced for line in block.splitlines()]
  inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
  parts = [part for line in lines + inline for part in " ".join(line.split()).split("&&")]
  return [part.strip() for part in parts if part.strip().startswith("python -m bigan_jax.")]


def filled(value: str) -> str:
  """A flag with its placeholders filled from the table."""
  return re.sub(r"(?<![\w./])(" + "|".join(map(re.escape, FILLED)) + r")(?![\w/])",
                lambda found: FILLED[found[1]], value)


CASES = [(page, command) for page in PAGES for command in commands(page.read_text())]


@pytest.mark.parametrize("page, command", CASES, ids=[f"{p.name}: {c}" for p, c in CASES])
def test_flags_exist_and_the_config_is_accepted(
    page: pathlib.Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  _, _, module, *words = shlex.split(command, comments=True)
  source = (ROOT / "bigan_jax" / MODULES[module.removeprefix("bigan_jax.")]).read_text()
  known = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source))
  names = {word[2:].partition("=")[0] for word in words if not word.startswith("--config.")}
  assert all(word.startswith("--") for word in words) and names <= known, page.name
  chosen = [filled(word) for word in words if word.startswith("--config")]
  if chosen:
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file("config", flag_values=values)
    chosen.sort(key=lambda word: word.startswith("--config."))
    words = ["program", *map(arguments.find_file, chosen)]
    monkeypatch.setattr(sys, "argv", words)  # ml_collections reads overrides there.
    values(words)
    config = holder.value
    (rules if config.job == "train" else downstream).validate(config)


def test_commands_are_found() -> None:
  assert {page.name for page, _ in CASES} >= {"README.md", "data.md", "export.md", "results.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_anchors_scripts_and_marks_exist(page: pathlib.Path) -> None:
  text = page.read_text()
  for target in re.findall(r"\]\(([^)\s]+)\)", text):
    if target.startswith("http"):
      continue
    file, _, anchor = target.partition("#")
    path = (page.parent / file) if file else page
    assert path.exists(), target
    heads = re.findall(r"^#+ (.+)$", path.read_text(), re.M) if anchor else []
    found = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
    assert not anchor or anchor in found, target
  for script in re.findall(r"launch/\w+\.(?:sh|ipynb|yaml)", text):
    assert (ROOT / script).exists(), script
  assert set(re.findall(r"<!-- needs: (\w+) -->\n```bash", text)) <= NEEDS
  assert text.count("<!-- needs:") == len(re.findall(r"<!-- needs: \w+ -->\n```bash", text))


def test_front_page_is_short() -> None:
  assert len((ROOT / "README.md").read_text().splitlines()) <= 150

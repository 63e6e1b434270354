"""The commands of README and docs run as they are printed; their links and files are there.

Every `python -m bigan_jax.X` is run in one folder: placeholders stand in one table, and sizes are
cut by one list of flags a kind of network. Of commands that differ in --workdir alone one is run;
the notebook's are run by colab_test.
A page marks what needs more than this by `<!-- needs: ... -->` above a block;
such commands, and those of NEEDING, have their flags and their config checked instead (benchmark
and import_official are run by tests of their own). Scripts of launch/ are asked for their usage.
"""

import pathlib
import re
import shlex
import shutil
import subprocess

import numpy as np
from PIL import Image
import pytest

from bigan_jax.settings import downstream, fields, rules, words
from tests.conftest import TINY

ROOT = pathlib.Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FILLED = {  # What stands for a placeholder.
    "RUN": "runs/digits", "OUT": "out", "MODEL": "digits-bigan", "DIR": "pictures", "GOOD": "good",
    "S": "0", "N": "2", "JOB": "configs/neighbours.py", "PREFIX": "weights/bigan",
    "VARIANT": "bigan", "A.jpg": "pictures/a/0.png", "B.jpg": "pictures/b/1.png",
    "configs/X.py": "configs/mnist.py", "HOST:PORT": "localhost:1234",
}
NEEDS = {"cluster", "GPU", "ImageNet"}
NEEDING = ("imagenet", "bigan_jax.import_official", "bigan_jax.benchmark", "--config.stop",
           "--push")
PERCEPTRONS = [f"--config.{name}={value}" for name, value in TINY.items()]
IMAGES = [
    "--config.batch_size=4", "--config.epochs=1", "--config.calibration_steps=1",
    "--config.eval.samples=100", "--config.eval.images=4", "--config.eval.references=8",
    "--config.steps_per_dispatch=1", "--config.model.latent_dim=3", "--config.model.G.width=1",
    "--config.model.D.width=1", "--config.model.E.widths=(2,2,2,2,2)", "--config.data.edge=20",
    "--config.model.image_shape=(16,16,3)", "--config.model.encoder_shape=(16,16,3)",
    "--config.optim.rate=1e-4",
]
PHOTOS = [  # as environments_test has them: XLA's compilations are shared
    *PERCEPTRONS, "--config.data.name=fake", "--config.model.image_shape=(8,8,3)",
    "--config.model.encoder_shape=(8,8,3)", "--config.model.G.width=2", "--config.model.D.width=2",
    "--config.model.E.width=2", "--config.model.E.hidden=4", "--config.model.D.hidden=4",
]
CUT = {"digits": PERCEPTRONS, "cifar10": PHOTOS, "mnist": [*PERCEPTRONS, "--config.data.name=fake"],
       "image_folder": IMAGES, "linear_probe": ["--config.neighbours=1"], "neighbours": [],
       "sample_quality": ["--config.samples=60", "--config.resamples=2"]}


def commands(text: str) -> list[str]:
  """Every command of a page on one line, without what follows && or #."""
  text = re.sub(r"\\\n\s*", " ", text)
  fenced = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
  lines = [line for block in fenced for line in block.splitlines()]
  inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
  parts = [part for line in lines + inline for part in " ".join(line.split()).split("&&")]
  starts = re.compile(r"python -m bigan_jax\.\w+ -|launch/")
  return [part.strip() for part in parts if starts.match(part.strip())]


def fill(command: str) -> str:
  """A command with its placeholders filled from the table."""
  return re.sub(r"(?<![\w./])(" + "|".join(map(re.escape, FILLED)) + r")(?![\w/])",
                lambda found: FILLED[found[1]], command)


PRINTED = [(page.name, command) for page in PAGES for command in commands(page.read_text())]
PROGRAMS = list(dict.fromkeys(fill(c) for _, c in PRINTED if not c.startswith("launch/")))
RUN = [c for c in PROGRAMS if not any(needing in c for needing in NEEDING)]
QUICK_START = "python -m bigan_jax.main --config=configs/digits.py --workdir=runs/digits"
KINDS = list({re.sub(r"--workdir=\S+", "", command): command for command in RUN}.values())
NOTEBOOK = (ROOT / "launch" / "colab.ipynb").read_text().replace("$PICTURES", "pictures")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """Where the commands are started: a folder of pictures, and the run and export that RUN mean."""
  path = tmp_path_factory.mktemp("somewhere")
  for i in range(12):
    place = path / "pictures" / "ab"[i % 2] / f"{i}.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.RandomState(i).randint(256, size=(24, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(place)
  for i in range(12):
    shutil.copytree(path / "pictures" / "a", path / "good" / str(i))
  return path


def is_run_elsewhere(command: str) -> bool:
  """By the test of the notebook."""
  parts = {part for part in command.split() if not part.startswith("--workdir=")}
  theirs = re.findall(r"!(python -m bigan_jax\.main [^$]*?)(?: --workdir=\S+)? \$", NOTEBOOK)
  alike = any(parts == set(other.split()) for other in theirs)
  return alike and command != QUICK_START


def run(command: str, folder: pathlib.Path, python: pathlib.Path) -> None:
  """Runs a printed command with the flags that cut its size."""
  _, *parts = shlex.split(command, comments=True)
  chosen = words.config_among(parts)
  kind = pathlib.Path(chosen.partition(":")[0]).stem if chosen else ""
  done = subprocess.run(
      [python, *parts, *CUT.get(kind, [])], cwd=folder, capture_output=True, text=True,
      timeout=300,
  )
  assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_commands_run_as_printed(folder: pathlib.Path, forked_python: pathlib.Path) -> None:
  first = sorted(KINDS, key=lambda c: (c != QUICK_START, "bigan_jax.export" not in c))
  first = [command for command in first if not is_run_elsewhere(command)]
  for number, command in enumerate(first):
    own = command if number < 2 else re.sub(r"--workdir=\S+", f"--workdir=out{number}", command)
    run(own, folder, forked_python)
  assert (folder / "features.npz").is_file() and (folder / "digits-bigan" / "README.md").is_file()
  assert len(list((folder / "runs" / "digits" / "pictures" / "samples").iterdir())) == 2


def test_what_the_notebook_runs_is_known() -> None:
  elsewhere = [words.config_among(shlex.split(c)) for c in KINDS if is_run_elsewhere(c)]
  assert elsewhere == ["configs/image_folder.py", "configs/mnist.py", "configs/linear_probe.py"]


def test_every_kind_of_program_is_among_them() -> None:
  programs = {command.split()[2] for command in KINDS}
  programs_of_pages = {"main", "anomaly", "atlas", "export", "features"}
  assert {f"bigan_jax.{name}" for name in programs_of_pages} <= programs
  configs = {name for name in CUT if any(f"configs/{name}" in command for command in KINDS)}
  assert configs >= {"digits", "mnist", "image_folder", "linear_probe"}


@pytest.mark.parametrize("command", PROGRAMS)
def test_flags_exist_and_the_config_is_accepted(command: str) -> None:
  _, _, module, *parts = shlex.split(command, comments=True)
  place = ROOT.joinpath(*module.split("."))
  file = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
  known = {"help", *re.findall(r'DEFINE_\w+\(\s*"(\w+)"', file.read_text())}
  names = [part[2:].partition("=")[0] for part in parts]
  assert all(part.startswith("--") for part in parts)
  assert {name for name in names if not name.startswith("config.")} <= known
  if chosen := words.config_among(parts):
    config = fields.load(chosen)
    for part in parts:
      name, _, value = part.removeprefix("--config.").partition("=")
      if part.startswith("--config."):
        assert fields.unknown(name, config) is None
        kind = type(fields.flat(config)[name])
        config.update_from_flattened_dict({name: kind(value)})
    (rules if config.job == "train" else downstream).validate(config)


@pytest.mark.parametrize("script", sorted(
    {command.split()[0] for _, command in PRINTED if re.match(r"launch/\w+\.sh", command)}
))
def test_scripts_say_how_they_are_used(script: str) -> None:
  done = subprocess.run(["bash", ROOT / script, "--help"], capture_output=True, text=True)
  assert done.returncode == 0 and script in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_anchors_and_marks_exist(page: pathlib.Path) -> None:
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
  assert set(re.findall(r"<!-- needs: (\w+) -->\n```bash", text)) <= NEEDS
  assert text.count("<!-- needs:") == len(re.findall(r"<!-- needs: \w+ -->\n```bash", text))


def test_the_front_page_is_short() -> None:
  assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_pictures_are_few_and_shown() -> None:
  files = list((ROOT / "docs" / "pictures").iterdir())
  shown = {path.name for path in files if any(f"pictures/{path.name})" in page.read_text()
                                              for page in PAGES)}
  assert {path.name for path in files} == shown
  assert sum(path.stat().st_size for path in files) < 1 << 20

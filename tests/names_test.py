"""Modules, files, flags and fields that README, docs, launch and messages name are there."""

from collections.abc import Iterator
import pathlib
import re

import ml_collections
import pytest

import bigan_jax
from configs import (
  cifar10,
  digits,
  frozen_layers,
  imagenet,
  linear_probe,
  neighbours,
  sample_quality,
  voc_classification,
  voc_detection,
  voc_segmentation,
)

ROOT = pathlib.Path(__file__).parents[1]
PROSE = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("launch/*")]
TEXTS = [*PROSE, *ROOT.glob("bigan_jax/**/*.py"), *ROOT.glob("configs/*.py"),
         *ROOT.glob("tests/**/*.py"), ROOT / "setup.cfg"]
CONFIGS = (cifar10, digits, frozen_layers, imagenet, linear_probe, neighbours, sample_quality,
           voc_classification, voc_detection, voc_segmentation)
ELSE = (*bigan_jax.__all__, "__version__", "configs", "lod", "tar")  # after bigan_jax and a dot
FOREIGN = {  # flags of other programs that texts call
    "nodes", "gpus-per-node", "ntasks-per-node", "help", "kill-on-bad-exit", "gpu-bind", "signal",
    "command", "worker", "zone", "xla_gpu_deterministic_ops", "job-name", "requeue", "open-mode",
    "exit-code", "output", "recurse", "exclude", "logdir",
    "xla_force_host_platform_device_count", "durations",
}


def find(pattern: str, paths: list[pathlib.Path]) -> Iterator[tuple[str, str]]:
  """(file, first group) of every match."""
  for path in paths:
    if path != pathlib.Path(__file__):
      for match in re.finditer(pattern, path.read_text()):
        yield str(path.relative_to(ROOT)), match[1]


def test_modules_are_there() -> None:
  for file, name in find(r"\bbigan_jax((?:\.[a-z_]\w*)+)(?!\.gz)", TEXTS):
    first, *rest = name[1:].split(".")
    place = ROOT / "bigan_jax" / first
    while rest and place.is_dir():
      place /= rest.pop(0)
    there = place.is_dir() or place.with_suffix(".py").is_file()
    assert there or first in ELSE, f"{file} names bigan_jax{name}"


def test_files_are_there() -> None:
  places = r"((?:bigan_jax|configs|launch|docs)/[\w/]+\.(?:py|sh|md|ipynb|yaml|png))\b"
  placeholders = r"configs/(?:X|NAME|nope|digts|mine)\.py"
  prose = [path for path in TEXTS if "tests" not in path.parts]
  for file, name in (*find(places, prose), *find(r"\b(tests/[\w/]+\.py)\b", prose)):
    assert (ROOT / name).exists() or re.fullmatch(placeholders, name), f"{file} names {name}"


def test_flags_are_there() -> None:
  sources = list(ROOT.glob("bigan_jax/**/*.py"))
  ours = {name for _, name in find(r"DEFINE_\w+\(\s*\"(\w+)\"", sources)} | {"config"}
  for file, name in find(r"(?<![\w-])--([a-z][\w-]*)", PROSE):
    assert name.removeprefix("no") in ours or name in ours | FOREIGN, f"{file} names --{name}"


@pytest.fixture(scope="module")
def fields() -> set[str]:
  """Names of all fields of all configs."""
  def walk(config: ml_collections.ConfigDict, prefix: str) -> Iterator[str]:
    for name, value in config.items():
      yield prefix + name
      if isinstance(value, ml_collections.ConfigDict):
        yield from walk(value, f"{prefix}{name}.")
  return {name for module in CONFIGS for name in walk(module.get_config(), "")}


def test_fields_are_there(fields: set[str]) -> None:
  for file, name in find(r"--config\.([a-zA-Z_.0-9]*[a-zA-Z_0-9])\b", TEXTS):
    known = name in fields or (name in ("batc", "epoch", "nope", "optim.rat"))
    assert known or "tests/" in file, f"{file} names --config.{name}"

"""Tests of what pip installs: the same programs as `python -m`, under names of their own."""

import configparser
import importlib
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def entry_points() -> dict[str, str]:
  """{command: "module:function"}, as setup.cfg has them."""
  config = configparser.ConfigParser()
  config.read(ROOT / "setup.cfg")
  lines = config["options.entry_points"]["console_scripts"].strip().splitlines()
  return {name.strip(): place.strip() for name, place in (line.split("=") for line in lines)}


COMMANDS = entry_points()


def run(name: str, *words: str) -> subprocess.CompletedProcess:
  """Runs a command by a script such as pip writes."""
  module, function = COMMANDS[name].split(":")
  script = (f"import sys; sys.argv[0] = '/somewhere/bin/{name}'; "
            f"from {module} import {function}; sys.exit({function}())")
  return subprocess.run(
      [sys.executable, "-c", script, *words], cwd=ROOT, env=os.environ, capture_output=True,
      text=True, timeout=60,
  )


def test_the_commands_are_there() -> None:
  programs = ("anomaly", "atlas", "export", "features")
  assert list(COMMANDS) == ["bigan", *(f"bigan-{name}" for name in programs)]
  for place in COMMANDS.values():
    module, function = place.split(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("name, own", [
    ("bigan", "--config"), ("bigan-anomaly", "--contamination"), ("bigan-atlas", "--layout"),
    ("bigan-export", "--merge_bn"), ("bigan-features", "--reconstruct"),
])
def test_their_help_is_their_own(name: str, own: str) -> None:
  process = run(name, "--help")
  assert process.returncode == 0 and not process.stderr
  for part in (own, "flags:", "--traceback"):
    assert part in process.stdout
  assert "--coordinator " in process.stdout or name != "bigan"
  assert "--config" not in process.stdout or name == "bigan"


@pytest.mark.parametrize("name, words, sentence", [
    ("bigan", ["--workdir=x", "--config.epochs", "-1", "--config", "digits"],
     "config.epochs is -1, but must be at least 0."),
    ("bigan", ["--config=digits", "--workdir="], "--workdir is empty: give it a value, or leave"),
    ("bigan-export", ["--wokdir=x"], "Unknown flag --wokdir: did you mean 'workdir'? choose from "),
    ("bigan-features", ["--model=/nope", "--images=x", "--out=x.npz"], "There is no run folder"),
])
def test_their_errors_begin_with_their_names(name: str, words: list[str], sentence: str) -> None:
  process = run(name, *words)
  assert process.returncode == 1 and process.stderr.startswith(f"{name}: {sentence}")
  assert process.stderr.count("\n") == 1

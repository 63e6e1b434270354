"""Lint and the order of imports, by the few rules of pyproject.toml."""

import pathlib
import subprocess
import sys


def test_ruff_finds_nothing() -> None:
  root = pathlib.Path(__file__).parents[1]
  command = [sys.executable, "-m", "ruff", "check", "--no-cache", "."]
  done = subprocess.run(command, cwd=root, capture_output=True, text=True)
  assert done.returncode == 0, done.stdout + done.stderr

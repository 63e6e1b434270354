"""What every program shares, as a process of its own."""

import os
import subprocess
import sys

PRINTS = r"""
import os, sys
from bigan_jax.settings import program
program.run(lambda argv: print("Wrote", os.fsdecode(b"caf\xe9") + "."))
"""


def test_a_name_that_is_no_text_can_be_said() -> None:
  """Where the locale is of UTF-8, Python would print no such name, and the program would fail."""
  done = subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, text=True, timeout=60,
                        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"})
  assert (done.returncode, done.stdout) == (0, "Wrote caf\\udce9.\n"), done.stderr

"""The notebook runs from its first cell to its last, with small settings."""

import glob
import importlib.util
import json
import os
import pathlib
import shlex

from IPython.core import interactiveshell
import nbclient
import nbformat
import pytest

from tests import commands_test
from tests.conftest import TINY

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOK = ROOT / "launch" / "colab.ipynb"
LITTLE = " ".join(f"--config.{name}={value}" for name, value in TINY.items())
FLAGS = {  # As commands_test has them: XLA's compilations are shared.
    "digits": LITTLE,
    "mnist": f"--config.data.name=fake {LITTLE}",
    "own": shlex.join(commands_test.IMAGES),
    "probe": "--config.train_images=100 --config.judged_images=50 --config.calibration_steps=1",
}


def test_it_runs_from_top_to_bottom(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, forked_python: pathlib.Path
) -> None:
  monkeypatch.setenv("NOTEBOOK_FLAGS", json.dumps(FLAGS))
  monkeypatch.setenv("PATH", str(forked_python.parent), prepend=os.pathsep)
  notebook = nbformat.read(NOTEBOOK, as_version=4)
  assert all(not cell.get("outputs") for cell in notebook.cells)  # None are kept.
  nbclient.NotebookClient(
      notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}
  ).execute()
  printed = "\n".join(
      output.text for cell in notebook.cells for output in cell.get("outputs", [])
      if output.output_type == "stream"
  )
  shown = [
      output for cell in notebook.cells for output in cell.get("outputs", [])
      if output.output_type == "display_data"
  ]
  assert len(shown) == 5 and all("image/png" in output.data for output in shown)
  for text in ("JD", "linear", "'code': (200, 3)", "README.md", "(1, 3) {'conv1': (1, 4, 4, 2)"):
    assert text in printed, printed
  for folder in ("digits", "mnist", "own"):
    assert (tmp_path / "runs" / folder / "metrics.jsonl").exists()
  assert (tmp_path / "exported" / "README.md").exists()


@pytest.mark.parametrize("machine, accelerator, seen, warns", [
    ("GPU", "cuda12", "gpu [CudaDevice(id=0)]", False),
    ("GPU", "cuda12", "cpu [CpuDevice(id=0)]", True),
    ("TPU", "tpu", "tpu [TpuDevice(id=0)]", False),
    ("CPU", "", "cpu [CpuDevice(id=0)]", False),
])
def test_it_installs_what_the_machine_has_and_says_what_jax_sees(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
    machine: str, accelerator: str, seen: str, warns: bool,
) -> None:
  monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
  monkeypatch.setenv("COLAB_TPU_1VM", "1" if machine == "TPU" else "")
  monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
  for name, script in {"nvidia-smi": f"[ {machine} = GPU ]", "python": f"echo '{seen}'"}.items():
    (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / name).chmod(0o755)
  installed = []
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: installed[-1:] or None)
  monkeypatch.setattr(glob, "glob", lambda pattern: [])
  shell = interactiveshell.InteractiveShell()
  shell.register_magic_function(installed.append, magic_name="pip")
  for cell in nbformat.read(NOTEBOOK, as_version=4).cells[1:3]:
    shell.run_cell(cell.source).raise_error()
  assert installed == [f'install -q "bigan_jax[{accelerator}] @ {ROOT.as_uri()}"']
  printed = capsys.readouterr().out
  assert f"JAX computes on: {seen}" in printed
  assert ("DOES NOT SEE" in printed) == warns


@pytest.mark.parametrize("source, answers, said", [
    ("", False, "bigan_jax is not at SOURCE = '': put in the field above the https address"),
    ("/nowhere", False, "bigan_jax is not at SOURCE = '/nowhere': put in the field above"),
    ("https://a.example/b", False, "bigan_jax is not at SOURCE = 'https://a.example/b': put in"),
    ("https://a.example/b", True, r"Nothing could be installed from git\+https://a.example/b: see"),
])
def test_it_stops_where_nothing_could_be_installed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, source: str, answers: bool, said: str
) -> None:
  monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
  monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
  (tmp_path / "git").write_text(f"#!/bin/sh\n{str(answers).lower()}\n")
  (tmp_path / "git").chmod(0o755)
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  shell = interactiveshell.InteractiveShell()
  shell.register_magic_function(lambda line: None, magic_name="pip")
  cell = nbformat.read(NOTEBOOK, as_version=4).cells[1].source
  assert cell.count('SOURCE = ""  # @param') == 1  # A field of Colab's.
  with pytest.raises(SystemExit, match=said):
    shell.run_cell(cell.replace('SOURCE = ""', f"SOURCE = {source!r}")).raise_error()

"""The notebook runs from its first cell to its last, with small settings."""

import glob
import importlib.util
import json
import os
import pathlib
import sys

from IPython.core import interactiveshell
import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOK = ROOT / "launch" / "colab.ipynb"
NETWORKS = (
    "--config.model.G.width=4 --config.model.D.width=4 --config.model.E.widths='(8,8,8,8,8)'"
    " --config.model.latent_dim=5"
)
JUDGED = "--config.calibration_steps=2 --config.eval.samples=100 --config.eval.references=100"
FLAGS = {
    "digits": f"--config.epochs=2 {JUDGED}",
    "mnist": "--config.data.name=fake --config.epochs=1 --config.eval.images=100 --config.model.G"
             f".width=16 --config.model.D.width=16 --config.model.E.width=16 {JUDGED}",
    "own": f"--config.epochs=1 --config.batch_size=32 {NETWORKS} {JUDGED}",
    "probe": "--config.train_images=300 --config.calibration_steps=2",
}


def test_it_runs_from_top_to_bottom(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, quick_compilation: None
) -> None:
  monkeypatch.setenv("NOTEBOOK_FLAGS", json.dumps(FLAGS))
  monkeypatch.setenv("PYTHONPATH", str(ROOT))
  monkeypatch.setenv("PATH", str(pathlib.Path(sys.executable).parent), prepend=os.pathsep)
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
  for text in ("JD", "linear", "'code': (200, 5)", "README.md", "(1, 5) {'conv1': (1, 16, 16, 8)"):
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
  source = "git+https://github.com/OWNER/bigan_jax"
  assert installed == [f'install -q "bigan_jax[{accelerator}] @ {source}"']
  printed = capsys.readouterr().out
  assert f"JAX computes on: {seen}" in printed
  assert ("DOES NOT SEE" in printed) == warns


def test_it_stops_where_nothing_could_be_installed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  shell = interactiveshell.InteractiveShell()
  shell.register_magic_function(lambda line: None, magic_name="pip")
  with pytest.raises(SystemExit, match="Nothing could be installed from .*: let SOURCE name it"):
    shell.run_cell(nbformat.read(NOTEBOOK, as_version=4).cells[1].source).raise_error()

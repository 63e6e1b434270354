"""JAX's switches, set from outside: what works by default works under them, or is refused."""

from collections.abc import Callable
import os
import pathlib
import re
import runpy
import subprocess
import sys

import ml_collections
import numpy as np
from PIL import Image
import pytest

import bigan_jax
from bigan_jax import export, features
from bigan_jax.exchange import loaded
from bigan_jax.transfer import jobs
from configs import cifar10, digits, linear_probe
from tests import run_folders
from tests.conftest import TINY

ROOT = pathlib.Path(__file__).parents[1]
STRICT = {  # Each only refuses more, so that one process tries all.
    "JAX_DEBUG_NANS": "1", "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
}
CODE = """
import sys
from tests import environments_test as test, lowering
lowering.share_contexts(setattr)
getattr(test, sys.argv[1])(sys.argv[2])
"""
MISSING = (
    r"JAX finds no such device \(.*'nowhere'.*\): set JAX_PLATFORMS=cpu, or install jax for it\."
)
PROGRAMS = (  # of which RUN is the run folder, and OUT what is not to appear
    "main --config=digits --workdir=OUT", "main --config=linear_probe --config.encoder=RUN"
    " --workdir=OUT", "main --config=neighbours --config.encoder=RUN --workdir=OUT",
    "anomaly --model=RUN --out=OUT", "atlas --model=RUN --images=OUT --out=OUT.html",
    "features --model=RUN --sample=3 --out=OUT",
    "export --workdir=RUN --out=OUT",
    "import_official --params=OUT --config=mnist:bigan,recipe=official --workdir=OUT",
    "benchmark --config=digits",
)


def call(name: str, folder: pathlib.Path, **environment: str) -> subprocess.CompletedProcess:
  """Calls a function of this file in a process of its own."""
  return subprocess.run([sys.executable, "-c", CODE, name, folder], cwd=ROOT, text=True,
                        env=os.environ | environment, capture_output=True)


def programs(folder: str) -> None:
  """Starts all programs one after the other, each in a fork that need not import anything."""
  for words in PROGRAMS:
    if not os.fork():
      module, *flags = words.replace("RUN", f"{folder}/run").replace("OUT", f"{folder}/out").split()
      sys.argv[1:] = flags
      sys.modules.pop(f"bigan_jax.{module}", None)  # which runpy warns of
      runpy.run_module(f"bigan_jax.{module}", run_name="__main__", alter_sys=True)
      raise AssertionError(f"{words} goes on.")
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 1
  with pytest.raises(OSError) as error:
    bigan_jax.load(f"{folder}/run")
  print(error.value, file=sys.stderr)


def test_a_missing_device_is_one_sentence_everywhere(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path
) -> None:
  saved_run(tiny(), tmp_path / "run")
  done = call("programs", tmp_path, JAX_PLATFORMS="nowhere")
  assert done.returncode == 0, done.stderr
  names = ("main.py", "main.py", "main.py", "anomaly.py", "atlas.py", "features.py", "export.py",
           "import_official.py", "benchmark")
  expected = "\n".join([*(f"{name}: {MISSING}" for name in names), MISSING])
  assert re.fullmatch(expected, done.stderr.strip()), done.stderr
  assert [path.name for path in tmp_path.iterdir()] == ["run"]


def perceptrons() -> ml_collections.ConfigDict:
  config = digits.get_config()
  config.update_from_flattened_dict(TINY)
  return config


def convolutions() -> ml_collections.ConfigDict:
  """Of configs/cifar10.py, on noise."""
  config = cifar10.get_config()
  config.update_from_flattened_dict({
      **TINY, "data.name": "fake", "model.image_shape": (8, 8, 3), "model.encoder_shape": (8, 8, 3),
      "model.G.width": 2, "model.E.width": 2, "model.D.width": 2, "model.E.hidden": 4,
      "model.D.hidden": 4,
  })
  return config


def training(folder: str) -> None:
  """Trains and evaluates, in a process of its own."""
  path = pathlib.Path(folder)
  jobs.train(globals()[path.name](), str(path / "run"))


def everything(folder: str) -> None:
  """The same, and then probes, describes and exports."""
  path = pathlib.Path(folder)
  training(folder)
  export.export(str(path / "run"), str(path / "export"))
  probe = linear_probe.get_config()
  probe.encoder, probe.baseline = str(path / "run"), "random"
  probe.calibration_steps, probe.train_images, probe.judged_images = 1, 50, 20
  probe.probe.l2, probe.layers = (0.1, 0.01), ("e-",)
  run_folders.run(probe, path / "probe")
  (path / "pictures").mkdir()
  Image.linear_gradient("L").save(path / "pictures" / "a.png")
  task = features.Task(loaded.load(str(path / "run")), str(path / "pictures"), "e-",
                       path / "features.npz", path / "pairs", False, 1)
  features.describe_folder(task)


def both(folder: str) -> None:
  """The same of perceptrons; of convolutions, which state their types and ranks, training alone."""
  everything(f"{folder}/perceptrons")
  training(f"{folder}/convolutions")


@pytest.mark.parametrize("name, switches", [
    ("everything", {"JAX_ENABLE_X64": "1"}), ("both", STRICT)
], ids=["x64", "strict"])
def test_switches_of_jax(name: str, switches: dict[str, str], tmp_path: pathlib.Path) -> None:
  folder = tmp_path / "perceptrons" if name == "everything" else tmp_path
  done = call(name, folder, **switches)
  assert done.returncode == 0, done.stderr[-3000:]
  rows = run_folders.rows(tmp_path / "perceptrons" / "run")
  assert [row["epoch"] for row in rows] == [0, 1] and np.isfinite(rows[1]["EGr"])
  assert run_folders.results(tmp_path / "perceptrons" / "probe")
  assert len(np.load(tmp_path / "perceptrons" / "features.npz")["features"]) == 1
  if name == "both":
    assert np.isfinite(run_folders.rows(tmp_path / "convolutions" / "run")[-1]["EGr"])

"""JAX's switches, set from outside: what works by default works under them, or is refused."""

from collections.abc import Callable
import os
import pathlib
import subprocess
import sys

import ml_collections
import numpy as np
from PIL import Image
import pytest

from bigan_jax import export, features, jobs
from bigan_jax.exchange import loaded
from configs import digits, linear_probe
from tests import run_folders
from tests.conftest import TINY

ROOT = pathlib.Path(__file__).parents[1]
SWITCHES = {
    "JAX_ENABLE_X64": "1", "JAX_DEBUG_NANS": "1", "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
}
CODE = "import sys; from tests import environments_test; environments_test.everything(sys.argv[1])"


def perceptrons() -> ml_collections.ConfigDict:
  config = digits.get_config()
  config.update_from_flattened_dict(TINY)
  return config


def convolutions() -> ml_collections.ConfigDict:
  """Of configs/image_folder.py, on noise."""
  config = run_folders.alexnet()
  config.model.image_shape = (16, 16, 3)
  config.batch_size, config.calibration_steps, config.epochs = 250, 1, 1
  config.optim.rate = 1e-4
  config.eval.samples, config.eval.images, config.eval.references = 100, 20, 20
  return config


def everything(folder: str) -> None:
  """Trains, evaluates, probes, describes and exports, in a process of its own."""
  for make in (perceptrons, convolutions):
    config, path = make(), pathlib.Path(folder) / make.__name__
    jobs.train(config, str(path / "run"))
    export.export(str(path / "run"), str(path / "export"))
    probe = linear_probe.get_config()
    probe.encoder, probe.baseline = str(path / "run"), "random"
    probe.calibration_steps, probe.train_images, probe.judged_images = 1, 50, 20
    probe.probe.l2 = (0.1, 0.01)
    run_folders.run(probe, path / "probe")
    grey = Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20))
    (path / "pictures").mkdir()
    grey.save(path / "pictures" / "a.png")
    for name in ("run", "export"):
      task = features.Task(
          loaded.load(str(path / name)), str(path / "pictures"), "e-", path / f"{name}.npz",
          path / f"{name}-pairs", False, 1,
      )
      features.describe_folder(task)


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_of_jax(switch: str, tmp_path: pathlib.Path) -> None:
  environment = os.environ | {switch: SWITCHES[switch]}
  done = subprocess.run([sys.executable, "-c", CODE, tmp_path], cwd=ROOT, env=environment,
                        capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-3000:]

"""What the tests of whole runs share: a home of their own, and a config that takes seconds."""

from collections.abc import Callable, Iterator
import gc
import importlib
import os
import pathlib
import site
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # Bit for bit is promised there; before jax.

import chex
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.data import prepare
from bigan_jax.runs.workdir import open_run
from bigan_jax.training.objectives import OBJECTIVES
from configs import digits
from tests import forks, lowering

gc.set_threshold(*forks.GARBAGE)

TESTS = pathlib.Path(__file__).parent
SLOW = (  # folders and files that compile and train for more than some seconds
    "anomaly", "atlas", "benchmark/benchmark", "colab", "commands", "data/stream", "environments",
    "evaluation/anomaly/in", "evaluation/encoders", "evaluation/layer", "evaluation/linear",
    "evaluation/logistic", "evaluation/m", "evaluation/n", "evaluation/probe",
    "evaluation/retrieval", "evaluation/sample_quality", "evaluation/tables/report",
    "evaluation/walks", "exchange/exported", "exchange/hub", "exchange/onnx", "export", "features",
    "golden", "import_official", "interrupt", "kills", "machine/processes", "main", "models",
    "package", "photos", "pipeline", "runs/workdir", "training", "transfer",
)
QUICK = "jax_disable_most_optimizations"
jax.config.update(QUICK, True)  # What files compute as they are read, too.
XLA = {  # One part for a program, not 32 that threads compile: a fifth less of a core's seconds.
    "xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1,
}
AS_USED = ("pipeline", "training/bits")  # Different programs agree in every bit as users have them.
TINY = {
    "batch_size": 250,  # 5 steps an epoch
    "epochs": 1,
    "calibration_steps": 3,
    "save_seconds": 0.0,
    "eval.images": 100,
    "eval.references": 200,
    "eval.samples": 100,
    "model.latent_dim": 5,
    "model.G.width": 16,
    "model.E.width": 16,
    "model.D.width": 16,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  """Marks as quick what compiles little, `python -m pytest -m quick`, and puts it last.

  So that no worker is left with one long file, which no other can share.
  """
  for item in items:
    if not item.path.relative_to(TESTS).as_posix().startswith(SLOW):
      item.add_marker(pytest.mark.quick)
  items.sort(key=lambda item: item.get_closest_marker("quick") is not None)


def pytest_unconfigure() -> None:
  """Pytest looks for garbage five times at the end; not through all that JAX has kept."""
  gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
  """Digits, prepared once, and XLA's compilations lie here; nobody's own data sets are touched."""
  path, base = tmp_path_factory.mktemp("home"), tmp_path_factory.getbasetemp()
  shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
  cache = {
      "jax_compilation_cache_dir": str(shared / "compiled"),  # by all workers
      "jax_persistent_cache_min_compile_time_secs": 0,
      "jax_persistent_cache_min_entry_size_bytes": -1,
  }
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("PYTHONUSERBASE", site.getuserbase())  # Packages may lie in the real home.
    patch.setenv("PYTHONPATH", str(TESTS.parent), prepend=os.pathsep)  # of processes, too
    patch.setenv("HOME", str(path))
    patch.setenv("TFDS_DATA_DIR", str(path / "data"))
    for name, value in cache.items():  # For this process, and for those that tests start.
      jax.config.update(name, value)
      patch.setenv(name.upper(), str(value))
    prepare.find_or_prepare("digits")
    yield path


@pytest.fixture(scope="session")
def tiny() -> Callable[..., ml_collections.ConfigDict]:
  """`tiny("gan")` is configs/digits.py:gan, small enough to be trained and judged in seconds."""
  def config(argument: str = "") -> ml_collections.ConfigDict:
    config = digits.get_config(argument)
    config.update_from_flattened_dict(TINY)
    return config
  return config


@pytest.fixture(scope="session")
def tiny_flags() -> list[str]:
  """The same for the command line, beside --config=configs/digits.py."""
  return [f"--config.{name}={value}" for name, value in TINY.items()]


@pytest.fixture(scope="session", autouse=True)
def quick_compilation(home: pathlib.Path) -> Iterator[None]:
  """Programs compile in a third of the time, run slower and give other bits, but for AS_USED."""
  compiler = importlib.import_module("jax._src.compiler")  # Private: jax.pmap takes no options.
  asked = getattr(compiler, "get_compile_options", None)
  def get_compile_options(*args: Any, **named: Any) -> Any:
    options = asked(*args, **named)
    if options.executable_build_options.debug_options.xla_llvm_disable_expensive_passes:
      options.env_option_overrides = [*options.env_option_overrides, *XLA.items()]
    return options
  with pytest.MonkeyPatch.context() as patch:
    lowering.share_contexts(patch.setattr)
    try:  # A flag that XLA does not know would end every process that tests start.
      jax.jit(lambda: 0, compiler_options=XLA)()
      if asked:
        patch.setattr(compiler, "get_compile_options", get_compile_options)
      flags = " ".join(f"--{name}={int(value)}" for name, value in XLA.items())
      patch.setenv("XLA_FLAGS", flags)  # for processes that tests start
    except jax.errors.JaxRuntimeError:
      pass
    patch.setenv(QUICK.upper(), "1")
    yield


@pytest.fixture(scope="session")
def forked_python(quick_compilation: None) -> Iterator[pathlib.Path]:
  """The path of a Python for `-m PROGRAM`, which is quick to start (tests/forks.py)."""
  with forks.python() as path:
    yield path


@pytest.fixture(scope="module", autouse=True)
def _as_used(request: pytest.FixtureRequest, quick_compilation: None) -> Iterator[None]:
  """Compiles the programs of the files AS_USED, in this process and those they start, in full."""
  if not request.path.relative_to(TESTS).as_posix().startswith(AS_USED):
    yield
    return
  with pytest.MonkeyPatch.context() as patch:
    for name in (QUICK.upper(), "XLA_FLAGS"):
      patch.delenv(name, raising=False)
    jax.config.update(QUICK, False)
    jax.clear_caches()  # In memory; on disk programs are told apart.
    yield
    jax.config.update(QUICK, True)
    jax.clear_caches()


@pytest.fixture(scope="session")
def made_up() -> Callable[..., tuple[models.Networks, dict[str, chex.ArrayTree]]]:
  """`made_up(config)` are a config's networks, with weights and statistics that do something."""
  def networks(config: ml_collections.ConfigDict) -> tuple:
    rs, objective = np.random.RandomState(0), OBJECTIVES[config.objective]
    def draw(path: tuple, array: jax.Array) -> jax.Array:
      if path[-1].key == "count":
        return jnp.full((), 3.0)
      low, high = {"mean": (-3, 3), "var": (1, 6)}.get(path[-1].key, (-0.5, 0.5))
      return jnp.asarray(rs.uniform(low, high, array.shape), jnp.float32)
    networks = models.build(config.model)
    variables = jax.eval_shape(lambda: models.initialise(
        networks, config.model, objective.players, objective.joint, jax.random.PRNGKey(0)
    ))
    return networks, jax.tree_util.tree_map_with_path(draw, variables)
  return networks


@pytest.fixture(scope="session")
def saved_run(made_up: Callable) -> Callable[..., dict[str, chex.ArrayTree]]:
  """`saved_run(config, path)` writes a run folder of made-up networks; gives their variables."""
  def save(config: ml_collections.ConfigDict, path: pathlib.Path, step: int = 10) -> dict:
    _, variables = made_up(config)
    with open_run(str(path), config.to_dict(), best=("NNC_e-", "max")) as run:
      run.save_networks(step, variables, {"step": step, "NNC_e-": 91.5, "EGr": 3.25})
    return variables
  return save

"""The benchmark's numbers fit together, on noise and on a set that is streamed."""

from collections.abc import Callable
import json
import multiprocessing
import os
import pathlib
import subprocess
import threading
import time

from absl import flags
import jax
import ml_collections
import numpy as np
import pytest

from bigan_jax.benchmark import __main__ as benchmark
from bigan_jax.benchmark import rates
from bigan_jax.data import batches, fake, stream
from bigan_jax.training import feeds, learner
from configs import linear_probe
from tests.benchmark.little_rated import rate_little

ROOT = pathlib.Path(__file__).parents[2]
NAMES = {
    "step_ms", "step_ms_min", "step_ms_max", "images_per_second", "step_alone_ms", "data_alone_ms",
    "product_gflop_per_second", "memory_gb_per_second", "step_gflop", "step_gflop_of_xla",
    "step_gb_of_xla", "share_of_product_rate", "share_of_memory_rate", "compile_s",
    "peak_memory_gb", "precision", "streamed",
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
  rate_little(monkeypatch.setattr)


@pytest.fixture
def streaming(tiny: Callable) -> ml_collections.ConfigDict:
  """A config whose set stays on disk."""
  config = tiny("bigan")
  config.data.resident_gb = 1e-9
  return config


def note_what_is_there(monkeypatch: pytest.MonkeyPatch, order: list[object]) -> None:
  """Appends to `order` what is placed, prepared and asked for."""
  def noted(module: object, name: str, note: Callable[..., object]) -> None:
    function = getattr(module, name)
    def call(*args: object) -> object:
      order.append(note(*args))
      return function(*args)
    monkeypatch.setattr(module, name, call)
  noted(feeds, "place", lambda split, *_: split.size)
  noted(benchmark, "peak_memory", lambda: "peak")
  noted(rates, "product_timer", lambda kind, size: kind)
  noted(rates, "memory_timer", lambda size: "memory")


def test_numbers_fit_together(tiny: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
  config, order = tiny("bigan"), []
  note_what_is_there(monkeypatch, order)
  found = benchmark.measure(config, steps=2, repeats=3)
  # The set is copied once, and the peak is before all else: the set; batches of noise.
  assert order == [2560, 250, "peak", 250, "float32", "memory"]
  assert found.keys() == NAMES and config.data.name == "digits"
  assert found["step_ms_min"] <= found["step_ms"] <= found["step_ms_max"]
  assert found["images_per_second"] == pytest.approx(250 / found["step_ms"] * 1e3)
  widths = 16 * (64 + 5) + 16 * 16  # multiplications of each of G and E for an image, forward
  forward = 2 * 250 * 4 * widths / 1e9  # and of D, twice
  # At 16 units, what XLA counts besides products is as much again.
  assert 2 * forward < found["step_gflop"] < 3 * forward < found["step_gflop_of_xla"]
  rate = found["product_gflop_per_second"]
  assert found["share_of_product_rate"] == pytest.approx(
      found["step_gflop"] / found["step_ms"] * 1e3 / rate)
  assert 0 < found["share_of_product_rate"] < 2
  assert found["share_of_memory_rate"] > 0 and found["memory_gb_per_second"] > 0
  assert 0 < found["step_alone_ms"] and 0 < found["data_alone_ms"]
  assert 0.05 < found["compile_s"] < 600 and 0.05 < found["peak_memory_gb"] < 100
  assert found["precision"] == "float32" and found["streamed"] is False


def test_only_what_fetches_waits_for_a_slow_stream(
    streaming: ml_collections.ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
  """Decoding takes 20 ms a batch."""
  make, in_turn = stream.batch, threading.Lock()
  def slow(*args: object) -> tuple[np.ndarray, np.ndarray]:
    with in_turn:
      time.sleep(0.02)
    return make(*args)
  monkeypatch.setattr(feeds, "batch", slow)
  found = benchmark.measure(streaming, steps=2, repeats=3, own_data=True)
  assert found.keys() == NAMES and found["streamed"] is True
  assert streaming.data.name == "digits"
  assert found["step_alone_ms"] < 18 < min(found["data_alone_ms"], found["step_ms"])
  assert found["compile_s"] > 0.05


def test_nothing_else_is_timed_while_pictures_are_decoded() -> None:
  order = []
  def timer(name: str) -> Callable[[], float]:
    def time_once() -> float:
      order.append(name)
      return float(order.count(name))
    return time_once
  quiet, fetching = ({name: timer(name) for name in names} for names in (
      ("product", "memory"), ("step", "data_alone")))
  times = benchmark.time_stream(quiet, fetching, lambda: order.append("close"), 3)
  around = ["close"] + 3 * ["product", "memory"]
  assert order == around + 4 * ["step"] + around + 4 * ["data_alone"] + ["close"]
  used_up = [2.0, 3.0, 4.0]  # The first of each does not count.
  rates = [2.0, 3.0, 5.0, 6.0]
  assert times == {"step": used_up, "data_alone": used_up, "product": rates, "memory": rates}


def test_a_timing_of_a_stream_takes_more_than_waits_in_it() -> None:
  assert benchmark.read_ahead(20, 0) == 20 + 2 * os.cpu_count()
  assert benchmark.read_ahead(20, 3) == 20 + 3 * (2 * stream.THREADS + 2)


def test_what_is_compiled_is_timed_apart_from_waiting() -> None:
  def run() -> None:
    time.sleep(1)
    jax.jit(lambda x: x * 2.5)(np.float32(1))
  assert 0 < benchmark.compile_seconds(run) < 0.9
  assert benchmark.compile_seconds(lambda: None) == 0


def test_closed_after_an_error(
    streaming: ml_collections.ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
  def fail(kind: str, size: rates.Yardstick) -> None:
    assert len(multiprocessing.active_children()) == 1, kind
    raise OSError("no product")
  monkeypatch.setattr(rates, "product_timer", fail)
  streaming.data.workers = 1
  with pytest.raises(OSError, match="no product"):
    benchmark.measure(streaming, steps=2, repeats=1, own_data=True)
  assert not multiprocessing.active_children()


def test_what_xla_does_not_say_is_null(tiny: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
  config = tiny("bigan")
  noise = fake.split(250, (8, 8, 1), 0, 0)
  training = learner.prepare(config, None, noise, batches.assembler(config), ())
  times = dict.fromkeys(("step", "step_alone", "data_alone", "product", "memory"), [1.0])
  for said in (None, {}, {"flops": -1.0}):
    monkeypatch.setattr(jax.stages.Compiled, "cost_analysis", lambda _, said=said: said)
    found = benchmark.summary(config, times, benchmark.step_cost(training))
    assert found["step_gflop_of_xla"] is found["step_gb_of_xla"] is None
    assert found["share_of_memory_rate"] is None and found["share_of_product_rate"] > 0


def test_what_cannot_be_trained(tiny: Callable) -> None:
  with pytest.raises(ValueError, match="config.job is 'linear_probe': give the config of a train"):
    benchmark.measure(linear_probe.get_config(""), steps=1, repeats=1)
  config = tiny("bigan")
  config.batch_size = 1_300
  with pytest.raises(ValueError, match="training set has only 1250 images"):
    benchmark.measure(config, steps=1, repeats=1, own_data=True)
  config.batch_size = 1
  with pytest.raises(ValueError, match="config.batch_size is 1, but must be at least 2"):
    benchmark.measure(config, steps=1, repeats=1)


def test_the_command_line(tiny_flags: list[str], forked_python: pathlib.Path) -> None:
  def call(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [forked_python, "-m", "tests.benchmark.little_rated", "--steps=1", "--repeats=1", *words],
        capture_output=True, text=True, timeout=120, cwd=ROOT)
  for name in ("steps", "repeats"):
    with pytest.raises(flags.IllegalFlagValueError, match="=0: 0 is not a positive"):
      flags.FLAGS[name].parse("0")
  failed = call("--config=configs/linear_probe.py")
  assert failed.returncode == 1 and failed.stderr.count("\n") == 1
  assert "config.job is 'linear_probe': give the config" in failed.stderr
  done = call("--config=configs/digits.py", "--config.precision=tf32", *tiny_flags)
  assert done.returncode == 0, done.stderr
  found, sentence, numbers = done.stdout.splitlines()
  assert found.endswith("from noise")
  assert sentence.endswith("of the products' rate in tf32.")
  assert json.loads(numbers).keys() == NAMES

"""The benchmark's numbers fit together, on noise and on a set that is streamed."""

from collections.abc import Callable

import pytest

from bigan_jax import benchmark


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(benchmark, "PRODUCT", 256)
  monkeypatch.setattr(benchmark, "COPIED", 2**16)


def test_numbers_fit_together(tiny: Callable) -> None:
  found = benchmark.measure(tiny("bigan"), steps=2, repeats=3)
  assert found["step_ms_min"] <= found["step_ms"] <= found["step_ms_max"]
  assert found["images_per_second"] == pytest.approx(250 / found["step_ms"] * 1e3)
  widths = 16 * (64 + 5) + 16 * 16  # multiplications of each of G and E for an image, forward
  forward = 2 * 250 * 4 * widths / 1e9  # and of D, twice
  # At 16 units, what XLA counts besides products is as much again.
  assert 2 * forward < found["step_gflop"] < 3 * forward < found["step_gflop_of_xla"]
  assert 0 < found["share_of_product_rate"] < 2
  assert found["share_of_memory_rate"] > 0 and found["memory_gb_per_second"] > 0
  assert 0 < found["step_alone_ms"] and 0 < found["data_alone_ms"]
  assert 0.05 < found["compile_s"] < 600 and 0.05 < found["peak_memory_gb"] < 100


def test_a_streamed_set_of_ones_own(tiny: Callable) -> None:
  config = tiny("bigan")
  config.data.resident_gb = 1e-6
  found = benchmark.measure(config, steps=1, repeats=2, own_data=True)
  assert config.data.name == "digits"
  assert found["data_alone_ms"] > 0

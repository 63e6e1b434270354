"""The benchmark runs on made-up pictures, and its numbers fit together."""

from collections.abc import Callable

import pytest

from bigan_jax import benchmark


def test_numbers_fit_together(tiny: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(benchmark, "SIZE", 256)
  config = tiny("bigan")
  found = benchmark.measure(config, steps=2, repeats=3)
  assert found["step_ms_min"] <= found["step_ms"] <= found["step_ms_max"]
  assert found["images_per_second"] == pytest.approx(250 / found["step_ms"] * 1e3)
  widths = 16 * (64 + 5) + 16 * 16  # multiplications of each of G and E for an image, forward
  forward = 2 * 250 * 4 * widths / 1e9  # and of D, twice
  assert 2 * forward < found["step_gflop"] < 5 * forward
  assert 0 < found["share_of_product_rate"] < 2

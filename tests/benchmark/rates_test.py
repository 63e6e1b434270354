"""Tests of the machine's own rates."""

import jax
import pytest

from bigan_jax.benchmark import rates


@pytest.mark.parametrize("kind, numbers, passes", [
    ("float32", "f32", "HIGHEST"), ("tf32", "f32", "HIGH"), ("bfloat16", "bf16", "DEFAULT"),
])
def test_products_are_of_the_precision_of_the_step(
    kind: str, numbers: str, passes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  programs, compiled = [], jax.stages.Lowered.compile
  def seen(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    programs.append(lowered.as_text())
    return compiled(lowered)
  monkeypatch.setattr(jax.stages.Lowered, "compile", seen)
  assert rates.product_timer(kind, rates.Yardstick(256, 2))() > 0
  product, = [line for line in programs[-1].splitlines() if "dot_general" in line]
  assert f"[{passes}, {passes}]" in product and f"x{numbers}>" in product


def test_rates_count_all_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
  """Seconds are counted one by one here: a timing takes the third of work that follows."""
  seconds = iter(range(100))
  monkeypatch.setattr(rates.time, "perf_counter", lambda: 3.0 * next(seconds))
  monkeypatch.setattr(rates, "COPIED", 2**10)
  size = rates.Yardstick(side=64, times=5)
  assert rates.product_timer("float32", size)() == 5 * 2 * 64**3 / 3
  assert rates.memory_timer(size)() == 5 * 2 * 4 * 2**10 / 3


def test_an_accelerator_gets_more_to_do() -> None:
  cpu, gpu = (rates.yardstick(name) for name in ("cpu", "gpu"))
  assert gpu.side > cpu.side and gpu.times > cpu.times

"""Tests of the table of results: its header, and which way is better."""

import io
import sys

import pytest

from bigan_jax.training import console


def test_the_header_comes_once_a_screen_and_with_other_columns(
    capsys: pytest.CaptureFixture
) -> None:
  table = console.Table()
  for epoch in range(console.SCREEN + 1):
    table.print({"epoch": str(epoch), "NND": "1.00"})
  table.print({"epoch": "99", "NND": "1.00", "JD": "0.5"})
  lines = capsys.readouterr().out.splitlines()
  headers = [i for i, line in enumerate(lines) if "epoch" in line]
  assert headers == [0, console.SCREEN + 1, console.SCREEN + 3]
  assert len(lines) == console.SCREEN + 2 + 3
  assert len({len(line) for line in lines[:-2]}) == 1  # Columns stand under their names.


@pytest.mark.parametrize("encoding, expected", [
    ("utf-8", ["JD", "NND↓", "NNC_e-↑", "linear", "%↑"]),
    ("ascii", ["JD", "NND", "(down)", "NNC_e-", "(up)", "linear", "%", "(up)"]),
])
def test_the_header_says_which_way_is_better(
    monkeypatch: pytest.MonkeyPatch, encoding: str, expected: list[str]
) -> None:
  output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
  monkeypatch.setattr(sys, "stdout", output)
  console.Table().print({"JD": "0.69", "NND": "3.2", "NNC_e-": "95.0", "linear %": "97.0"})
  output.flush()
  assert output.buffer.getvalue().decode(encoding).splitlines()[0].split() == expected

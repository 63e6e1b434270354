"""Tests of progress: whole lines in a file, now and then, and a rate of the work alone."""

import sys
import time

import pytest

from bigan_jax.machine import progress


def test_a_file_gets_whole_lines(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(progress, "EVERY", 0.1)
  with progress.bar(100, "training", "img") as outer:
    for _ in progress.over(range(5), 5, "evaluation"):
      time.sleep(0.06)
    outer.update(100)
  text = capsys.readouterr().err
  assert not set("\r\x1b") & set(text) and text.endswith("\n") and "\n\n" not in text
  lines = text.splitlines()
  assert any(line.startswith("evaluation: ") and "/5 " in line for line in lines)
  assert lines[0].startswith("training: ") and "100%" in lines[-1]
  assert len(set(lines)) == len(lines)


def test_what_is_short_says_nothing_in_a_file(capsys: pytest.CaptureFixture) -> None:
  assert list(progress.over("abc", 3, "evaluation")) == ["a", "b", "c"]
  with progress.bar(3, quiet=True) as line, progress.paused(line):
    line.update()
  assert capsys.readouterr().err == ""


def test_a_pause_does_not_count() -> None:
  with progress.bar(100) as line:
    with progress.paused(line):
      time.sleep(0.5)
    line.update(100)
    assert line.format_dict["elapsed"] < 0.4


def test_what_an_interrupt_left_open_is_ended_before_the_last_words(
    capsys: pytest.CaptureFixture
) -> None:
  left = progress.bar(100, "training")
  progress.end_all()
  print("Interrupted.", file=sys.stderr)
  left.__del__()
  assert capsys.readouterr().err.splitlines()[-1] == "Interrupted."

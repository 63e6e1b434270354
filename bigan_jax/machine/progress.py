"""How far something is: a line that moves on a terminal, a line every half minute in a file."""

from collections.abc import Iterable, Iterator
import contextlib
import sys
import time
from typing import TextIO, TypeVar

import tqdm

EVERY = 30  # seconds between the lines of a file

Item = TypeVar("Item")


class _Lines:
  """What tqdm writes, as whole lines: files and logs do not know how to go back in one."""

  def __init__(self, stream: TextIO):
    self._stream = stream
    self._last = ""

  def write(self, text: str) -> None:
    line = text.strip()
    if line and line != self._last:  # The last one comes again at the end.
      self._stream.write(f"{line}\n")
      self._last = line

  def flush(self) -> None:
    self._stream.flush()


def bar(
    total: int, title: str = "", unit: str = "it", initial: int = 0, stays: bool = True,
    quiet: bool = False,
) -> tqdm.tqdm:
  """A progress line on standard error.

  Args:
    title: what goes on, before the numbers.
    unit: what is counted.
    initial: how many were done before.
    stays: leave the line there at the end; others are seen in a file only if they take long.
    quiet: show nothing, as processes that do not speak for all.
  """
  moves = sys.stderr.isatty()
  return tqdm.tqdm(
      total=total, initial=initial, desc=title or None, unit=unit, unit_scale=unit == "img",
      dynamic_ncols=moves, leave=stays, disable=quiet,
      file=sys.stderr if moves else _Lines(sys.stderr), mininterval=0.5 if moves else EVERY,
      delay=0 if moves or stays else EVERY, position=None if moves else 0,
  )


def over(
    items: Iterable[Item], total: int, title: str, unit: str = "block", quiet: bool = False
) -> Iterator[Item]:
  """The same items, with a line that goes away at their end."""
  with bar(total, title, unit, stays=False, quiet=quiet) as line:
    for item in items:
      yield item
      line.update()


def end_all() -> None:
  """Closes lines that an interrupt left open, before last words: else they come again after them.

  It may hit where a line is shown already, but nothing is there yet that would close it.
  """
  for line in list(getattr(tqdm.tqdm, "_instances", ())):
    with contextlib.suppress(AttributeError):  # It was being made.
      line.close()


@contextlib.contextmanager
def paused(line: tqdm.tqdm) -> Iterator[None]:
  """Within, time does not count for the rate and the time that is left."""
  began = time.time()
  yield
  if not line.disable:
    away = time.time() - began
    line.start_t += away
    line.last_print_t += away

"""Ctrl-C: one sentence and a status that scripts can see; imported before all that takes long."""

from collections.abc import Iterator
import contextlib
import os
import signal
import sys
from types import FrameType

STATUS = 130  # which shells give to what Ctrl-C ended


def end_at_once() -> None:
  """From here on, Ctrl-C ends the program where it stands: it has not begun anything yet.

  Call it before imports, of which some would take the exception for their own. Where Ctrl-C is
  ignored, as by `nohup` or in the background of a script, it stays so.
  """
  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end)


def end_in_order() -> None:
  """From here on, Ctrl-C is a KeyboardInterrupt again."""
  if signal.getsignal(signal.SIGINT) is _end:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def end_silently() -> None:
  """From here on, another Ctrl-C ends what is being cleared up."""
  signal.signal(signal.SIGINT, lambda *_: os._exit(STATUS))


@contextlib.contextmanager
def nothing_begun() -> Iterator[None]:
  """Within, Ctrl-C ends the program where it stands, as after `end_at_once`."""
  end_at_once()
  try:
    yield
  finally:
    end_in_order()


def say() -> None:
  """The sentence."""
  print(f"{name(sys.argv[0])}: Interrupted.", file=sys.stderr, flush=True)


def name(program: str) -> str:
  """A program as its sentences name it: main.py, or the package that python -m ran."""
  folder, file = os.path.split(program)
  return os.path.basename(folder) if file.startswith("__main__.") else file


def _end(number: int, frame: FrameType | None) -> None:
  del number, frame
  say()
  os._exit(STATUS)

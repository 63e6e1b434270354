"""Ctrl-C and SIGTERM: one sentence and a status that scripts can see; imported before all else."""

from collections.abc import Iterator
import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

STATUS = 130  # which shells give to what Ctrl-C ended
TERMINATED = 143  # and to what SIGTERM ended


class Terminated(KeyboardInterrupt):
  """SIGTERM came: what has begun is cleared up, as after Ctrl-C."""

  status = TERMINATED


def status(stop: KeyboardInterrupt) -> int:
  """The exit status of a program that `stop` ended."""
  return getattr(stop, "status", STATUS)


def end_at_once() -> None:
  """From here on, both end the program where it stands: it has not begun anything yet.

  Call it before imports, of which some would take the exception for their own. Where Ctrl-C is
  ignored, as by `nohup` or in the background of a script, it stays so.
  """
  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end)
  if signal.getsignal(signal.SIGTERM) is _terminate:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_in_order() -> None:
  """From here on, Ctrl-C is a KeyboardInterrupt again, and SIGTERM is Terminated."""
  sys.unraisablehook = _once_more
  if signal.getsignal(signal.SIGINT) is _end:
    signal.signal(signal.SIGINT, signal.default_int_handler)
  if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    signal.signal(signal.SIGTERM, _terminate)


def end_silently() -> None:
  """From here on, another signal ends what is being cleared up."""
  signal.signal(signal.SIGINT, lambda *_: os._exit(STATUS))
  signal.signal(signal.SIGTERM, lambda *_: os._exit(TERMINATED))


@contextlib.contextmanager
def nothing_begun() -> Iterator[None]:
  """Within, both end the program where it stands, as after `end_at_once`."""
  end_at_once()
  try:
    yield
  finally:
    end_in_order()


def say(stop: KeyboardInterrupt) -> None:
  """The sentence."""
  what = "Ended by SIGTERM" if isinstance(stop, Terminated) else "Interrupted"
  print(f"{name(sys.argv[0])}: {what}.", file=sys.stderr, flush=True)


def name(program: str) -> str:
  """A program as its sentences name it: main.py, or the package that python -m ran."""
  folder, file = os.path.split(program)
  return os.path.basename(folder) if file.startswith("__main__.") else file


def _end(number: int, frame: FrameType | None) -> None:
  del number, frame
  say(KeyboardInterrupt())
  os._exit(STATUS)


def _terminate(number: int, frame: FrameType | None) -> None:
  del number, frame
  raise Terminated


def _once_more(lost: Any) -> None:
  """Sends again what came while an object was being deleted: Python drops what is raised there."""
  if not isinstance(lost.exc_value, KeyboardInterrupt):
    sys.__unraisablehook__(lost)
    return
  number = signal.SIGTERM if isinstance(lost.exc_value, Terminated) else signal.SIGINT
  main = threading.main_thread().ident
  timer = threading.Timer(0.01, signal.pthread_kill, (main, number))  # The deletion is over then.
  timer.daemon = True
  timer.start()

"""A real browser without a screen: Chromium, as PySide6-WebEngine of pip brings it.

`open_page` starts it in a process of its own, tests/browser_window.py, and gives it orders.
"""

from collections.abc import Callable, Iterator
import contextlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from typing import Any, NamedTuple

import pytest

NEEDS = "python -m pip install '.[browser]'"
WINDOW = pathlib.Path(__file__).with_name("browser_window.py")
CENTRE = """(() => {{
  const shown = document.querySelector({selector});
  if (!shown) return null;
  shown.scrollIntoView({{block: "center", behavior: "instant"}});
  const {{left, top, width, height}} = shown.getBoundingClientRect();
  return [left + width / 2, top + height / 2];
}})()"""


class Page(NamedTuple):
  """An open page; `ask` gives an order and returns its answer."""

  ask: Callable[..., Any]

  def run(self, script: str) -> Any:
    """The value of a JavaScript expression, as JSON can hold it."""
    return self.ask("run", script)

  def click(self, selector: str) -> None:
    """Scrolls to the first element of a CSS selector, and clicks its middle as a mouse does."""
    centre = self.run(CENTRE.format(selector=json.dumps(selector)))
    assert centre, f"There is no {selector} on the page."
    self.ask("click", *centre)

  def drag(self, *points: tuple[float, float], shift: bool = False) -> None:
    """Moves the mouse from point to point of the window, of several with its button down."""
    self.ask("drag", points, shift)

  def turn(self, x: float, y: float, clicks: int) -> None:
    """Turns the wheel over a point, by as many clicks away from oneself."""
    self.ask("turn", x, y, clicks)

  def write(self, text: str) -> None:
    """Types where the keyboard's focus is."""
    self.ask("write", text)

  def press(self, key: str) -> None:
    """Presses a key, Return or Escape, where the keyboard's focus is."""
    self.ask("press", key)

  def resize(self, width: int) -> None:
    """Gives the window another width in pixels."""
    self.ask("resize", width)

  def picture(self, path: pathlib.Path) -> None:
    """Writes what the window shows as PNG."""
    self.ask("picture", str(path))

  def complaints(self) -> list[str]:
    """Errors of scripts so far, and addresses that were asked for, other than the page and data."""
    return self.ask("complaints")


@contextlib.contextmanager
def open_page(path: pathlib.Path, width: int = 1400, height: int = 900) -> Iterator[Page]:
  """A file in a window of so many pixels; skips the test where there is no browser."""
  if not _installed():
    pytest.skip(f"There is no browser to open a page with: {NEEDS}.")
  command = [sys.executable, str(WINDOW), str(path), str(width), str(height)]
  environment = os.environ | {
      "QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_DISABLE_SANDBOX": "1",  # which root cannot have
      "QTWEBENGINE_CHROMIUM_FLAGS": "--disable-gpu", "QT_LOGGING_RULES": "*=false",
  }
  child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, env=environment, text=True)
  def ask(*order: Any) -> Any:
    child.stdin.write(json.dumps(order) + "\n")
    child.stdin.flush()
    answer = child.stdout.readline()
    assert answer, f"The browser ended at {order}."
    return json.loads(answer)
  try:
    missing = ask("start")
    assert missing != f"{path} cannot be loaded"
    if missing:
      pytest.skip(f"The browser does not start: {missing}.")
    yield Page(ask)
  finally:
    child.stdin.close()
    child.wait(30)
    child.stdout.close()


def _installed() -> bool:
  return bool(importlib.util.find_spec("PySide6")) and bool(
      importlib.util.find_spec("PySide6.QtWebEngineCore"))

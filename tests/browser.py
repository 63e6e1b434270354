"""A real browser without a screen: Chromium, as PySide6-WebEngine of pip brings it.

`open_page` starts it in a process of its own, `python tests/browser.py FILE WIDTH HEIGHT`. It takes
orders as lines of JSON and answers each with one. Nothing but that file is loaded; what the page
asks for is written down, and what it saves lies beside it.
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
TIMEOUT = 60_000  # milliseconds for a page to load, or a script to answer
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
  command = [sys.executable, __file__, str(path), str(width), str(height)]
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
    if missing := ask("start"):
      pytest.skip(f"The browser does not start: {missing}.")
    yield Page(ask)
  finally:
    child.stdin.close()
    child.wait(30)
    child.stdout.close()


def _installed() -> bool:
  return bool(importlib.util.find_spec("PySide6")) and bool(
      importlib.util.find_spec("PySide6.QtWebEngineCore"))


def _answers(path: str, width: str, height: str) -> Iterator[Any]:
  """The browser: answers to the orders on standard input."""
  try:
    from PySide6 import QtCore, QtGui, QtTest, QtWebEngineCore, QtWebEngineWidgets, QtWidgets
  except ImportError as error:  # A library of the system's is missing.
    yield str(error)
    return
  app, complaints = QtWidgets.QApplication([]), []
  Button, Key = QtCore.Qt.MouseButton, QtCore.Qt.KeyboardModifier

  class Loads(QtWebEngineCore.QWebEngineUrlRequestInterceptor):
    def interceptRequest(self, request: Any) -> None:
      asked = request.requestUrl()
      if asked.scheme() not in ("data", "blob") and asked.toLocalFile() != path:
        complaints.append(f"loads {asked.toString()}")

  class Shown(QtWebEngineCore.QWebEnginePage):
    def javaScriptConsoleMessage(self, level: Any, message: str, line: int, source: str) -> None:
      if level == self.JavaScriptConsoleMessageLevel.ErrorMessageLevel:
        complaints.append(f"line {line}: {message}")

  def wait(start: Callable[[Callable[..., None]], Any]) -> list[Any]:
    """What `start` is answered by."""
    found, loop = [], QtCore.QEventLoop()
    start(lambda *values: (found.extend(values), loop.quit()))
    QtCore.QTimer.singleShot(TIMEOUT, loop.quit)
    loop.exec()
    return found

  view, loads = QtWebEngineWidgets.QWebEngineView(), Loads()
  page = Shown(view)
  page.setUrlRequestInterceptor(loads)
  view.setPage(page)
  page.profile().downloadRequested.connect(
      lambda saved: (saved.setDownloadDirectory(os.path.dirname(path)), saved.accept()))
  view.resize(int(width), int(height))
  view.show()
  def start(done: Callable[..., None]) -> None:
    page.loadFinished.connect(done)
    page.load(QtCore.QUrl.fromLocalFile(path))
  def run(script: str) -> Any:
    text, = wait(lambda done: page.runJavaScript(f"JSON.stringify({script})", done)) or [""]
    return json.loads(text) if text else None
  def settle(milliseconds: int = 200) -> None:
    wait(lambda done: QtCore.QTimer.singleShot(milliseconds, done))
  def mouse(kind: str, x: float, y: float, down: bool, shift: bool) -> None:
    where, none, left = QtCore.QPointF(x, y), Button.NoButton, Button.LeftButton
    moves = kind == "MouseMove"
    app.sendEvent(view.focusProxy(), QtGui.QMouseEvent(
        QtCore.QEvent.Type[kind], where, view.mapToGlobal(where), none if moves else left,
        left if down else none, Key.ShiftModifier if shift else Key.NoModifier))
  def turn(x: float, y: float, clicks: int) -> None:
    where, nothing = QtCore.QPointF(x, y), QtCore.QPoint()
    app.sendEvent(view.focusProxy(), QtGui.QWheelEvent(
        where, view.mapToGlobal(where), nothing, QtCore.QPoint(0, 120 * clicks), Button.NoButton,
        Key.NoModifier, QtCore.Qt.ScrollPhase.NoScrollPhase, False))

  for line in sys.stdin:
    match json.loads(line):
      case ["start"]:
        yield "" if wait(start) == [True] else f"{path} cannot be loaded"
      case ["run", script]:
        yield run(script)
      case ["click", x, y]:
        where = QtCore.QPoint(round(x), round(y))
        QtTest.QTest.mouseClick(view.focusProxy(), QtCore.Qt.MouseButton.LeftButton, pos=where)
        yield settle()
      case ["drag", points, shift]:
        mouse("MouseMove", *points[0], False, shift)
        if len(points) > 1:
          mouse("MouseButtonPress", *points[0], True, shift)
          for point in points[1:]:
            mouse("MouseMove", *point, True, shift)
            settle(50)  # Else the page hears of the last one alone.
          mouse("MouseButtonRelease", *points[-1], False, shift)
        yield settle()
      case ["turn", x, y, clicks]:
        turn(x, y, clicks)
        yield settle()
      case ["write", text]:
        QtTest.QTest.keyClicks(view.focusProxy(), text)
        yield settle()
      case ["press", key]:
        QtTest.QTest.keyClick(view.focusProxy(), getattr(QtCore.Qt.Key, f"Key_{key}"))
        yield settle()
      case ["resize", pixels]:
        view.resize(pixels, view.height())
        yield settle()
      case ["picture", name]:
        settle()
        yield view.grab().save(name)
      case ["complaints"]:
        yield complaints


if __name__ == "__main__":
  for value in _answers(*sys.argv[1:]):
    print(json.dumps(value), flush=True)
  os._exit(0)  # Qt's own end may wait for a page.

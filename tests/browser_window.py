"""A window with a page, in a process of its own: python tests/browser_window.py FILE WIDTH HEIGHT.

It takes orders as lines of JSON on standard input, those of tests/browser.py, and answers each with
a line. Nothing but FILE is loaded: what the page asks for is written down. What it saves lies
beside FILE.
"""

from collections.abc import Callable
import json
import os
import sys
from typing import Any

try:
  from PySide6 import QtCore, QtGui, QtTest, QtWebEngineCore, QtWebEngineWidgets, QtWidgets
except ImportError as missing:  # A library of the system's, where PySide6 itself is there.
  sys.stdin.readline()
  print(json.dumps(str(missing)))
  sys.exit()

TIMEOUT = 60_000  # milliseconds for a page to load, or a script to answer
SETTLED = 200  # milliseconds after an order
LEFT, NONE = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.MouseButton.NoButton
SHIFT, NO_KEY = QtCore.Qt.KeyboardModifier.ShiftModifier, QtCore.Qt.KeyboardModifier.NoModifier


class Loads(QtWebEngineCore.QWebEngineUrlRequestInterceptor):
  """Writes down what is asked for other than `path`, and data."""

  def __init__(self, path: str, complaints: list[str]) -> None:
    super().__init__()
    self.path, self.complaints = path, complaints

  def interceptRequest(self, request: Any) -> None:
    asked = request.requestUrl()
    if asked.scheme() not in ("data", "blob") and asked.toLocalFile() != self.path:
      self.complaints.append(f"loads {asked.toString()}")


class Shown(QtWebEngineCore.QWebEnginePage):
  """Writes down errors of scripts."""

  def __init__(self, parent: Any, complaints: list[str]) -> None:
    super().__init__(parent)
    self.complaints = complaints

  def javaScriptConsoleMessage(self, level: Any, message: str, line: int, source: str) -> None:
    if level == self.JavaScriptConsoleMessageLevel.ErrorMessageLevel:
      self.complaints.append(f"line {line}: {message}")


def wait(start: Callable[[Callable[..., None]], Any], most: int = TIMEOUT) -> list[Any]:
  """What `start` is answered by within so many milliseconds."""
  found, loop = [], QtCore.QEventLoop()
  start(lambda *values: (found.extend(values), loop.quit()))
  QtCore.QTimer.singleShot(most, loop.quit)
  loop.exec()
  return found


def settle(milliseconds: int = SETTLED) -> None:
  """Lets the page go on."""
  wait(lambda done: None, milliseconds)


class Window:
  """The orders, as methods."""

  def __init__(self, path: str, width: int, height: int) -> None:
    self.app, self.path, self.found = QtWidgets.QApplication([]), path, []
    self.view, self.loads = QtWebEngineWidgets.QWebEngineView(), Loads(path, self.found)
    self.page = Shown(self.view, self.found)
    self.page.setUrlRequestInterceptor(self.loads)
    self.view.setPage(self.page)
    self.page.profile().downloadRequested.connect(
        lambda saved: (saved.setDownloadDirectory(os.path.dirname(path)), saved.accept()))
    self.view.resize(width, height)
    self.view.show()

  def start(self) -> str:
    """Loads the page; what is wrong, or nothing."""
    def load(done: Callable[..., None]) -> None:
      self.page.loadFinished.connect(done)
      self.page.load(QtCore.QUrl.fromLocalFile(self.path))
    return "" if wait(load) == [True] else f"{self.path} cannot be loaded"

  def run(self, script: str) -> Any:
    """The value of an expression."""
    asked = lambda done: self.page.runJavaScript(f"JSON.stringify({script})", done)
    text, = wait(asked) or [""]
    return json.loads(text) if text else None

  def click(self, x: float, y: float) -> None:
    QtTest.QTest.mouseClick(self.view.focusProxy(), LEFT, pos=QtCore.QPoint(round(x), round(y)))
    settle()

  def drag(self, points: list[list[float]], shift: bool) -> None:
    self._mouse("MouseMove", *points[0], False, shift)
    if len(points) > 1:
      self._mouse("MouseButtonPress", *points[0], True, shift)
      for point in points[1:]:
        self._mouse("MouseMove", *point, True, shift)
        settle(50)  # Else the page hears of the last one alone.
      self._mouse("MouseButtonRelease", *points[-1], False, shift)
    settle()

  def _mouse(self, kind: str, x: float, y: float, down: bool, shift: bool) -> None:
    where = QtCore.QPointF(x, y)
    self.app.sendEvent(self.view.focusProxy(), QtGui.QMouseEvent(
        QtCore.QEvent.Type[kind], where, self.view.mapToGlobal(where),
        NONE if kind == "MouseMove" else LEFT, LEFT if down else NONE, SHIFT if shift else NO_KEY))

  def turn(self, x: float, y: float, clicks: int) -> None:
    where, phase = QtCore.QPointF(x, y), QtCore.Qt.ScrollPhase.NoScrollPhase
    self.app.sendEvent(self.view.focusProxy(), QtGui.QWheelEvent(
        where, self.view.mapToGlobal(where), QtCore.QPoint(), QtCore.QPoint(0, 120 * clicks), NONE,
        NO_KEY, phase, False))
    settle()

  def write(self, text: str) -> None:
    QtTest.QTest.keyClicks(self.view.focusProxy(), text)
    settle()

  def press(self, key: str) -> None:
    QtTest.QTest.keyClick(self.view.focusProxy(), getattr(QtCore.Qt.Key, f"Key_{key}"))
    settle()

  def resize(self, width: int) -> None:
    self.view.resize(width, self.view.height())
    settle()

  def picture(self, name: str) -> bool:
    """Whether it could be written."""
    settle()
    return self.view.grab().save(name)

  def complaints(self) -> list[str]:
    """So far."""
    return self.found


def main(path: str, width: str, height: str) -> None:
  """Follows orders until there are no more."""
  window = Window(path, int(width), int(height))
  for line in sys.stdin:
    order, *values = json.loads(line)
    print(json.dumps(getattr(window, order)(*values)), flush=True)


if __name__ == "__main__":
  main(*sys.argv[1:])
  os._exit(0)  # Qt's own end may wait for a page.

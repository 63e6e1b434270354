"""A real browser without a screen: Chromium, as PySide6-WebEngine of pip brings it.

`open_page` starts it in a process of its own, `python tests/browser.py FILE WIDTH HEIGHT`. It takes
orders as lines of JSON and answers each with one. Nothing but that file is loaded; what the page
asks for is written down.
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
    from PySide6 import QtCore, QtTest, QtWebEngineCore, QtWebEngineWidgets, QtWidgets
  except ImportError as error:  # A library of the system's is missing.
    yield str(error)
    return
  app, complaints = QtWidgets.QApplication([]), []

  class Loads(QtWebEngineCore.QWebEngineUrlRequestInterceptor):
    def interceptRequest(self, request: Any) -> None:
      asked = request.requestUrl()
      if asked.scheme() != "data" and asked.toLocalFile() != path:
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
  view.resize(int(width), int(height))
  view.show()
  def start(done: Callable[..., None]) -> None:
    page.loadFinished.connect(done)
    page.load(QtCore.QUrl.fromLocalFile(path))
  def run(script: str) -> Any:
    text, = wait(lambda done: page.runJavaScript(f"JSON.stringify({script})", done)) or [""]
    return json.loads(text) if text else None
  def settle() -> None:
    wait(lambda done: QtCore.QTimer.singleShot(200, done))

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
  del app


if __name__ == "__main__":
  for value in _answers(*sys.argv[1:]):
    print(json.dumps(value), flush=True)
  os._exit(0)  # Qt's own end may wait for a page.

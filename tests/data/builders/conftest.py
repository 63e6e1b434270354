"""What tests of builders that download share: a web server on this machine."""

from collections.abc import Iterator
import functools
import http.server
import pathlib
import threading

import pytest


class QuietHandler(http.server.SimpleHTTPRequestHandler):

  def log_message(self, *args: object) -> None:
    pass


@pytest.fixture
def server(tmp_path: pathlib.Path) -> Iterator[tuple[str, pathlib.Path]]:
  """The address of a local web server, and the folder that it serves."""
  folder = tmp_path / "served"
  folder.mkdir()
  handler = functools.partial(QuietHandler, directory=str(folder))
  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
    threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}/", folder
    httpd.shutdown()

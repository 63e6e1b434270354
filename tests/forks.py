"""A Python whose programs are forks of one process, which has imported what they import.

  PYTHON -m bigan_jax.main ...

A start costs 3 seconds of a core less than one of its own. The fixture `forked_python` is the path
of PYTHON, for tests that start many programs; those of signals and of JAX's switches need the real.
"""

from collections.abc import Iterator
import contextlib
import gc
import json
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
GARBAGE = (20_000, 20, 100)  # Else it takes 6 of 104 seconds of a core: JAX keeps its traces.
SERVER = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests import forks; forks.serve()"
CLIENT = f"""#!{sys.executable} -ISs
import json, os, pathlib, socket, sys
if sys.argv[1:2] != ["-m"]:
  os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as server:
  server.connect(str(pathlib.Path(__file__).with_name("socket")))
  socket.send_fds(server, [b"-"], [0, 1, 2])
  server.sendall(json.dumps([os.getcwd(), dict(os.environ), sys.argv[2:]]).encode())
  server.shutdown(socket.SHUT_WR)
  status = server.recv(1)
sys.exit(status[0] if status else 1)
"""


@contextlib.contextmanager
def python() -> Iterator[pathlib.Path]:
  """The path of such a Python, whose name is python and which is there as long as this lasts."""
  with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
    path = pathlib.Path(folder, "python")
    path.write_text(CLIENT)
    path.chmod(0o755)
    listener.bind(f"{folder}/socket")
    listener.listen()
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdin=listener.fileno())
    listener.close()
    try:
      yield path
    finally:
      server.kill()
      server.wait()


def serve() -> None:
  """Answers every request in a fork; standard input is the socket."""
  from bigan_jax import atlas, export, features, import_official  # noqa: F401
  from bigan_jax.benchmark import rates  # noqa: F401
  from bigan_jax.transfer import jobs  # noqa: F401
  from tests import lowering

  lowering.share_contexts(setattr)
  gc.set_threshold(*GARBAGE)
  gc.freeze()  # Else every fork looks through what is imported, and so copies it.
  signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # None of them is waited for.
  listener = socket.socket(fileno=0)
  while True:
    connection, _ = listener.accept()
    if not os.fork():
      listener.detach()
      signal.signal(signal.SIGCHLD, signal.SIG_DFL)
      answer(connection)
      return
    connection.close()


def answer(connection: socket.socket) -> None:
  """Runs the requested program in a fork of its own, and sends its exit status."""
  _, outlets, *_ = socket.recv_fds(connection, 1, 3)
  with connection.makefile() as request:
    words = json.load(request)
  program = os.fork()
  if not program:
    connection.close()
    for i, outlet in enumerate(outlets):
      os.dup2(outlet, i)
      os.close(outlet)
    sys.stdout = open(1, "w", closefd=False)  # The server's takes itself for a file.
    become(*words)
    return
  code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
  connection.send(bytes([code if code >= 0 else 128 - code]))


def become(folder: str, environment: dict[str, str], words: list[str]) -> None:
  """Is `python -m MODULE FLAGS`, in its folder and environment."""
  module, *flags = words
  os.chdir(folder)
  os.environ.clear()
  os.environ.update(environment)
  sys.path[0] = folder
  sys.argv[1:] = flags
  sys.modules.pop(module, None)  # which runpy warns of
  runpy.run_module(module, run_name="__main__", alter_sys=True)

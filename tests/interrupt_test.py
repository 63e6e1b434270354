"""Ctrl-C at a terminal, and SIGTERM: one sentence, nothing half-written, nothing begun after it."""

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
import pty
import select
import signal
import subprocess
import sys
import termios
import time

import numpy as np
from PIL import Image
import pytest

from tests.training import loop_test

ROOT = pathlib.Path(__file__).parents[1]
# Gives a program a terminal of its own, on standard input, whose Ctrl-C comes to all it starts.
ON_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
# As `python -m`, and says when Python itself has started.
STARTED = (
    "import runpy, sys; del sys.argv[0]; print('started', flush=True); "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
# A signal that comes while an object is deleted, where Python drops what is raised.
IN_A_DELETION = """
import os, sys, time, weakref
from bigan_jax.settings import interrupts
interrupts.end_in_order()
thing = type("Thing", (), {})()
callback = weakref.ref(thing, lambda _: os.kill(os.getpid(), int(sys.argv[1])))
try:
  del thing
  time.sleep(30)
except KeyboardInterrupt as stop:
  sys.exit(interrupts.status(stop))
"""
LONG = {"batch_size": 250, "epochs": 100_000, "eval.every": 100_000, "steps_per_dispatch": 5}
SAID = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Ended by SIGTERM"}
SECONDS = 60  # longer than anything here may take


class Terminal:
  """A program at a terminal, and what it has shown there."""

  def __init__(self, *command: str):
    self.shown, (self._ours, theirs) = "", pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    environment = os.environ | {"PYTHON": sys.executable}
    self.process = subprocess.Popen(
        [sys.executable, "-S", "-c", ON_TERMINAL, *command], cwd=ROOT, env=environment,
        stdin=theirs, stdout=theirs, stderr=theirs,
    )
    os.close(theirs)

  def until(self, come: Callable[[str], bool]) -> None:
    """Reads until what was shown, or the end, makes `come` true."""
    ends = time.monotonic() + SECONDS
    while not come(self.shown):
      assert time.monotonic() < ends and self.read(), self.shown

  def read(self) -> bool:
    """Takes what is new; False at the end."""
    if not select.select([self._ours], [], [], 0.02)[0]:
      return True
    try:
      new = os.read(self._ours, 1 << 16)
    except OSError:  # The last who had the terminal open has ended.
      return False
    self.shown += new.decode(errors="replace")
    return bool(new)

  def interrupt(self, number: int = signal.SIGINT) -> str:
    """Presses Ctrl-C or sends SIGTERM; what was shown from then on, after a look at the status."""
    before, status = len(self.shown), 128 + number
    if number == signal.SIGINT:
      os.write(self._ours, b"\x03")
    else:
      self.process.send_signal(number)
    ends = time.monotonic() + SECONDS
    while self.read():
      assert time.monotonic() < ends, self.shown
    assert self.process.wait(timeout=SECONDS) == status, self.shown
    assert "Traceback" not in self.shown and "Error" not in self.shown, self.shown
    return self.shown[before:].replace("^C", "").strip()

  def close(self) -> None:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(self.process.pid, signal.SIGKILL)
    self.process.wait()
    os.close(self._ours)


@pytest.fixture(scope="module", autouse=True)
def _heard() -> Iterator[None]:
  """Programs hear Ctrl-C, though tests may run behind nohup or &, whose programs ignore it."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
  """Starts programs: `terminal("python", "-m", ...)`."""
  with contextlib.ExitStack() as stack:
    def start(*command: str) -> Terminal:
      program = Terminal(*command)
      stack.callback(program.close)
      return program
    yield start


@pytest.fixture(scope="module")
def trained(
    tiny: Callable, saved_run: Callable, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
  """A run with networks in it."""
  path = tmp_path_factory.mktemp("trained") / "run"
  saved_run(tiny(), path)
  return path


@pytest.fixture(scope="module")
def long(tiny_flags: list[str]) -> list[str]:
  """Flags of a training that does not end by itself."""
  return [*tiny_flags, *(f"--config.{name}={value}" for name, value in LONG.items())]


def module(name: str, *flags: str) -> list[str]:
  return [sys.executable, "-m", f"bigan_jax.{name}", *flags]


@pytest.mark.parametrize("name, flags, seconds", [
    ("main", "--config=digits --workdir=OUT", 0.3),
    ("anomaly", "--model=OUT --out=OUT", 0.4),
    ("export", "--workdir=OUT --out=OUT", 0.5),
    ("features", "--model=OUT --images=OUT --out=OUT", 0.4),
    ("import_official", "--params=OUT --config=imagenet --workdir=OUT", 0.3),
    ("benchmark", "--config=digits", 0.3),
])
def test_while_programs_are_imported(
    terminal: Callable[..., Terminal], tmp_path: pathlib.Path, name: str, flags: str, seconds: float
) -> None:
  words = flags.replace("OUT", str(tmp_path / "out")).split()
  program = terminal(sys.executable, "-c", STARTED, f"bigan_jax.{name}", *words)
  program.until(lambda shown: "started" in shown)
  time.sleep(seconds)
  assert program.interrupt() == f"{name if name == 'benchmark' else f'{name}.py'}: Interrupted."
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", SAID)
def test_while_an_object_is_deleted(number: int) -> None:
  program = [sys.executable, "-c", IN_A_DELETION, str(int(number))]
  done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
  assert (done.returncode, done.stderr) == (128 + number, "")


def test_training_saves_first(
    terminal: Callable[..., Terminal], long: list[str],
    tmp_path: pathlib.Path,
) -> None:
  program = terminal(*module("main", "--config=digits", *long, f"--workdir={tmp_path}"))
  program.until(lambda shown: "img/s" in shown and "D=" in shown)
  said = program.interrupt()
  step = loop_test.newest(tmp_path)
  assert step > 0 and said.count("Interrupted") == 1
  assert f"Interrupted: saved at step {step}; the same command continues there." in said


def test_a_script_does_not_begin_the_next(
    terminal: Callable[..., Terminal], long: list[str],
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setenv("CONFIG", "configs/digits.py")
  program = terminal("bash", "launch/table1.sh", str(tmp_path), *long)
  program.until(lambda shown: "parameters; batches" in shown)
  assert program.interrupt().count("Interrupted") == 1
  assert [path.name for path in (tmp_path / "paper").iterdir()] == ["bigan-0"]
  assert loop_test.newest(tmp_path / "paper" / "bigan-0") >= 0


@pytest.mark.parametrize("job, number", [
    ("linear_probe", signal.SIGINT), ("neighbours", signal.SIGTERM),
])
def test_a_job_that_judges_leaves_nothing(
    terminal: Callable[..., Terminal], trained: pathlib.Path, tmp_path: pathlib.Path, job: str,
    number: int,
) -> None:
  program = terminal(*module(
      "main", f"--config={job}", f"--config.encoder={trained}", f"--workdir={tmp_path}/out"
  ))
  program.until(lambda shown: any(tmp_path.iterdir()))  # It has a hidden folder to write to.
  assert program.interrupt(number).splitlines()[-1] == f"main.py: {SAID[number]}."
  assert not list(tmp_path.iterdir())


def test_export_leaves_nothing(
    terminal: Callable[..., Terminal], trained: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  program = terminal(*module("export", f"--workdir={trained}", f"--out={tmp_path}/out"))
  program.until(lambda shown: any(tmp_path.iterdir()))
  assert program.interrupt().splitlines()[-1] == "export.py: Interrupted."
  assert not list(tmp_path.iterdir())


def test_features_leave_nothing(
    terminal: Callable[..., Terminal], trained: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  (tmp_path / "pictures").mkdir()
  for i in range(300):
    grey = np.full((200, 200), i % 256, np.uint8)
    Image.fromarray(grey).save(tmp_path / "pictures" / f"{i}.png")
  program = terminal(*module(
      "features", f"--model={trained}", f"--images={tmp_path}/pictures",
      f"--out={tmp_path}/out.npz", f"--reconstruct={tmp_path}/pairs",
  ))
  program.until(lambda shown: "img" in shown)
  said = program.interrupt(signal.SIGTERM)
  assert said.splitlines()[-1] == "features.py: Ended by SIGTERM."
  assert [path.name for path in tmp_path.iterdir()] == ["pictures"]

"""Tests of shrinking many pictures: parallel, resumed after a kill, whatever is among them."""

import io
import logging
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import time

from absl import logging as absl_logging
import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import codec
from bigan_jax.data.builders import presize


def jpeg(level: int, size: tuple[int, int] = (60, 40), mode: str = "RGB") -> bytes:
  buffer = io.BytesIO()
  Image.new("RGB", size, (level, level, level)).convert(mode).save(buffer, "JPEG")
  return buffer.getvalue()


def level_of(encoded: bytes) -> int:
  return round(codec.decode(encoded).mean())


def write_pictures(folder: pathlib.Path, levels: range) -> list[presize.Piece]:
  folder.mkdir(exist_ok=True)
  pieces = []
  for level in levels:
    (folder / f"{level:03d}.jpg").write_bytes(jpeg(level))
    pieces.append(presize.Piece(f"{level:03d}.jpg", str(folder / f"{level:03d}.jpg")))
  return pieces


def write_tar(path: pathlib.Path, files: dict[str, bytes]) -> None:
  with tarfile.open(path, "w") as tar:
    for name, content in files.items():
      info = tarfile.TarInfo(name)
      info.size = len(content)
      tar.addfile(info, io.BytesIO(content))


def test_processes_and_one_process_leave_the_same(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  pieces = write_pictures(tmp_path / "in", range(0, 240, 20))
  parts = [presize.Part(f"p{i}", tuple(pieces[4 * i:4 * i + 4])) for i in range(3)]
  monkeypatch.setattr(presize, "cores", lambda: 2)
  two = presize.presize(parts, str(tmp_path / "two"), 20, True, "test")
  monkeypatch.setattr(presize, "cores", lambda: 1)
  one = presize.presize(parts, str(tmp_path / "one"), 20, True, "test")
  assert [level_of(one.read(i)) for i in range(12)] == pytest.approx(range(0, 240, 20), abs=1)
  assert [one.read(i) for i in range(12)] == [two.read(i) for i in range(12)]
  assert one.names == two.names == [piece.name for piece in pieces]
  assert one.parts.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_tars_and_stretches_of_files_are_read(tmp_path: pathlib.Path) -> None:
  write_tar(tmp_path / "inner.tar", {"a.JPEG": jpeg(10), "./._a.JPEG": b"x", "b": jpeg(50)})
  inner = (tmp_path / "inner.tar").read_bytes()
  write_tar(tmp_path / "outer.tar", {"n1.tar": inner, "n2.tar": inner, "c.JPEG": jpeg(90)})
  with tarfile.open(tmp_path / "outer.tar") as tar:
    members = {m.name: (str(tmp_path / "outer.tar"), m.offset_data, m.size) for m in tar}
  parts = [
      presize.Part("x", (presize.Piece("n1.tar", *members["n1.tar"], is_tar=True),)),
      presize.Part("y", (presize.Piece("c.JPEG", *members["c.JPEG"]),)),
  ]
  shelf = presize.presize(parts, str(tmp_path / "work"), 20, False, "test")
  assert shelf.names == ["a.JPEG", "b", "c.JPEG"]
  assert [level_of(shelf.read(i)) for i in range(3)] == pytest.approx([10, 50, 90], abs=1)


@pytest.mark.parametrize("cut", [300, 1000, 3000])
def test_a_truncated_tar_is_named(cut: int, tmp_path: pathlib.Path) -> None:
  write_tar(tmp_path / "n1.tar", {"a.JPEG": jpeg(10, (600, 400)), "b.JPEG": jpeg(20)})
  (tmp_path / "n1.tar").write_bytes((tmp_path / "n1.tar").read_bytes()[:cut])
  piece = presize.Piece("n1.tar", str(tmp_path / "n1.tar"), is_tar=True)
  with pytest.raises(ValueError, match="n1.tar is a damaged tar .*: download it again"):
    presize.presize([presize.Part("x", (piece,))], str(tmp_path / "work"), 20, False, "test")
  assert not (tmp_path / "work" / "x.json").exists()


def test_unusable_pictures_are_skipped_counted_and_listed(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  (tmp_path / "in").mkdir()
  contents = {
      "good.jpg": jpeg(10), "grey.jpg": jpeg(20, mode="L"), "cmyk.jpg": jpeg(30, mode="CMYK"),
      "cut.jpg": jpeg(40)[:200], "empty.jpg": b"", "thin.jpg": jpeg(50, (1, 9000)),
  }
  for name, content in contents.items():
    (tmp_path / "in" / name).write_bytes(content)
  pieces = [presize.Piece(name, str(tmp_path / "in" / name)) for name in (*contents, "gone.jpg")]
  shelf = presize.presize([presize.Part("x", tuple(pieces))], str(tmp_path / "w"), 20, True, "t")
  assert shelf.names == ["good.jpg", "grey.jpg", "cmyk.jpg"]
  assert shelf.converted == {"JPEG L": 1, "JPEG CMYK": 1}
  assert dict(shelf.skipped) == {
      "cut.jpg": "cannot be decoded", "empty.jpg": "cannot be decoded",
      "gone.jpg": "No such file or directory", "thin.jpg": "too elongated",
  }
  absl_logging.get_absl_logger().addHandler(caplog.handler)
  with caplog.at_level(logging.INFO):
    presize.report(shelf, "mine", tmp_path)
  absl_logging.get_absl_logger().removeHandler(caplog.handler)
  counted = "1 No such file or directory, 2 cannot be decoded, 1 too elongated"
  assert f"mine: skipped 4 of 7 pictures ({counted})" in caplog.text
  assert "thin.jpg\ttoo elongated\n" in (tmp_path / presize.folders.SKIPPED_FILE).read_text()


SLOW_RUN = """
import functools, pathlib, sys, time
from bigan_jax.data import codec
from bigan_jax.data.builders import presize
folder, work = map(pathlib.Path, sys.argv[1:])
shrink = codec.shrink
def slow(*arguments):
  time.sleep(0.05)
  return shrink(*arguments)
codec.shrink = slow
presize.cores = lambda: 1
pieces = [presize.Piece(p.name, str(p)) for p in sorted(folder.iterdir())]
parts = [presize.Part(f"p{i}", tuple(pieces[2 * i:2 * i + 2])) for i in range(20)]
presize.presize(parts, str(work), 20, True, "slow")
"""


def test_a_killed_run_is_resumed_where_it_was(tmp_path: pathlib.Path) -> None:
  pieces = write_pictures(tmp_path / "in", range(40))
  work = tmp_path / "work"
  command = [sys.executable, "-c", SLOW_RUN, str(tmp_path / "in"), str(work)]
  run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
  deadline = time.monotonic() + 30
  while len(list(work.glob("*.json"))) < 3 and time.monotonic() < deadline:
    time.sleep(0.01)
  run.send_signal(signal.SIGKILL)
  run.wait()
  done = {path: os.stat(path).st_mtime_ns for path in work.glob("*.json")}
  assert 3 <= len(done) < 20
  parts = [presize.Part(f"p{i}", tuple(pieces[2 * i:2 * i + 2])) for i in range(20)]
  shelf = presize.presize(parts, str(work), 20, True, "test")
  assert {path: os.stat(path).st_mtime_ns for path in done} == done  # Not done again.
  assert [level_of(shelf.read(i)) for i in range(40)] == pytest.approx(range(40), abs=1)


def test_workers_do_not_outlive_a_killed_parent(tmp_path: pathlib.Path) -> None:
  script = tmp_path / "parent.py"
  script.write_text(
      "import multiprocessing, os, time\n"
      "from bigan_jax.data.builders import presize\n"
      "if __name__ == '__main__':\n"
      "  context = multiprocessing.get_context('spawn')\n"
      "  pool = presize.concurrent.futures.ProcessPoolExecutor(\n"
      "      1, context, initializer=presize._follow_parent)\n"
      "  print(pool.submit(os.getpid).result(), flush=True)\n"
      "  time.sleep(60)\n"
  )
  parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
  worker = int(parent.stdout.readline())
  parent.kill()
  parent.wait()
  deadline = time.monotonic() + 10
  while is_running(worker) and time.monotonic() < deadline:
    time.sleep(0.05)
  assert not is_running(worker)


def is_running(pid: int) -> bool:
  try:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
  except FileNotFoundError:
    return False


def test_shards_keep_order_and_labels(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(presize, "PICTURES_PER_SHARD", 2)
  pieces = write_pictures(tmp_path / "in", range(0, 100, 20))
  part = presize.Part("x", tuple(pieces))
  shelf = presize.presize([part], str(tmp_path / "work"), 20, True, "test")
  functions = presize.shards(shelf, np.array([4, 0, 2]), labels="abcde")
  examples = [[example for _, example in function()] for function in functions]
  assert [[e["label"] for e in shard] for shard in examples] == [["e", "a"], ["c"]]
  assert level_of(examples[0][0]["image"]) == pytest.approx(80, abs=1)
  assert list(presize.shards(shelf, [0], None)[0]()) == [(0, {"image": shelf.read(0)})]


def test_discard_leaves_nothing(tmp_path: pathlib.Path) -> None:
  first, second = (presize.work_dir(str(tmp_path), name) for name in ("a", "b"))
  os.makedirs(first)
  os.makedirs(second)
  presize.discard(first)
  assert os.listdir(os.path.dirname(second)) == ["b"]
  presize.discard(second)
  assert os.listdir(tmp_path) == []


def test_what_is_enlarged_and_what_is_kept_are_told(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
) -> None:
  (tmp_path / "in").mkdir()
  pieces = write_pictures(tmp_path / "in", range(2))
  with Image.open(pieces[0].path) as picture:
    edge = min(picture.size)
  for asked, told in ((edge, False), (edge + 1, True)):
    caplog.clear()
    parts = [presize.Part("x", tuple(pieces))]
    shelf = presize.presize(parts, str(tmp_path / str(asked)), asked, True, "mine")
    presize.report(shelf, "mine", tmp_path)
    assert ("mine: 2 of 2 pictures are smaller than config.data.edge" in caplog.text) == told
  (tmp_path / "a set").mkdir()
  (tmp_path / "a set" / "shard").write_bytes(bytes(1_500_000))
  presize.tell_of_copy("image_folder", str(tmp_path / "a set"), "pictures")
  said = capsys.readouterr().out
  assert f"of pictures takes 1.5 MB in {tmp_path}/a set;" in said
  assert said.endswith(f"rm -r '{tmp_path}/a set'\n")

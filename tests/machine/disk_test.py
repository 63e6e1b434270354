"""Tests of writing whole files."""

import concurrent.futures
import pathlib

from bigan_jax.machine import disk


def test_two_may_write_the_same_file_at_once(tmp_path: pathlib.Path) -> None:
  path, contents = tmp_path / "shared.npz", [bytes([i]) * 10_000 for i in (1, 2)]
  def write(i: int) -> None:
    disk.write_atomically(path, contents[i % 2])
    assert path.read_bytes() in contents
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    list(pool.map(write, range(40)))
  assert [p.name for p in tmp_path.iterdir()] == ["shared.npz"]

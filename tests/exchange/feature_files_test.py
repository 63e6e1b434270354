"""Features on disk: whole, in order, readable by numpy and pyarrow, block by block."""

from collections.abc import Iterator
import json
import pathlib

import numpy as np
import pyarrow.parquet
import pytest

from bigan_jax.exchange import feature_files
from bigan_jax.exchange.feature_files import Rows

ABOUT = {"layer": "fc2", "shape": (2, 3)}


def make(sizes: list[int]) -> list[Rows]:
  rs, blocks = np.random.RandomState(0), []
  for i, n in enumerate(sizes):
    names = [f"{'sub/' * i}picture ü {j}.jpg" for j in range(n)]
    blocks.append(Rows(names, np.float32(rs.rand(n, 4)), np.float32(rs.rand(n, 6))))
  return blocks


def joined(blocks: list[Rows]) -> tuple[list[str], np.ndarray, np.ndarray]:
  return (sum((b.files for b in blocks), []), np.concatenate([b.code for b in blocks]),
          np.concatenate([b.features for b in blocks]))


def test_npz(tmp_path: pathlib.Path) -> None:
  blocks = make([3, 1, 2])
  feature_files.write_npz(tmp_path / "a", iter(blocks), ABOUT)
  names, code, features = joined(blocks)
  with np.load(tmp_path / "a", allow_pickle=False) as found:
    assert found["files"].tolist() == names
    np.testing.assert_array_equal(found["code"], code)
    np.testing.assert_array_equal(found["features"], features)
    assert found["code"].dtype == np.float32
    assert json.loads(str(found["about"])) == {"layer": "fc2", "shape": [2, 3]}
  assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_parquet(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(feature_files, "ROW_GROUP", 4)
  blocks = make([3, 1, 2, 5])
  feature_files.write_parquet(tmp_path / "a", iter(blocks), ABOUT)
  table, (names, code, features) = pyarrow.parquet.read_table(tmp_path / "a"), joined(blocks)
  assert table["file"].to_pylist() == names
  np.testing.assert_array_equal(np.stack(table["code"].to_numpy()), code)
  np.testing.assert_array_equal(np.stack(table["features"].to_numpy()), features)
  assert json.loads(table.schema.metadata[b"about"])["layer"] == "fc2"
  assert pyarrow.parquet.ParquetFile(tmp_path / "a").num_row_groups == 2


@pytest.mark.parametrize("kind", feature_files.WRITERS)
def test_blocks_are_written_as_they_come(tmp_path: pathlib.Path, kind: str) -> None:
  """A thousand blocks are never held at once: of each, few are alive when the next is made."""
  alive, most = 0, 0
  class Counted(np.ndarray):
    def __del__(self) -> None:
      nonlocal alive
      alive -= self.base is None
  def blocks() -> Iterator[Rows]:
    nonlocal alive, most
    for i in range(1_000):
      code = np.ndarray.__new__(Counted, (8, 2), np.float32)
      code[:] = i
      alive += 1
      most = max(most, alive)
      yield Rows([str(i)] * 8, code, np.zeros((8, 2), np.float32))
  feature_files.WRITERS[kind](tmp_path / "a", blocks(), ABOUT)
  assert most <= feature_files.ROW_GROUP // 8 + 2

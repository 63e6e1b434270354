"""Writes features row by row, .npz or .parquet, in memory that does not grow with their number."""

from collections.abc import Callable, Iterator
import json
import pathlib
import shutil
import tempfile
from typing import IO, Any, NamedTuple
import zipfile

import numpy as np

ROW_GROUP = 1_024  # rows of a parquet file that are written at once


class Rows(NamedTuple):
  """Some pictures' rows.

  files: n names. code: float32 [n, d]. features: float32 [n, f].
  """

  files: list[str]
  code: np.ndarray
  features: np.ndarray


def write_npz(path: pathlib.Path, blocks: Iterator[Rows], about: dict[str, Any]) -> None:
  """Arrays `files`, `code`, `features` and, as a JSON text, `about`: for numpy.load.

  The number of rows, which the arrays begin with, is known at the end: they lie aside until then.
  """
  names, widths = [], {}
  with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{path.name}.") as scratch:
    raw = {name: pathlib.Path(scratch, name) for name in ("code", "features")}
    with raw["code"].open("wb") as code, raw["features"].open("wb") as features:
      for block in blocks:
        names += block.files
        for name, file in (("code", code), ("features", features)):
          rows = np.ascontiguousarray(getattr(block, name), "<f4")
          widths[name] = rows.shape[1]
          file.write(rows)
    with zipfile.ZipFile(path, "w") as archive:
      for name, array in (("files", np.asarray(names)), ("about", np.asarray(json.dumps(about)))):
        with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
          np.lib.format.write_array(entry, array, allow_pickle=False)
      for name, source in raw.items():
        with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
          _copy(source, entry, (len(names), widths[name]))


def _copy(source: pathlib.Path, entry: IO[bytes], shape: tuple[int, int]) -> None:
  header = {"descr": "<f4", "fortran_order": False, "shape": shape}
  np.lib.format.write_array_header_1_0(entry, header)
  with source.open("rb") as file:
    shutil.copyfileobj(file, entry, 1 << 20)
  source.unlink()  # Soon the disk holds everything twice.


def write_parquet(path: pathlib.Path, blocks: Iterator[Rows], about: dict[str, Any]) -> None:
  """Columns `file`, `code` and `features`, lists of fixed length; `about` is JSON in the schema."""
  import pyarrow
  import pyarrow.parquet

  def columns(block: Rows) -> pyarrow.Table:
    lists = {
        name: pyarrow.FixedSizeListArray.from_arrays(np.float32(rows).reshape(-1), rows.shape[1])
        for name, rows in (("code", block.code), ("features", block.features))
    }
    table = pyarrow.table({"file": pyarrow.array(block.files, pyarrow.string()), **lists})
    return table.replace_schema_metadata({"about": json.dumps(about)})

  first = next(blocks)
  with pyarrow.parquet.ParquetWriter(path, columns(first).schema) as writer:
    gathered, count = [columns(first)], len(first.files)
    for block in blocks:
      if count >= ROW_GROUP:
        writer.write_table(pyarrow.concat_tables(gathered))
        gathered, count = [], 0
      gathered.append(columns(block))
      count += len(block.files)
    writer.write_table(pyarrow.concat_tables(gathered))


WRITERS: dict[str, Callable[[pathlib.Path, Iterator[Rows], dict[str, Any]], None]] = {
    ".npz": write_npz, ".parquet": write_parquet,
}

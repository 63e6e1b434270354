"""Files of features, .npz or .parquet.

They are written row by row, in memory that does not grow with their number.
"""

from collections.abc import Callable, Iterator
import functools
import json
import pathlib
import shutil
import tempfile
from typing import IO, Any, NamedTuple
import zipfile
import zlib

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

  The number of rows, which the arrays begin with, is known at the end. Until then they lie in files
  without a name, of which nothing can be left behind, wherever the program is stopped.
  """
  names, widths = [], {}
  aside = functools.partial(tempfile.TemporaryFile, dir=path.parent)
  with aside() as code, aside() as features:
    raw = {"code": code, "features": features}
    for block in blocks:
      names += block.files
      for name, file in raw.items():
        rows = np.ascontiguousarray(getattr(block, name), "<f4")
        widths[name] = rows.shape[1]
        file.write(rows)
    with zipfile.ZipFile(path, "w") as archive:
      for name, array in (("files", np.asarray(names)), ("about", np.asarray(json.dumps(about)))):
        with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
          np.lib.format.write_array(entry, array, allow_pickle=False)
      for name, file in raw.items():
        with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
          _move(file, entry, (len(names), widths[name]))


def _move(file: IO[bytes], entry: IO[bytes], shape: tuple[int, int]) -> None:
  header = {"descr": "<f4", "fortran_order": False, "shape": shape}
  np.lib.format.write_array_header_1_0(entry, header)
  file.seek(0)
  shutil.copyfileobj(file, entry, 1 << 20)
  file.truncate(0)  # Else the disk soon holds everything twice.


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


def read(path: str) -> np.ndarray:
  """The features float32 [n, f] of a file as it is written here, or by others: by that name.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it is of another kind, or holds no matrix `features`.
  """
  file = pathlib.Path(path).expanduser()
  if not file.is_file():
    raise FileNotFoundError(f"There is no file {path!r}: name one that bigan_jax.features wrote.")
  if file.suffix not in READERS:
    raise ValueError(f"{path} is no {' or '.join(READERS)} file: give one with `features` in it.")
  try:
    features = READERS[file.suffix](file)
  except (KeyError, ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile,
          zlib.error) as error:
    raise ValueError(f"{path} holds no `features` that can be read ({type(error).__name__}): let "
                     "bigan_jax.features write it.") from error
  if features.ndim != 2:
    raise ValueError(f"`features` in {path} are of shape {list(features.shape)}: give a row of "
                     "numbers for each picture.")
  return features


def _read_npz(path: pathlib.Path) -> np.ndarray:
  with np.load(path, allow_pickle=False) as arrays:
    return np.asarray(arrays["features"], np.float32)


def _read_parquet(path: pathlib.Path) -> np.ndarray:
  import pyarrow.parquet

  column = pyarrow.parquet.read_table(path, columns=["features"])["features"]
  return np.stack(column.to_numpy()).astype(np.float32)


READERS: dict[str, Callable[[pathlib.Path], np.ndarray]] = {
    ".npz": _read_npz, ".parquet": _read_parquet,
}

"""Reads the authors' weight files: joblib's pickles of lists of arrays, of which nothing is run.

A pickle is a program, and joblib runs it. Here every name that it may mention stands for a class of
this module, which keeps plain values; numpy arrays are built from these alone.
"""

import bz2
from collections.abc import Callable, Mapping
import gzip
import importlib
import io
import lzma
import pathlib
import pickle
import re
from typing import Any
import zlib

import numpy as np

NUMBERS = re.compile(r"[fiu][1248]|b1")  # dtypes that an array may have
ZFILE_LENGTH = 19  # characters of the length in joblib's own format, before 0.10


def read_arrays(path: pathlib.Path) -> list[np.ndarray]:
  """The arrays of a .jl file of any joblib, compressed or not; older ones keep .npy files beside.

  Raises:
    FileNotFoundError: the file, or one that it names, is not there.
    ValueError: it is damaged, or holds anything but a list of arrays of numbers.
    ImportError: it is compressed by lz4, and Python's lz4 is not installed.
  """
  if not path.is_file():
    raise FileNotFoundError(
        f"There is no file {path}: --params names what precedes _encode_params.jl in file names."
    )
  try:
    items = _Unpickler(io.BytesIO(_decompressed(path.read_bytes()))).load()
    if not isinstance(items, (list, tuple)):
      raise _Refusal(f"holds a {_kind(items)}")
    return [_array(item, f"array {index}", path.parent) for index, item in enumerate(items)]
  except _Refusal as error:
    raise ValueError(
        f"{path} {error}, but a list of arrays was expected: it is refused, and nothing was run."
    ) from None
  except (FileNotFoundError, ImportError):
    raise
  except Exception as error:  # Damaged pickles raise all sorts of errors.
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise ValueError(f"{path} is damaged or not of joblib ({reason}): copy it again.") from error


class _Refusal(Exception):
  """What a file holds that it should not."""


def _decompressed(content: bytes) -> bytes:
  for magic, decompress in DECOMPRESSORS.items():
    if content.startswith(magic):
      return decompress(content)
  return content


def _lz4(content: bytes) -> bytes:
  try:
    return importlib.import_module("lz4.frame").decompress(content)
  except ImportError:
    raise ImportError("The file is compressed by lz4: pip install lz4.") from None


def _zfile(content: bytes) -> bytes:
  """joblib's own format before 0.10: ZF, the length in hexadecimal, a zlib stream."""
  start = len(b"ZF") + ZFILE_LENGTH
  length = int(content[len(b"ZF"):start], 16)
  inflated = zlib.decompress(content[start:].removeprefix(b" "))
  if len(inflated) != length:
    raise _Refusal(f"is {len(inflated)} bytes long, and not {length}")
  return inflated


DECOMPRESSORS: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"ZF": _zfile, b"\x1f\x8b": gzip.decompress, b"BZ": bz2.decompress, b"\x04\x22\x4d\x18": _lz4,
    b"\xfd7zXZ": lzma.decompress, b"\x5d\x00": lzma.decompress, b"\x78": zlib.decompress,
}


def _refuse_state(*unused: Any) -> None:
  raise _Refusal("sets what has no state")


class _Type:
  """numpy.dtype."""

  def __init__(self, code: str, *unused: Any):
    self.code, self.order = code, "|"

  def __setstate__(self, state: tuple) -> None:
    self.order = state[1]

  def numpy(self) -> np.dtype:
    """Raises _Refusal unless it is of plain numbers; objects above all."""
    if not NUMBERS.fullmatch(self.code):
      raise _Refusal(f"has an array of dtype {self.code!r}")
    return np.dtype(self.order + self.code)


class _Class:
  """numpy.ndarray, named but not made."""

  __setstate__ = _refuse_state


class _Encoded:
  """_codecs.encode(text, "latin1"): how Python 3 writes bytes for Python 2."""

  __setstate__ = _refuse_state

  def __new__(cls, text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
      raise _Refusal(f"encodes bytes as {encoding!r}")
    return text.encode("latin1")


class _Plain:
  """An array as numpy itself pickles it."""

  def __init__(self, *unused: Any):
    self.state: tuple = ()

  def __setstate__(self, state: tuple) -> None:
    self.state = state

  def array(self, folder: pathlib.Path) -> np.ndarray:
    del folder
    _, shape, dtype, fortran, data = self.state
    return _shaped(data, dtype, shape, "F" if fortran else "C")


class _Scalar:
  """A numpy number."""

  __setstate__ = _refuse_state

  def __init__(self, dtype: _Type, data: bytes | str):
    self.dtype, self.data = dtype, data

  def array(self, folder: pathlib.Path) -> np.ndarray:
    del folder
    return _shaped(self.data, self.dtype, (), "C")


class _Streamed:
  """joblib's NumpyArrayWrapper, from 0.10 on: the array's bytes follow it in the file."""

  file: io.BytesIO

  def __setstate__(self, state: dict[str, Any]) -> None:
    dtype, shape = state["dtype"], state["shape"]
    if state.get("numpy_array_alignment_bytes") is not None:
      self.file.read(self.file.read(1)[0])
    size = dtype.numpy().itemsize * _count(shape)
    self.found = _shaped(self.file.read(size), dtype, shape, state["order"])

  def array(self, folder: pathlib.Path) -> np.ndarray:
    del folder
    return self.found


class _Aside:
  """joblib's NDArrayWrapper and ZNDArrayWrapper, before 0.10: a file of its own, .npy or .npy.z."""

  def __setstate__(self, state: dict[str, Any]) -> None:
    self.state = state

  def array(self, folder: pathlib.Path) -> np.ndarray:
    path = folder / pathlib.PurePath(self.state["filename"]).name
    if not path.is_file():
      raise FileNotFoundError(
          f"There is no file {path}, which holds an array of a .jl file: copy it there too."
      )
    if "init_args" not in self.state:
      with path.open("rb") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
      _Type(array.dtype.str[1:]).numpy()
      return array
    _, shape, dtype, fortran = self.state["state"]
    return _shaped(_decompressed(path.read_bytes()), dtype, shape, "F" if fortran else "C")


def _count(shape: tuple[int, ...]) -> int:
  if not all(isinstance(n, int) and n >= 0 for n in shape):
    raise _Refusal(f"has an array of shape {shape}")
  return int(np.prod(shape, dtype=object))


def _shaped(data: bytes | str, dtype: _Type, shape: tuple[int, ...], order: str) -> np.ndarray:
  kind = dtype.numpy()
  data = data.encode("latin1") if isinstance(data, str) else data  # A str of Python 2.
  if len(data) != kind.itemsize * _count(shape):
    raise _Refusal(f"ends within an array of shape {shape}")
  return np.frombuffer(data, kind).reshape(shape, order=order)


def _array(item: Any, name: str, folder: pathlib.Path) -> np.ndarray:
  if isinstance(item, (int, float)):
    return np.asarray(item)
  if not isinstance(item, (_Plain, _Scalar, _Streamed, _Aside)):
    raise _Refusal(f"holds a {_kind(item)} as {name}")
  return item.array(folder)


def _kind(item: Any) -> str:
  array = isinstance(item, (_Plain, _Scalar, _Streamed, _Aside))
  return "lone array" if array else type(item).__name__.strip("_").lower()


JOBLIB = ("joblib", "sklearn.externals.joblib")
KNOWN = {
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _Class,
    ("_codecs", "encode"): _Encoded,
    **{(f"numpy.{core}.multiarray", name): stand_in for core in ("core", "_core")
       for name, stand_in in (("_reconstruct", _Plain), ("scalar", _Scalar))},
    **{(f"{package}.{module}", name): stand_in for package in JOBLIB
       for module in ("numpy_pickle", "numpy_pickle_compat")
       for name, stand_in in (("NumpyArrayWrapper", _Streamed), ("NDArrayWrapper", _Aside),
                              ("ZNDArrayWrapper", _Aside))},
}


class _Unpickler(pickle.Unpickler):
  """Knows the names above and no other; strings of Python 2 are read as latin1."""

  def __init__(self, file: io.BytesIO):
    super().__init__(file, encoding="latin1")
    self._streamed = type("_Streamed", (_Streamed,), {"file": file})

  def find_class(self, module: str, name: str) -> type:
    """Raises _Refusal for what is no part of an array."""
    if (module, name) not in KNOWN:
      raise _Refusal(f"asks for {f'{module}.{name}'[:100]}")
    found = KNOWN[module, name]
    return self._streamed if found is _Streamed else found

"""The authors' .jl files: every kind of joblib is read, and nothing in one is ever run."""

import io
import os
import pathlib
import pickle
import pickletools
import subprocess
from typing import Any
import zlib

import joblib
from joblib import numpy_pickle_compat
import numpy as np
import pytest

from bigan_jax.exchange import official_files

ARRAYS = [
    np.arange(12, dtype=np.float32).reshape(3, 4) / 7, np.float32(2.5), np.array(3.0, np.float32),
    np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)), np.arange(4, dtype=">i4"),
]


def assert_read(path: pathlib.Path, expected: list = ARRAYS) -> None:
  found = official_files.read_arrays(path)
  assert len(found) == len(expected)
  for a, b in zip(found, expected):
    assert a.shape == np.shape(b)
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("compress", [0, 3, *((kind, 2) for kind in (
    "zlib", "gzip", "bz2", "lzma", "xz"))])
def test_joblib_s_files(tmp_path: pathlib.Path, compress: Any) -> None:
  joblib.dump(ARRAYS, tmp_path / "a.jl", compress=compress)
  assert_read(tmp_path / "a.jl")


def test_lz4(tmp_path: pathlib.Path) -> None:
  pytest.importorskip("lz4.frame")
  joblib.dump(ARRAYS, tmp_path / "a.jl", compress=("lz4", 1))
  assert_read(tmp_path / "a.jl")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_plain_pickles(tmp_path: pathlib.Path, protocol: int) -> None:
  (tmp_path / "a.jl").write_bytes(pickle.dumps(ARRAYS, protocol))
  assert_read(tmp_path / "a.jl")


def test_python_2_s_pickles(tmp_path: pathlib.Path) -> None:
  """Written opcode by opcode, with bytes as `str`: [array of float32, shape (2, 1)]."""
  data = np.array([-1.5, 3e38], "<f4").tobytes()
  content = (
      b"\x80\x02]q\x01cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
      b"(K\x01K\x02K\x01\x86cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
      b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" + data + b"tba."
  )
  (tmp_path / "a.jl").write_bytes(content)
  assert_read(tmp_path / "a.jl", [np.array([[-1.5], [3e38]], np.float32)])


def old_pickle(wrappers: list) -> bytes:
  """As joblib < 0.10 on Python 2 names its own classes."""
  content = pickle.dumps(wrappers, 2)
  return content.replace(b"cjoblib.numpy_pickle_compat\n", b"cjoblib.numpy_pickle\n")


def test_arrays_in_files_beside(tmp_path: pathlib.Path) -> None:
  """joblib < 0.10, uncompressed."""
  wrappers = []
  for i, array in enumerate(ARRAYS[:3]):
    np.save(tmp_path / f"a.jl_{i:02d}.npy", array)
    wrappers.append(numpy_pickle_compat.NDArrayWrapper(f"a.jl_{i:02d}.npy", np.ndarray))
  (tmp_path / "a.jl").write_bytes(old_pickle(wrappers))
  assert_read(tmp_path / "a.jl", ARRAYS[:3])
  (tmp_path / "a.jl_01.npy").unlink()
  with pytest.raises(FileNotFoundError, match=r"a.jl_01.npy, which holds an array"):
    official_files.read_arrays(tmp_path / "a.jl")


def test_compressed_arrays_in_files_beside(tmp_path: pathlib.Path) -> None:
  """joblib < 0.10, compressed: its own format, of the pickle and of each array."""
  def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    numpy_pickle_compat.write_zfile(file, content)
    return file.getvalue()
  array = ARRAYS[0]
  (tmp_path / "a.jl_01.npy.z").write_bytes(zipped(array.tobytes()))
  _, shape, dtype, fortran, _ = array.__reduce__()[2]
  wrapper = numpy_pickle_compat.ZNDArrayWrapper(
      "a.jl_01.npy.z", (np.ndarray, (0,), b"b"), (1, shape, dtype, fortran)
  )
  (tmp_path / "a.jl").write_bytes(zipped(old_pickle([wrapper, ARRAYS[2]])))
  assert_read(tmp_path / "a.jl", [array, ARRAYS[2]])
  (tmp_path / "a.jl_01.npy.z").write_bytes(zipped(array.tobytes()[:-1]))
  with pytest.raises(ValueError, match=r"a.jl ends within an array of shape \(3, 4\)"):
    official_files.read_arrays(tmp_path / "a.jl")


class Malicious:
  """Pickled as a call; `pickle.load` would make it."""

  def __init__(self, call: Any, *args: Any):
    self.call, self.args = call, args

  def __reduce__(self) -> tuple:
    return self.call, self.args


def object_array(item: Any) -> np.ndarray:
  array = np.empty(1, object)
  array[0] = item
  return array


@pytest.mark.parametrize("place", ["in the list", "alone", "in an object array"])
@pytest.mark.parametrize("compress", [0, "zlib", "xz"])
@pytest.mark.parametrize("kind", ["os.system", "subprocess", "eval"])
def test_nothing_is_run(tmp_path: pathlib.Path, kind: str, compress: Any, place: str) -> None:
  mark = tmp_path / "mark"
  call = {
      "os.system": Malicious(os.system, f"touch {mark}"),
      "subprocess": Malicious(subprocess.check_call, ["touch", str(mark)]),
      "eval": Malicious(eval, f"open({str(mark)!r}, 'w')"),
  }[kind]
  content = {"in the list": [np.ones(3), call], "alone": call,
             "in an object array": [object_array(call)]}[place]
  path = tmp_path / "a.jl"
  joblib.dump(content, path, compress=(compress, 3) if compress else 0)
  with pytest.raises(ValueError, match="a.jl (asks for|has an array of dtype 'O8')") as error:
    official_files.read_arrays(path)
  assert not mark.exists() and "nothing was run" in str(error.value)
  joblib.load(path)
  assert mark.exists()  # So the file was a threat indeed.


@pytest.mark.parametrize("name", ["os.system", "posix.system", "builtins.eval", "__builtin__.eval",
                                  "numpy.load", "numpy.core.multiarray.fromfile", "joblib.load",
                                  "joblib.numpy_pickle.os.system", "copy_reg._reconstructor"])
def test_names_are_refused_as_they_are_met(tmp_path: pathlib.Path, name: str) -> None:
  module, _, function = name.rpartition(".")
  mark = tmp_path / "mark"
  call = f"c{module}\n{function}\n(V touch {mark}\ntR.".encode()
  (tmp_path / "a.jl").write_bytes(b"\x80\x02" + call)
  with pytest.raises(ValueError, match=f"asks for {name}"):
    official_files.read_arrays(tmp_path / "a.jl")
  dotted = pickle.PROTO + b"\x04" + b"".join(
      pickle.SHORT_BINUNICODE + bytes([len(word)]) + word.encode() for word in (module, function)
  ) + pickle.STACK_GLOBAL + b")R."
  (tmp_path / "a.jl").write_bytes(dotted)
  with pytest.raises(ValueError, match=f"asks for {name}"):
    official_files.read_arrays(tmp_path / "a.jl")
  assert not mark.exists()


def test_the_reader_s_own_classes_cannot_be_changed(tmp_path: pathlib.Path) -> None:
  """BUILD on a class, instead of on one of its instances, would set attributes of it."""
  for name in ("numpy\nndarray", "_codecs\nencode", "numpy\ndtype",
               "numpy.core.multiarray\n_reconstruct", "numpy.core.multiarray\nscalar",
               "joblib.numpy_pickle\nNDArrayWrapper", "joblib.numpy_pickle\nNumpyArrayWrapper"):
    content = b"\x80\x02c" + name.encode() + b"\nN}U\x05arrayK\x01s\x86b."
    assert [op.name for op, *_ in pickletools.genops(content)][-2] == "BUILD"
    (tmp_path / "a.jl").write_bytes(content)
    with pytest.raises(ValueError, match="sets what has no state|is damaged or not of joblib"):
      official_files.read_arrays(tmp_path / "a.jl")
  joblib.dump(ARRAYS, tmp_path / "a.jl")
  assert_read(tmp_path / "a.jl")


def test_files_of_other_things(tmp_path: pathlib.Path) -> None:
  path = tmp_path / "a.jl"
  for content, said in (
      ({"a": ARRAYS[0]}, "holds a dict"), ([ARRAYS[0], "text"], "holds a str as array 1"),
      (ARRAYS[0], "holds a lone array"), ([np.array(["a"])], "has an array of dtype 'U1'"),
      ([np.zeros(2, [("a", "f4")])], "has an array of dtype 'V4'"),
  ):
    joblib.dump(content, path)
    with pytest.raises(ValueError, match=f"a.jl {said}, but a list of arrays was expected"):
      official_files.read_arrays(path)


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3)])
def test_damaged_files(tmp_path: pathlib.Path, compress: Any) -> None:
  path = tmp_path / "a.jl"
  joblib.dump([np.random.RandomState(0).rand(500)] * 2, path, compress=compress)
  content = path.read_bytes()
  for cut in (0, 1, 30, len(content) // 2, len(content) - 1):
    path.write_bytes(content[:cut])
    with pytest.raises(ValueError, match="a.jl (is damaged|ends within an array)"):
      official_files.read_arrays(path)
  path.write_bytes(b"not a pickle at all")
  with pytest.raises(ValueError, match="a.jl is damaged or not of joblib"):
    official_files.read_arrays(path)


def test_a_length_that_lies(tmp_path: pathlib.Path) -> None:
  length = b"0x10".ljust(official_files.ZFILE_LENGTH)
  (tmp_path / "a.jl").write_bytes(b"ZF" + length + zlib.compress(b"no"))
  with pytest.raises(ValueError, match="is 2 bytes long, and not 16"):
    official_files.read_arrays(tmp_path / "a.jl")


def test_missing_files(tmp_path: pathlib.Path) -> None:
  with pytest.raises(FileNotFoundError, match="There is no file .*a.jl: --params names"):
    official_files.read_arrays(tmp_path / "a.jl")

"""Tests of the folder of a result: replaced whole, never half, and nobody else's files lost."""

import json
import pathlib

import pytest

from bigan_jax.runs import results

CONFIG = {"job": "linear_probe", "seed": 0}
NAMES = ("results.*", "tables")


def write(path: pathlib.Path, number: int, seed: int = 0) -> None:
  with results.replacing(str(path), CONFIG | {"seed": seed}, NAMES) as folder:
    (folder / "tables").mkdir()
    (folder / "tables" / f"{number}.csv").write_text("a")
    results.write_json(folder, {"number": number})


def names(path: pathlib.Path) -> set[str]:
  return {str(p.relative_to(path)) for p in path.rglob("*")}


def test_a_result_is_replaced_whole(tmp_path: pathlib.Path) -> None:
  for number in (1, 2):
    write(tmp_path / "out", number)
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == {"number": number}
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == CONFIG
    assert names(tmp_path / "out") == {
        "config.json", "results.json", "tables", f"tables/{number}.csv"
    }
  assert names(tmp_path) == {"out"} | {f"out/{name}" for name in names(tmp_path / "out")}


def test_an_error_leaves_the_old_result_or_nothing(tmp_path: pathlib.Path) -> None:
  def fail() -> None:
    with results.replacing(str(tmp_path / "out"), CONFIG, NAMES) as folder:
      results.write_json(folder, {"number": 2})
      raise RuntimeError("in the middle")
  with pytest.raises(RuntimeError, match="in the middle"):
    fail()
  assert not (tmp_path / "out").exists()
  write(tmp_path / "out", 1)
  before = names(tmp_path)
  with pytest.raises(RuntimeError, match="in the middle"):
    fail()
  assert names(tmp_path) == before
  assert json.loads((tmp_path / "out" / "results.json").read_text()) == {"number": 1}


def test_an_empty_folder_will_do(tmp_path: pathlib.Path) -> None:
  write(tmp_path, 1)
  assert (tmp_path / "results.json").exists()


@pytest.mark.parametrize("file, content, message", [
    ("config.json", '{"job": "train"}', "is the run folder of a job 'train', not 'linear_probe'"),
    ("config.json", "{", "is damaged"),
    ("notes.txt", "", "no config.json but other files"),
])
def test_the_folder_of_something_else_is_refused(
    tmp_path: pathlib.Path, file: str, content: str, message: str
) -> None:
  (tmp_path / file).write_text(content)
  with pytest.raises(ValueError, match=message):
    write(tmp_path, 1)
  assert names(tmp_path) == {file} and (tmp_path / file).read_text() == content


def test_the_result_of_other_settings_is_refused(tmp_path: pathlib.Path) -> None:
  write(tmp_path / "out", 1)
  with pytest.raises(ValueError, match="another configuration: seed is 0 there and 5 here; give"):
    write(tmp_path / "out", 2, seed=5)
  assert json.loads((tmp_path / "out" / "results.json").read_text()) == {"number": 1}
  results.check(str(tmp_path / "out"), CONFIG | {"data_dir": "elsewhere"}, NAMES)
  results.check(str(tmp_path / "out"), CONFIG | {"data": {"accept_change": True}}, NAMES)


def test_other_files_beside_a_result_are_not_lost(tmp_path: pathlib.Path) -> None:
  write(tmp_path / "out", 1)
  (tmp_path / "out" / "notes.txt").write_text("mine")
  with pytest.raises(ValueError, match="holds notes.txt beside an older result"):
    write(tmp_path / "out", 2)
  assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_a_note_that_is_put_there_meanwhile_is_not_lost(tmp_path: pathlib.Path) -> None:
  write(tmp_path / "out", 1)
  with pytest.raises(FileExistsError, match="out is there already: choose another"):
    with results.replacing(str(tmp_path / "out"), CONFIG, NAMES):
      (tmp_path / "out" / "notes.txt").write_text("mine")
  assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_what_a_file_browser_left_there_is_no_file_of_anybody(tmp_path: pathlib.Path) -> None:
  write(tmp_path / "out", 1)
  (tmp_path / "out" / ".DS_Store").touch()
  write(tmp_path / "out", 2)
  assert json.loads((tmp_path / "out" / "results.json").read_text()) == {"number": 2}


def test_an_address_is_refused() -> None:
  with pytest.raises(ValueError, match="gs://bucket/out is not a local path"):
    with results.replacing("gs://bucket/out", CONFIG, NAMES):
      pass


def test_tables(tmp_path: pathlib.Path) -> None:
  results.write_csv(tmp_path / "t.csv", [{"a": 1, "b": None}, {"a": "x,y", "b": 0.5}])
  assert (tmp_path / "t.csv").read_text().split() == ["a,b", "1,", '"x,y",0.5']
  assert results.markdown([{"a": "1", "b": "2"}]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"

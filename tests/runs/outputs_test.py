"""Outputs appear whole or not at all, and nobody's files are replaced unasked."""

import pathlib

import pytest

from bigan_jax.runs import outputs


def names(folder: pathlib.Path) -> list[str]:
  return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_at_the_end(tmp_path: pathlib.Path) -> None:
  path = tmp_path / "new" / "a.txt"
  with outputs.new_file(path) as scratch:
    scratch.write_text("whole")
    assert not path.exists()
  assert path.read_text() == "whole" and names(path.parent) == ["a.txt"]


def test_an_error_leaves_nothing(tmp_path: pathlib.Path) -> None:
  with pytest.raises(ZeroDivisionError):
    with outputs.new_file(tmp_path / "a.txt") as scratch:
      scratch.write_text("half")
      raise ZeroDivisionError
  with pytest.raises(ZeroDivisionError):
    with outputs.new_folder(tmp_path / "a") as scratch:
      (scratch / "b").write_text("half")
      raise ZeroDivisionError
  assert not names(tmp_path)


def test_what_a_kill_left_is_in_nobodys_way(tmp_path: pathlib.Path) -> None:
  killed = outputs.new_folder(tmp_path / "a")
  killed.__enter__()  # and never left
  with outputs.new_folder(tmp_path / "a") as scratch:
    (scratch / "b").write_text("whole")
  assert names(tmp_path / "a") == ["b"]


def test_a_file_is_replaced_by_force_alone(tmp_path: pathlib.Path) -> None:
  path = tmp_path / "a.txt"
  path.write_text("old")
  with pytest.raises(FileExistsError, match="a.txt is there already: add --force"):
    with outputs.new_file(path):
      pass
  with outputs.new_file(path, force=True) as scratch:
    scratch.write_text("new")
  assert path.read_text() == "new"
  with pytest.raises(FileExistsError, match="already: choose another"):
    with outputs.new_file(tmp_path, force=True):
      pass


def test_a_folder_is_replaced_by_force_if_it_is_ours(tmp_path: pathlib.Path) -> None:
  folder = tmp_path / "out"
  folder.mkdir()
  (folder / "ours").write_text("old")
  ours = outputs.only("ours", "others of ours")
  with pytest.raises(FileExistsError, match="add --force"):
    with outputs.new_folder(folder, False, ours):
      pass
  with outputs.new_folder(folder, True, ours) as scratch:
    (scratch / "new").touch()
    assert names(folder) == ["ours"]
  assert names(folder) == ["new"] and names(tmp_path) == ["out"]
  with pytest.raises(FileExistsError, match="already: choose another"):
    with outputs.new_folder(folder, True, ours):
      pass
  assert names(folder) == ["new"]


def test_what_others_wrote_meanwhile_stays(tmp_path: pathlib.Path) -> None:
  page, folder, ours = tmp_path / "a.html", tmp_path / "out", outputs.only("a")
  with pytest.raises(FileExistsError, match="a.html is there already: add --force"):
    with outputs.new_file(page):
      page.write_text("mine")
  for force in (False, True):
    with pytest.raises(FileExistsError, match="out is there already: choose another"):
      with outputs.new_folder(folder, force, ours):
        folder.mkdir(exist_ok=True)
        (folder / "notes.txt").write_text("mine")
    assert "notes.txt" in names(folder)
    (folder / "notes.txt").rename(folder / "a")
  assert page.read_text() == "mine" and names(tmp_path) == ["a.html", "out"]


def test_the_folder_that_one_is_in_stays(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  (tmp_path / "in").mkdir()
  monkeypatch.chdir(tmp_path / "in")
  for path in (".", ".."):
    with pytest.raises(OSError, match="is the folder that you are in, or above it: name another"):
      with outputs.new_folder(pathlib.Path(path), True, lambda path: True):
        pass


def test_what_file_browsers_leave_is_in_nobodys_way(tmp_path: pathlib.Path) -> None:
  folder, ours = tmp_path / "out", outputs.only("a")
  folder.mkdir()
  for litter in outputs.LITTER:
    (folder / litter).touch()
  for force in (False, True):
    with outputs.new_folder(folder, force, ours) as scratch:
      (scratch / "a").touch()
    assert names(folder) == ["a"] and ours(folder)
    (folder / ".DS_Store").touch()


def test_an_empty_folder_is_filled(tmp_path: pathlib.Path) -> None:
  (tmp_path / "out").mkdir()
  with outputs.new_folder(tmp_path / "out") as scratch:
    (scratch / "a").touch()
  assert names(tmp_path / "out") == ["a"]


def test_links_stay_and_what_they_point_to_is_written(tmp_path: pathlib.Path) -> None:
  folder, file = tmp_path / "folder", tmp_path / "file"
  for place in (folder, file):
    (tmp_path / f"link to {place.name}").symlink_to(place)
  folder.mkdir()
  for name in "ab":  # into an empty folder, then in the place of an older one
    with outputs.new_folder(tmp_path / "link to folder", True, lambda path: True) as scratch:
      (scratch / name).touch()
    with outputs.new_file(tmp_path / "link to file", force=True) as scratch:
      scratch.write_text(name)
    assert names(folder) == [name] and file.read_text() == name
  assert names(tmp_path) == ["file", "folder", "link to file", "link to folder"]
  assert (tmp_path / "link to folder").is_symlink() and (tmp_path / "link to file").is_symlink()


def test_a_folder_that_cannot_be_replaced_is_refused_before_the_work(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  """Of a container, where a disk is mounted."""
  monkeypatch.setattr(pathlib.Path, "is_mount", lambda path: path == tmp_path)
  with pytest.raises(OSError, match=r"is where a disk is mounted, .*: name a folder in it\."):
    with outputs.new_folder(tmp_path):
      pytest.fail("the work began")
  with outputs.new_folder(tmp_path / "out"):
    pass


def test_what_cannot_be_written_is_a_sentence(tmp_path: pathlib.Path) -> None:
  (tmp_path / "file").touch()
  with pytest.raises(OSError, match=r"file/a cannot be written \(.*\): choose another"):
    with outputs.new_file(tmp_path / "file" / "a"):
      pass

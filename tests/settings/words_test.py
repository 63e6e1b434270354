"""Tests of flags in any order, and of configs in every form that people type."""

import pathlib

import pytest

from bigan_jax.settings import words

ROOT = pathlib.Path(__file__).parents[2]
DIGITS = f"{ROOT}/configs/digits.py"
SWITCHES = ("distributed", "config.data.flip", "noconfig.data.flip", "help")


def arrange(*typed: str) -> list[str]:
  return words.arrange(typed, SWITCHES.__contains__)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("typed", [
    ["--config=digits", "--workdir=a b", "--config.epochs=3"],
    ["--workdir=a b", "--config.epochs=3", "--config=digits"],
    ["--workdir", "a b", "--config.epochs", "3", "--config", "digits"],
    ["-workdir=a b", "-config.epochs=3", "-config=digits"],
    ["-workdir", "a b", "--config.epochs=3", "-config", "configs/digits"],
])
def test_order_and_form_make_no_difference(typed: list[str]) -> None:
  assert arrange(*typed) == [f"--config={DIGITS}", "--workdir=a b", "--config.epochs=3"]


def test_other_words_stay_what_they_are() -> None:
  typed = ["--config.data.flip", "--noconfig.data.flip", "--distributed", "run", "--config.x=", "-",
           "--config.seed=-1", "--", "--config.y=--z"]
  assert arrange(*typed) == typed
  assert arrange("--config.seed", "-1") == ["--config.seed=-1"]


@pytest.mark.parametrize("form", [
    "digits", "digits.py", "configs/digits", "configs/digits.py", "./configs/digits.py",
    "bigan_jax/configs/digits.py",
])
@pytest.mark.parametrize("rest", ["", ":", ":gan", ":gan,recipe=official,batch=256"])
def test_the_package_s_configs_are_found_from_anywhere(form: str, rest: str) -> None:
  assert words.find_config(form + rest) == DIGITS + rest


def test_a_file_of_one_s_own_comes_first(tmp_path: pathlib.Path) -> None:
  (tmp_path / "digits").mkdir()
  assert words.find_config("digits") == DIGITS  # A folder is no config.
  (tmp_path / "digits.py").touch()
  (tmp_path / "my configs").mkdir()
  (tmp_path / "my configs" / "one.py").touch()
  for form in ("digits", "digits.py"):
    assert words.find_config(f"{form}:gan") == "digits.py:gan"
  for form in ("my configs/one", "my configs/one.py", f"{tmp_path}/my configs/one"):
    assert words.find_config(form) == f"{form.removesuffix('.py')}.py"


def test_a_config_is_found_in_an_installed_package(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  package = tmp_path / "site-packages" / "bigan_jax"
  for folder in (package / "configs", package.parent / "configs"):  # The latter is somebody's.
    folder.mkdir(parents=True)
    (folder / "mnist.py").touch()
  monkeypatch.setattr(words, "__file__", str(package / "settings" / "words.py"))
  assert words.find_config("configs/mnist.py") == f"{package}/configs/mnist.py"


@pytest.mark.parametrize("typed, sentence", [
    (["--config=configs/digts.py:gan"], r"configs/digts.py: did you mean 'digits'\? choose from"),
    (["--config=nope/digits.py"], "There is no config nope/digits.py"),
    (["--config=/digits"], "There is no config /digits"),
    (["--config=folder"], "--config=folder: folder is a folder; "),
    (["--config=notes.txt"], "--config=notes.txt: notes.txt is no Python file; choose"),
    (["--config=.."], r"--config=\.\.: \.\. is a folder"),
    (["--config=/"], "--config=/: / is a folder"),
    (["--config="], "--config= names no file: write --config=NAME"),
    (["--config", ""], "--config= names no file"),
    (["--config=:gan"], "--config=:gan names no file"),
    (["--workdir=x", "--config"], "--config has no value: write --config=VALUE"),
    (["--config", "--workdir=x"], "--config has no value"),
    (["--config.epochs", "--workdir=x"], "--config.epochs has no value"),
    (["--workdir"], "--workdir has no value"),
    (["--config=digits", "-config", "mnist"], "--config is given twice, as digits and as mnist"),
])
def test_what_cannot_be_is_a_sentence(
    typed: list[str], sentence: str, tmp_path: pathlib.Path
) -> None:
  (tmp_path / "folder").mkdir()
  (tmp_path / "notes.txt").touch()
  with pytest.raises((ValueError, FileNotFoundError), match=sentence):
    arrange(*typed)


@pytest.mark.parametrize("typed, found", [
    (["--config.epochs=3", "--config", "digits:gan"], f"{DIGITS}:gan"),
    (["-config=digits"], DIGITS), (["--config.epochs=3"], None), (["--config"], ""),
])
def test_the_config_among_words(typed: list[str], found: str | None) -> None:
  assert words.config_among(typed) == found

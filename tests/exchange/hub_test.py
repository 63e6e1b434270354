"""The Hub: pushed, loaded, pushed again, refused; its own client, a server on loopback."""

from collections.abc import Callable, Iterator
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import yaml

import bigan_jax
from bigan_jax import export
from bigan_jax.exchange import hub
from tests.exchange import hub_server
from tests.exchange.hub_server import Hub

NAME = "ada/digits"
FORMATS = ("safetensors",)
LLAMA = {"config.json": b'{"model_type": "llama"}', "model.safetensors": b"many gigabytes"}


def _forget() -> dict:
  """Takes the client out of the modules that are there: it reads its settings when imported."""
  ours = [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]
  return {name: sys.modules.pop(name) for name in ours}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
  before = _forget()
  with hub_server.serve() as found, pytest.MonkeyPatch.context() as patch:
    patch.setenv("HF_ENDPOINT", found.url)
    patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
    patch.setenv("HF_TOKEN", hub_server.TOKEN)
    patch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE"):
      patch.delenv(name, raising=False)
    yield found
  _forget()
  sys.modules.update(before)


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, tiny: Callable, saved_run: Callable
) -> pathlib.Path:
  path, config = tmp_path_factory.mktemp("run"), tiny()
  config.data.path, config.data_dir = "/home/ada/pictures", "/home/ada/sets"
  saved_run(config, path)
  return path


def push(run: pathlib.Path, name: str, private: bool = False) -> str:
  return export.export(str(run), None, FORMATS, license="mit", push=name, private=private)


@pytest.fixture(scope="module")
def pushed(server: Hub, run: pathlib.Path) -> str:
  """The address of a commit."""
  return push(run, NAME, private=True)


def code(model: bigan_jax.exchange.loaded.Model) -> np.ndarray:
  return np.asarray(model.E(np.ones((1, 8, 8, 1), np.float32))[0])


def test_what_is_pushed_can_be_loaded(server: Hub, run: pathlib.Path, pushed: str) -> None:
  there = server.repositories[NAME]
  assert there.private and pushed.endswith(there.refs["main"])
  assert there.messages[1:] == ["bigan (paper), 10 updates"]
  files = there.commits[there.refs["main"]]
  assert set(files) == {
      ".gitattributes", "README.md", "config.json", "model.safetensors", "samples.png"}
  assert b"/home/ada" not in b"".join(files.values())
  config = json.loads(files["config.json"])
  assert config["library_name"] == "bigan_jax" and config["config"]["objective"] == "bigan"
  model = bigan_jax.load(f"hf://{NAME}")
  np.testing.assert_array_equal(code(model), code(bigan_jax.load(str(run))))
  assert model.step == 10 and model.D(np.ones((1, 8, 8, 1)), np.ones((1, 5)))[0].shape == (1,)


def test_a_program_that_only_loads(server: Hub, pushed: str) -> None:
  _forget()  # Who pushes has more of the client imported.
  assert hub.folder(f"hf://{NAME}").endswith(pushed.rpartition("/")[2])
  _forget()
  with pytest.raises(FileNotFoundError, match="There is no hf://ada/nothing that this token may"):
    hub.folder("hf://ada/nothing")


def test_the_card_is_what_the_hub_reads(server: Hub, pushed: str) -> None:
  import huggingface_hub

  there = server.repositories[NAME]
  text = there.commits[there.refs["main"]]["README.md"].decode()
  card = huggingface_hub.ModelCard(text)
  assert card.data.license == "mit" and card.data.library_name == "bigan_jax"
  assert "arxiv:1605.09782" in card.data.tags and card.data.metrics == ["accuracy"]
  first, second = card.data.eval_results
  assert (first.metric_type, first.metric_value) == ("accuracy", 91.5)
  assert second.metric_name.startswith("EGr: ") and first.dataset_name == "digits"
  assert f'bigan_jax.load("hf://{NAME}")' in text and "](samples.png)" in text
  assert yaml.safe_load(text.split("---\n")[1])["pipeline_tag"] == "image-feature-extraction"


def test_another_push_to_a_branch(server: Hub, run: pathlib.Path, pushed: str, tiny: Callable,
                                  saved_run: Callable, tmp_path: pathlib.Path) -> None:
  there = server.repositories[NAME]
  main = there.refs["main"]
  there.commits[main]["encoder.onnx"] = b"of before"
  there.commits[main]["notes.txt"] = b"of the owner"
  saved_run(tiny(), tmp_path / "run", 20)
  push(tmp_path / "run", f"hf://{NAME}@longer")
  assert there.refs["main"] == main and len(there.messages) == 3
  files = there.commits[there.refs["longer"]]
  assert "encoder.onnx" not in files and "notes.txt" in files
  assert bigan_jax.load(f"hf://{NAME}@longer").step == 20
  assert bigan_jax.load(f"hf://{NAME}").step == 10
  push(run, f"{NAME}@longer")  # The branch is there by now.
  assert bigan_jax.load(f"hf://{NAME}@longer").step == 10


def test_a_revision_is_a_commit_too(server: Hub, pushed: str) -> None:
  assert bigan_jax.load(f"hf://{NAME}@{pushed.rpartition('/')[2]}").step == 10
  with pytest.raises(FileNotFoundError, match="hf://ada/digits has no revision 'v9': name a"):
    bigan_jax.load(f"hf://{NAME}@v9")


def test_a_wrong_token(server: Hub, run: pathlib.Path, pushed: str,
                       monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setenv("HF_TOKEN", "hf_wrong")
  said = "The Hub refuses the token for hf://ada/new: log in by `hf auth login`"
  with pytest.raises(OSError, match=said):
    push(run, "ada/new")
  with pytest.raises(OSError, match=said):
    bigan_jax.load("hf://ada/new")
  monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
  with pytest.raises(FileNotFoundError, match="There is no hf://ada/new that this token may see"):
    bigan_jax.load("hf://ada/new")
  assert "ada/new" not in server.repositories


def test_offline_the_cache_is_read(server: Hub, run: pathlib.Path, pushed: str,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
  from huggingface_hub import constants

  bigan_jax.load(f"hf://{NAME}")
  monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
  assert bigan_jax.load(f"hf://{NAME}").step == 10
  with pytest.raises(OSError, match=r"The Hub could not do it \(.*\): try again, or check the"):
    push(run, NAME)
  monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
  assert bigan_jax.load(f"hf://{NAME}").step == 10
  with pytest.raises(OSError, match="hf://ada/new is not in the cache, and the Hub cannot be"):
    bigan_jax.load("hf://ada/new")
  with pytest.raises(OSError, match="is not to be reached offline: unset HF_HUB_OFFLINE"):
    push(run, NAME)


def test_without_the_extra(run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setitem(sys.modules, "huggingface_hub", None)
  said = r"The Hub needs the package huggingface_hub: pip install '.\[hub\]'"
  with pytest.raises(ImportError, match=said):
    bigan_jax.load(f"hf://{NAME}")
  with pytest.raises(ImportError, match=said):
    push(run, NAME)


def test_repositories_of_something_else_stay(server: Hub, run: pathlib.Path, pushed: str) -> None:
  server.repositories["ada/llama"] = hub_server.repository(files=LLAMA)
  server.repositories["ada/empty"] = hub_server.repository()
  for name in ("ada/llama", "ada/empty"):
    with pytest.raises(ValueError, match=f"hf://{name} is no model of bigan_jax: name one that"):
      bigan_jax.load(f"hf://{name}")
  with pytest.raises(ValueError, match="hf://ada/llama is no model of bigan_jax"):
    push(run, "ada/llama")
  with pytest.raises(ValueError, match="ada/empty is public already: make it private on the Hub"):
    push(run, "ada/empty", private=True)
  assert all(len(server.repositories[name].commits) == 1 for name in ("ada/llama", "ada/empty"))
  push(run, "ada/empty")
  assert bigan_jax.load("hf://ada/empty").step == 10


@pytest.mark.parametrize("name", ["digits", "ada/digits@", "ada/digits/more", "hf://", "ada/ü"])
def test_names(name: str, run: pathlib.Path) -> None:
  with pytest.raises(ValueError, match="is no name on the Hub: write USER/NAME"):
    push(run, name)
  with pytest.raises(ValueError, match="--private is of --push: say where to push"):
    export.export(str(run), "out", FORMATS, private=True)
  assert str(hub.place("ada/digits@refs/pr/1")) == "hf://ada/digits@refs/pr/1"


def test_the_command_line(server: Hub, run: pathlib.Path, tmp_path: pathlib.Path,
                          forked_python: pathlib.Path) -> None:
  out = tmp_path / "out"
  def call(*flags: str) -> subprocess.CompletedProcess:
    command = [forked_python, "-m", "bigan_jax.export", f"--workdir={run}",
               "--format=safetensors", *flags]
    return subprocess.run(command, timeout=120, capture_output=True, text=True)
  done = call(f"--out={out}", "--push=ada/cli", "--private")
  assert done.returncode == 0, done.stderr
  first, second = done.stdout.splitlines()
  assert first.startswith(f"Wrote {out}") and second.startswith("Pushed https://huggingface.co/ada/cli/commit/")
  assert server.repositories["ada/cli"].private and bigan_jax.load(str(out)).step == 10
  failed = call()
  assert failed.returncode == 1
  assert failed.stderr == "export.py: --out is missing: write --out=FOLDER, or --push=USER/NAME.\n"

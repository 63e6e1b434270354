"""Features of a folder: every readable picture's, in order, exactly the network's own."""

from collections.abc import Callable
import json
import os
import pathlib
import subprocess
import types

import jax
import ml_collections
import numpy as np
from PIL import Image
import pyarrow.parquet
import pytest

import bigan_jax
from bigan_jax import features
from bigan_jax.models import latents
from tests.exchange.exported_test import convolutional

COUNT = 13


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, tiny: Callable, saved_run: Callable
           ) -> features.loaded.Model:
  run = tmp_path_factory.mktemp("run")
  saved_run(tiny(), run / "digits")
  return bigan_jax.load(str(run / "digits"))


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
  """COUNT pictures of unequal sizes, two files that are none, and one that is not asked for."""
  root, rs = tmp_path / "pictures", np.random.RandomState(0)
  for i in range(COUNT):
    path = root / ("even" if i % 2 == 0 else "") / f"{i:02d}.{'jpg' if i % 3 else 'png'}"
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rs.randint(0, 256, (10 + i, 30 - i, 3)).astype(np.uint8)
    Image.fromarray(pixels).resize((60 - i, 50)).save(path)
  (root / "broken.jpg").write_bytes((root / "01.jpg").read_bytes()[:200])
  (root / "even" / "text.png").write_text("not a picture")
  (root / "notes.txt").write_text("ignored")
  return root


def task(model: features.loaded.Model, folder: pathlib.Path, **changes: object) -> features.Task:
  out = folder.parent / "out.npz"
  return features.Task(model, str(folder), model.feature_layer, out, None, False, 2)._replace(
      **changes)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(features.blocks, "BLOCK", 4)


def rows(path: pathlib.Path) -> dict[str, np.ndarray]:
  with np.load(path, allow_pickle=False) as found:
    return dict(found)


def test_every_picture_s_features(digits: features.loaded.Model, folder: pathlib.Path) -> None:
  done, skipped = features.describe_folder(task(digits, folder))
  assert done == COUNT
  assert dict(skipped) == {"broken.jpg": "cannot be decoded", "even/text.png": "cannot be decoded"}
  found = rows(folder.parent / "out.npz")
  readable = [n for n in features.folders.scan(str(folder)).pictures if n not in dict(skipped)]
  assert found["files"].tolist() == readable and len(readable) == COUNT
  pictures = [features.files.read(str(folder / name), digits.view) for name in readable]
  code, layers = digits.E(np.float32(pictures) / 255)
  np.testing.assert_allclose(found["code"], code, atol=1e-5)
  np.testing.assert_allclose(found["features"], layers["fc2"], rtol=1e-5, atol=1e-5)
  about = json.loads(str(found["about"]))
  assert about["layer"] == "fc2" and about["shape"] == [16] and about["view"]["edge"] == 8


def test_another_layer_into_parquet(digits: features.loaded.Model, folder: pathlib.Path) -> None:
  out = folder.parent / "out.parquet"
  features.describe_folder(task(digits, folder))
  features.describe_folder(task(digits, folder, layer="logits", out=out))
  table, found = pyarrow.parquet.read_table(out), rows(folder.parent / "out.npz")
  assert table["file"].to_pylist() == found["files"].tolist()
  logits = np.stack(table["features"].to_numpy())
  np.testing.assert_allclose(np.tanh(logits / 2), found["code"], atol=1e-5)


def test_names_of_any_bytes_and_pictures_of_other_kinds(
    digits: features.loaded.Model, tmp_path: pathlib.Path
) -> None:
  inner = tmp_path / "in" / os.fsdecode(b"caf\xe9")
  inner.mkdir(parents=True)
  for name in ("a.gif", "b.tif"):
    Image.new("L", (9, 9), 7).save(inner / name)
  (inner / "c.svg").touch()
  os.mkfifo(inner / "d.png")
  for out in (tmp_path / "f.npz", tmp_path / "f.parquet"):
    done, left = features.describe_folder(task(digits, tmp_path / "in", out=out))
    assert done == 2 and [kind for _, kind in left] == [".svg", "pipes or devices"]
  names = ["caf\\xe9/a.gif", "caf\\xe9/b.tif"]
  assert pyarrow.parquet.read_table(out)["file"].to_pylist() == names
  assert rows(tmp_path / "f.npz")["files"].tolist() == names
  with pytest.raises(ValueError, match="no pictures .*; left out: 1 .svg.*: name another"):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "c.svg").touch()
    features.describe_folder(task(digits, tmp_path / "none"))


def test_layers_by_the_names_of_probes_and_metrics(digits: features.loaded.Model) -> None:
  names = ("e-", "fc2", "e", "logits", "fc1")
  found = [features.find_layer(digits, name) for name in names]
  assert found == ["fc2", "fc2", "logits", "logits", "fc1"]
  with pytest.raises(ValueError, match="Unknown layer 'fe-': did you mean 'e-'. choose .*, e-, e"):
    features.find_layer(digits, "fe-")


def small_convolutional() -> ml_collections.ConfigDict:
  config = convolutional("paper")
  config.model.E.widths = (2, 2, 2, 2, 2)
  return config


def test_reconstructions_of_a_generalised_bigan(
    tmp_path: pathlib.Path, folder: pathlib.Path, saved_run: Callable
) -> None:
  """E sees 40 pixels, G makes 16."""
  saved_run(small_convolutional(), tmp_path / "run")
  model = bigan_jax.load(str(tmp_path / "run"))
  pairs = tmp_path / "pairs"
  features.describe_folder(task(model, folder, out=None, reconstruct=pairs))
  written = sorted(str(path.relative_to(pairs)) for path in pairs.rglob("*.png"))
  assert len(written) == COUNT and "even/02.jpg.png" in written and features.is_pairs(pairs)
  enlarged = np.asarray(Image.open(pairs / "even" / "02.jpg.png"))
  assert enlarged.shape == (36 + 19 * 16, 19 * 33, 3)  # A title, and at least 600 pixels.
  pixels = enlarged[36::19, ::19]
  np.testing.assert_array_equal(features.pictures.titled(pixels, features.PAIR), enlarged)
  picture = features.files.read(str(folder / "even" / "02.jpg"), model.view)
  small = np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.LANCZOS))
  assert np.abs(np.int32(pixels[:, :16]) - small).max() <= 1
  back = model.G(model.E(picture[None] / np.float32(127.5) - 1)[0])[0]
  assert np.abs(pixels[:, 17:] - 127.5 * (np.asarray(back) + 1)).max() <= 1


def test_samples(digits: features.loaded.Model, tmp_path: pathlib.Path) -> None:
  features.sample(digits, 6, 0, tmp_path / "a")
  features.sample(digits, 6, 1, tmp_path / "b")
  *names, sheet = sorted(path.name for path in (tmp_path / "a").iterdir())
  assert names == [f"{i:06d}.png" for i in range(6)] and sheet == features.SHEET
  a, b = (np.stack([np.asarray(Image.open(tmp_path / f / n)) for n in names]) for f in "ab")
  assert a.shape == (6, 8, 8) and (a != b).any()
  assert len({picture.tobytes() for picture in a}) == 6
  shown = features.pictures.titled(features.pictures.grid(a[..., None], 6), "G(z), step 10, seed 0")
  assert Image.open(tmp_path / "a" / sheet).width == 636
  np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a" / sheet)), shown[:, :, 0])
  key = jax.random.fold_in(jax.random.PRNGKey(0), 4)
  fifth = digits.G(latents.sample(key, 4, 5))[0, :, :, 0]
  assert np.abs(a[4] - 255 * np.asarray(fifth)).max() <= 0.51
  with pytest.raises(FileExistsError, match="add --force"):
    features.sample(digits, 6, 0, tmp_path / "a")
  features.sample(digits, 2, 0, tmp_path / "a", force=True)
  assert len(list((tmp_path / "a").iterdir())) == 3


def test_outputs_are_not_replaced_unasked(digits: features.loaded.Model, folder: pathlib.Path
                                          ) -> None:
  out = folder.parent / "out.npz"
  out.write_text("precious")
  with pytest.raises(FileExistsError, match="out.npz is there already: add --force"):
    features.describe_folder(task(digits, folder))
  assert out.read_text() == "precious"
  features.describe_folder(task(digits, folder, force=True))
  assert len(rows(out)["files"]) == COUNT
  before = sorted(folder.rglob("*"))
  for reconstruct in (folder, folder.parent):
    with pytest.raises(ValueError, match="holds the pictures of --images: choose another"):
      features.describe_folder(task(digits, folder, reconstruct=reconstruct, force=True))
  with pytest.raises(ValueError, match="lies among the pictures of --images"):
    features.describe_folder(task(digits, folder, reconstruct=folder / "pairs", force=True))
  assert sorted(folder.rglob("*")) == before
  mine = folder.parent / "mine"  # Pictures of somebody's own, that are no outputs.
  mine.mkdir()
  Image.new("L", (9, 9)).save(mine / "000001.png")
  for write in (lambda: features.sample(digits, 2, 0, mine, force=True), lambda:
                features.describe_folder(task(digits, folder, reconstruct=mine, force=True))):
    with pytest.raises(FileExistsError, match="mine is there already: choose another"):
      write()
  assert [path.name for path in mine.iterdir()] == ["000001.png"]


def test_folders_and_flags_that_cannot_be(digits: features.loaded.Model, folder: pathlib.Path,
                                          tmp_path: pathlib.Path) -> None:
  def describe(**changes: object) -> None:
    features.describe_folder(task(digits, folder, **changes))
  (tmp_path / "empty").mkdir()
  with pytest.raises(FileNotFoundError, match="There is no folder '/nowhere': --images"):
    describe(images="/nowhere")
  with pytest.raises(ValueError, match=r"empty holds no pictures \(.jpg, .*name another"):
    describe(images=str(tmp_path / "empty"))
  (tmp_path / "empty" / "a.jpg").write_text("nothing")
  with pytest.raises(ValueError, match="None of the pictures in .*empty can be read"):
    describe(images=str(tmp_path / "empty"))
  with pytest.raises(ValueError, match="Unknown layer 'fc3': did you mean 'fc"):
    describe(layer="fc3")
  with pytest.raises(ValueError, match="out.csv is no name of a .npz or .parquet file"):
    describe(out=tmp_path / "out.csv")
  assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "pictures"]


def test_what_may_be_asked_for(monkeypatch: pytest.MonkeyPatch, digits: features.loaded.Model,
                               folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
  names = dict.fromkeys((*features.TASKS, "out", "layer", "reconstruct", "force"))
  def call(**given: object) -> None:
    values = names | {"model": "RUN", "step": "latest", "seed": 0} | given
    monkeypatch.setattr(features.flags, "FLAGS", types.SimpleNamespace(**values))
    features.main([])
  monkeypatch.setattr(features.loaded, "load", lambda *place: digits)
  one, two, out = str(folder / "01.jpg"), str(folder / "03.png"), str(tmp_path / "out")
  call(interpolate=[one, two], out=f"{out}/walk.png")
  call(project=one, out=f"{out}/z")
  call(neighbours=str(folder), sample=3, out=f"{out}/near")
  call(sample=3, out=f"{out}/samples")
  call(images=str(folder), out=f"{out}/e.npz")
  assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
      "e.npz", "e.npz.skipped.txt", "near", "samples", "walk.png", "z"]
  assert len((tmp_path / "out" / "near" / "skipped.txt").read_text().splitlines()) == 2
  either = "Give one of --images=FOLDER, --sample=N, --interpolate=FILE,FILE, --project=FILE, --nei"
  for given, said in (
      ({}, f"{either}ghbours=FOLDER.$"),
      ({"images": one, "project": one}, f"{either}.*, not --images and --project"),
      ({"sample": 3, "project": one}, "not --sample and --project"),
      ({"project": one}, "--out is missing"),
      ({"project": one, "out": out, "layer": "e-"}, "are of --images, not of --project: leave"),
      ({"project": one, "out": "z.png"}, "z.png has the ending of a file, but --project"),
      ({"interpolate": [one], "out": f"{out}.gif"}, "there is but one: add another"),
      ({"neighbours": "/nowhere", "out": f"{out}/n"}, "There is no folder '/nowhere'"),
  ):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
      call(**given)
  monkeypatch.setattr(features.loaded, "load", lambda *place: digits._replace(E=None))
  with pytest.raises(ValueError, match="being a plain GAN: it can only --sample and --neighbours"):
    call(project=one, out=out)


def test_the_command_line(tmp_path: pathlib.Path, folder: pathlib.Path, tiny: Callable,
                          saved_run: Callable, forked_python: pathlib.Path) -> None:
  for name, variant in (("run", ""), ("gan", "gan")):
    saved_run(tiny(variant), tmp_path / name)
  def call(model: str, **values: str | int) -> subprocess.CompletedProcess:
    words = [f"--{name}={value}" for name, value in values.items()]
    command = [forked_python, "-m", "bigan_jax.features", f"--model={tmp_path / model}", *words]
    return subprocess.run(command, timeout=120, capture_output=True, text=True)
  out = tmp_path / "f.npz"
  done = call("run", images=folder, out=out, layer="e-")
  assert done.returncode == 0 and done.stdout == (
      f"{COUNT} pictures; left out: 2 unreadable (2 cannot be decoded, listed in {out}.skipped.txt)"
      f".\nWrote {out}.\n"
  )
  assert len((tmp_path / "f.npz.skipped.txt").read_text().splitlines()) == 2
  assert rows(out)["features"].shape == (COUNT, 16)
  for failed, said in (
      (call("gan", images=folder, out=tmp_path / "g.npz"), "gan has no encoder"),
      (call("run", images=folder), "--out is missing"),
      (call("run", out=out), "Give one of --images=FOLDER, --sample=N, "),
  ):
    assert failed.returncode == 1 and failed.stderr.count("\n") == 1 and said in failed.stderr

"""The command that makes an atlas: its page in a real browser, TensorBoard's files, bad input."""

from collections.abc import Callable, Iterator
import csv
import io
import json
import pathlib
import re
import subprocess
import time
from typing import Any

import numpy as np
from PIL import Image
import pytest

import bigan_jax
from bigan_jax.data import files, folders
from bigan_jax.evaluation.atlas import making, seen
from bigan_jax.exchange import loaded
from tests import browser
from tests.evaluation.tables.report_test import Checker

COUNT = 30
ODD = ('b/x</script><b>"é", \'z\'.png', "b/plain, but.png")  # The first is a folder x< too.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """COUNT pictures in two classes, of which one is of light ones, and a file that is none."""
  root, random = tmp_path_factory.mktemp("in") / "<b>pictures", np.random.RandomState(0)
  names = [f"{'ab'[i % 2]}/{i:02d}.png" for i in range(COUNT - len(ODD))]
  for i, name in enumerate([*names, *ODD]):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    low = 0 if name.startswith("a") else 120
    pixels = random.randint(low, low + 136, (8 + i % 3, 9, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(root / name)
  (root / "a" / "broken.jpg").write_text("no picture")
  return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: Callable, saved_run: Callable
        ) -> pathlib.Path:
  path = tmp_path_factory.mktemp("run") / "digits"
  saved_run(tiny(), path)
  return path


@pytest.fixture(scope="module")
def model(run: pathlib.Path) -> loaded.Model:
  return bigan_jax.load(str(run))


@pytest.fixture(scope="module")
def made(run: pathlib.Path, folder: pathlib.Path, forked_python: pathlib.Path,
         tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A page, and what the program said."""
  out = tmp_path_factory.mktemp("out")
  command = [forked_python, "-m", "bigan_jax.atlas", f"--model={run}", f"--images={folder}",
             f"--out={out / 'atlas.html'}", f"--projector={out / 'tb'}"]
  done = subprocess.run(command, timeout=240, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  (out / "said.txt").write_text(done.stdout)
  return out / "atlas.html"


@pytest.fixture
def page(made: pathlib.Path) -> Iterator[browser.Page]:
  with browser.open_page(made, width=1200, height=800) as page:
    for _ in range(200):
      if page.run("Boolean(window.atlas)"):
        break
      time.sleep(0.1)
    yield page
    assert page.complaints() == []


def names(folder: pathlib.Path) -> list[str]:
  return [name for name in folders.scan(str(folder)).pictures if "broken" not in name]


def rows(text: str) -> list[list[str]]:
  return list(csv.reader(io.StringIO(text, newline="")))


def expected(folder: pathlib.Path, chosen: Any) -> list[list[str]]:
  """The rows of a saved list of pictures, by number."""
  all_names = names(folder)
  return [["file", "class"], *([all_names[i], all_names[i][0]] for i in chosen)]


def test_what_is_said_and_written(made: pathlib.Path, folder: pathlib.Path) -> None:
  out, said = made.parent, (made.parent / "said.txt").read_text()
  assert said == (
      f"Laying out {COUNT} pictures by t-SNE ...\n{COUNT} pictures; left out: 1 unreadable (1 "
      f"cannot be decoded, listed in {made}.skipped.txt).\nWrote {made} and {out / 'tb'}.\n")
  assert {path.name for path in out.iterdir()} >= {"atlas.html", "atlas.html.skipped.txt", "tb"}
  lines = (out / "tb" / "metadata.tsv").read_text(encoding="utf-8").splitlines()
  assert lines == ["name\tclass", *(f"{name}\t{name[0]}" for name in names(folder))]
  assert np.loadtxt(out / "tb" / "tensors.tsv", delimiter="\t").shape == (COUNT, 16)
  assert Image.open(out / "tb" / "sprite.png").size == (48, 48)  # 6 x 6 of 8 pixels.


def test_the_page_holds_everything_itself(made: pathlib.Path, folder: pathlib.Path) -> None:
  text, checker = made.read_text(encoding="utf-8"), Checker()
  checker.feed(text)
  assert not checker.open and len(checker.images) == 2
  assert all(image.startswith("data:image/jpeg;base64,") for image in checker.images)
  assert "http" not in re.sub(r"base64,[^\"]*", "", text) and "<link" not in text
  assert "Atlas of <b>pictures" in checker.text  # Escaped, or it would be a tag.
  data, = re.findall(r'id="data">(.*?)</script>', text)
  assert json.loads(data)["names"] == names(folder) and ODD[0] in names(folder)
  assert len(text) < 60_000


def test_a_browser_points_clicks_and_zooms(
    page: browser.Page, model: loaded.Model, folder: pathlib.Path
) -> None:
  chosen = page.run("order[order.length - 1]")  # It lies above all others.
  x, y = page.run(f"atlas.at({chosen})")
  assert page.run("document.getElementById('card').hidden")
  page.drag((x, y))
  name, shown = names(folder)[chosen], "document.querySelector('#card').innerText"
  assert not page.run("document.getElementById('card').hidden") and name in page.run(shown)
  pixels = files.read(str(folder / name), model.view)
  back = 255 * np.asarray(model.G(model.E(np.float32(pixels[None]) / 255)[0]))
  for i, picture in enumerate((pixels, back)):
    drawn = page.run(f"""(() => {{
        const canvas = document.querySelectorAll("#card canvas")[{i}];
        const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return all.filter((_, k) => k % 4 < 3).reduce((a, b) => a + b, 0) / all.length * 4 / 3;
    }})()""")
    assert abs(drawn - picture.mean()) < 2, i
  page.drag((x, y), (x, y))  # A click.
  features = np.stack([
      np.asarray(model.E(model.preprocess(Image.open(folder / other)))[1]["fc2"][0])
      for other in names(folder)])
  unit = features / np.linalg.norm(features, axis=1, keepdims=True)
  close = np.argsort(-unit @ unit[chosen], kind="stable")
  titles = page.run("[...document.querySelectorAll('#near button')].map(one => one.title)")
  assert titles == [names(folder)[i] for i in close if i != chosen][:12]
  page.click("#near button:nth-child(2)")
  assert page.run("document.querySelector('#detail b').innerText") == titles[1]
  page.turn(x, y, 3)
  np.testing.assert_allclose(page.run(f"atlas.at({chosen})"), (x, y), atol=1)
  assert page.run("atlas.view.zoom") > 1.2
  page.drag((300, 300), (280, 250), (250, 200))
  np.testing.assert_allclose(page.run(f"atlas.at({chosen})"), (x - 50, y - 100), atol=1)
  page.press("Escape")
  assert not page.run("document.querySelectorAll('#near').length")


def test_a_browser_searches_selects_and_saves(page: browser.Page, folder: pathlib.Path) -> None:
  said = "document.getElementById('count').innerText"
  assert page.run(said) == "30 of 30 pictures shown"
  page.click("#search")
  page.write("Z'.PNG")
  hit = names(folder).index(ODD[0])
  assert page.run(said) == "1 of 30 pictures found"
  assert rows(page.run("atlas.csv()")) == expected(folder, [hit])
  page.press("Escape")
  page.click("#legend > button")
  assert page.run(said) == "16 of 30 pictures shown"
  page.click("#legend > button")
  places = np.array([page.run(f"atlas.at({i})") for i in range(COUNT)])
  low, high = np.clip(places[hit] - 150, 2, 790), np.clip(places[hit] + 150, 2, 790)
  within = np.flatnonzero(((low < places) & (places < high)).all(axis=1))
  corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
  page.drag(*corners, shift=True)
  assert page.run(said).endswith(f", {len(within)} selected") and 0 < len(within) < COUNT
  page.click("#save")
  saved = pathlib.Path(page.run("location.pathname")).with_name("pictures.csv")
  for _ in range(100):
    if saved.is_file():
      break
    time.sleep(0.1)
  assert rows(saved.read_bytes().decode()) == expected(folder, within)
  page.click("#clear")
  page.click("#region")
  everywhere = ((2, 2), (860, 2), (860, 798), (2, 798))
  page.drag(*everywhere)
  assert page.run(said) == "30 of 30 pictures shown, 30 selected"
  page.resize(400)  # A telephone's.
  assert page.run("document.documentElement.scrollWidth <= innerWidth")
  assert page.run("document.querySelector('#map canvas').width") == 400


def task(own: loaded.Model, images: pathlib.Path, out: pathlib.Path, **changes: Any
         ) -> making.Task:
  given = making.Task(own, str(images), "e-", "pca", out / "a.html", None, False, 0)
  return given._replace(**changes)


def test_what_is_refused_leaves_nothing(
    model: loaded.Model, folder: pathlib.Path, tmp_path: pathlib.Path, tiny: Callable,
    saved_run: Callable
) -> None:
  def refused(said: str, images: pathlib.Path = folder, **changes: Any) -> None:
    with pytest.raises((ValueError, OSError), match=said):
      making.make(task(model, images, tmp_path / "out", projector=tmp_path / "out" / "tb",
                       **changes))
    assert not list((tmp_path / "out").glob("*"))
  one = tmp_path / "one"
  one.mkdir()
  refused("one holds no pictures", one)
  (one / "broken.png").touch()
  refused("None of the 1 pictures in .*one can be read .*: name a folder of two or more", one)
  Image.linear_gradient("L").save(one / "a.png")
  refused("One of the 2 pictures in .*one can be read.*: name a folder of two or more", one)
  Image.linear_gradient("L").save(one / "b.png")
  refused("The features of all 2 pictures are alike", one)
  refused("There is no folder '/nowhere': --images", pathlib.Path("/nowhere"))
  refused("Unknown layer 'fc3': did you mean", layer="fc3")
  broken = model._replace(E=lambda x: (model.E(x)[0], {"fc2": np.nan * model.E(x)[1]["fc2"]}))
  refused("The features of fc2 are not finite", model=broken)
  refused("has no encoder, being a plain GAN, so that", model=model._replace(E=None))


def test_nothing_is_replaced_unasked(
    model: loaded.Model, folder: pathlib.Path, tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
  """And of many pictures some are drawn."""
  monkeypatch.setattr(making, "MOST", 9)
  (tmp_path / "a.html").write_text("mine")
  with pytest.raises(FileExistsError, match="a.html is there already: add --force to replace it"):
    making.make(task(model, folder, tmp_path))
  assert (tmp_path / "a.html").read_text() == "mine"
  assert making.make(task(model, folder, tmp_path, force=True))[0] in (8, 9)  # One is broken.
  assert "9 of 31 pictures, drawn by --seed=0: an atlas holds no more.\n" in capsys.readouterr().out
  assert making.drawn(list("abcdefghijkl"), 0) != making.drawn(list("abcdefghijkl"), 1)
  (tmp_path / "tb").mkdir()
  (tmp_path / "tb" / "mine.txt").touch()
  with pytest.raises(FileExistsError, match="tb is there already: choose another"):
    making.make(task(model, folder, tmp_path, force=True, projector=tmp_path / "tb"))


def test_maps_are_averaged_and_networks_see_more_than_they_make(
    model: loaded.Model, folder: pathlib.Path
) -> None:
  """E that sees 20 pixels, of which the features are the pixels; G makes 10 grey ones."""
  how = files.View(20, (20, 20, 1), (0, 1))
  fake = model._replace(
      view=how, E=lambda x: (x[:, 0, :5, 0], {"conv1": x}), layers={"conv1": (20, 20, 1)},
      G=lambda z: z[:, :1, None, None] + np.zeros((1, 10, 10, 1), np.float32))
  found = seen.look(fake, "conv1", str(folder), names(folder), 16)
  assert found.x.shape == (COUNT, 16, 16, 1) and found.back.shape == (COUNT, 10, 10, 1)
  assert found.features.shape == (COUNT, 16) and found.names == names(folder)
  pixels = files.read(str(folder / found.names[3]), how) / 255
  averages = pixels.reshape(4, 5, 4, 5).mean(axis=(1, 3)).ravel()
  np.testing.assert_allclose(found.features[3], averages, atol=1e-5)
  assert abs(found.x[3].mean() - 255 * pixels.mean()) < 2
  assert (found.back[3] == round(255 * pixels[0, 0, 0])).all()


def test_classes_are_folders(tmp_path: pathlib.Path) -> None:
  def classes(*paths: str) -> dict[str, str]:
    return seen.classes(str(tmp_path), folders.Found(sorted(paths), [], []))
  assert classes("train/cat/1.png", "test/cat/2.png", "train/dog/3.png", "test/dog/3.png") == {
      "train/cat/1.png": "cat", "test/cat/2.png": "cat", "train/dog/3.png": "dog",
      "test/dog/3.png": "dog"}
  assert classes("x/cat/1.png", "x/dog/a/2.png", "x/3.png") == {
      "x/cat/1.png": "cat", "x/dog/a/2.png": "dog", "x/3.png": ""}
  assert classes("train/good/1.png", "test/good/2.png", "test/crack/3.png") == {  # MVTec's.
      "train/good/1.png": "good", "test/good/2.png": "good", "test/crack/3.png": "crack"}

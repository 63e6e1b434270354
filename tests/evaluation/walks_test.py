"""Walks, projections and copies: by hand, of every family of networks, and as files."""

from collections.abc import Callable
import csv
import functools
import pathlib

import jax
import numpy as np
from PIL import Image
import pytest

from bigan_jax import models
from bigan_jax.data.preprocess import shrink
from bigan_jax.evaluation import copies, projection, samples, walks
from bigan_jax.evaluation.anomaly import scores
from bigan_jax.exchange import loaded
from bigan_jax.exchange.pretrained import Pretrained
from tests import families


@pytest.fixture(scope="module")
def assembled(made_up: Callable) -> Callable[..., loaded.Model]:
  """A config's networks, made up, as functions."""
  def assemble(config: loaded.ml_collections.ConfigDict) -> loaded.Model:
    return loaded.assemble(Pretrained(config, *made_up(config), 10, {}), "RUN")
  return assemble


@pytest.fixture(scope="module")
def digits(assembled: Callable, tiny: Callable) -> loaded.Model:
  return assembled(tiny())


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(walks.blocks, "BLOCK", 8)


def noise(count: int, seed: int = 0, shape: tuple[int, ...] = (8, 8, 1)) -> np.ndarray:
  return np.random.RandomState(seed).randint(0, 256, (count, *shape)).astype(np.uint8)


def write(folder: pathlib.Path, images: np.ndarray) -> list[str]:
  """Pictures as files; their paths."""
  folder.mkdir(parents=True, exist_ok=True)
  paths = [folder / f"{i}.png" for i in range(len(images))]
  for path, image in zip(paths, images, strict=True):
    Image.fromarray(image[..., 0]).save(path)
  return list(map(str, paths))


def test_lines_for_a_cube_and_arcs_for_a_sphere() -> None:
  ends = np.float32([[1, 0], [0, 1], [0, -2]])
  lines, arcs = (walks.way(ends, 3, kind) for kind in ("uniform", "normal"))
  assert lines.shape == arcs.shape == (7, 2)
  for found in (lines, arcs):
    np.testing.assert_allclose(found[::3], ends, atol=1e-6)
  np.testing.assert_allclose(lines[1:3], [[2 / 3, 1 / 3], [1 / 3, 2 / 3]], rtol=1e-6)
  assert np.abs(lines[:4]).max() <= 1
  thirds = np.pi / 6 * np.float32([1, 2])
  np.testing.assert_allclose(arcs[1:3], np.stack([np.cos(thirds), np.sin(thirds)], 1), rtol=1e-6)
  np.testing.assert_allclose(arcs[3:], lines[3:], atol=1e-6)  # Opposite: there is no one arc.
  with pytest.raises(ValueError, match="A walk of 0 steps does not move: take 1 or more"):
    walks.way(ends, 0, "uniform")


def test_a_walk_is_g_between_codes(digits: loaded.Model) -> None:
  images = noise(3)
  found = walks.interpolate(digits, images, 4)
  assert found.shape == (9, 8, 8, 1) and found.dtype == np.uint8
  code = np.asarray(digits.E(digits.preprocess(images))[0])
  expected = digits.G(np.stack([code[0], (code[0] + code[1]) / 2, code[2]]))
  np.testing.assert_allclose(found[[0, 2, 8]], 255 * np.asarray(expected), atol=0.51)
  with pytest.raises(ValueError, match="there is but one: add another"):
    walks.interpolate(digits, images[:1])


def test_a_search_finds_what_g_can_make(digits: loaded.Model) -> None:
  target = np.random.RandomState(1).uniform(-1, 1, (3, 5)).astype(np.float32)
  images = np.concatenate([walks.generate(digits, target), noise(1)])
  found = projection.project(digits, images, 60)
  measured = scores.measure(digits, images)
  for name in ("pixels", "features"):
    np.testing.assert_allclose(found.before[name], measured[name], rtol=1e-4)
    assert np.all(found.after[name][:3] < 0.5 * found.before[name][:3])
  assert found.z.shape == found.code.shape == (4, 5) and np.abs(found.z).max() <= 1
  np.testing.assert_array_equal(found.x, images)
  for z, picture in ((found.z, found.picture), (found.code, found.encoded)):
    np.testing.assert_array_equal(walks.generate(digits, z), picture)
  alone = projection.project(digits, images[3], 60)  # What one finds does not depend on others.
  np.testing.assert_allclose(alone.z[0], found.z[3], atol=1e-4)
  with pytest.raises(ValueError, match="A search of 0 steps finds nothing: take 1 or more"):
    projection.project(digits, images, 0)


def test_the_nearest_by_hand(digits: loaded.Model, tmp_path: pathlib.Path) -> None:
  images, samples = noise(12), noise(4, 1)
  samples[0] = images[7]
  write(tmp_path / "in", images)
  (tmp_path / "in" / "x.png").write_text("nothing")
  found = copies.nearest(digits, samples, str(tmp_path / "in"))
  assert sorted(found.names) == sorted(f"{i}.png" for i in range(12))
  assert found.skipped == [("x.png", "cannot be decoded")]
  images = images[[int(name.removesuffix(".png")) for name in found.names]]  # In their order.
  vectors = {
      "pixels": lambda x: x.reshape(len(x), -1) / 8.0,  # The root of 64 pixels.
      "features": lambda x: np.asarray(digits.E(digits.preprocess(x))[1]["fc2"], np.float64),
  }
  held = len(found.held["pixels"].index)
  assert held in (1, 2)  # A fifth, and x.png may be one of them.
  for kind, of in vectors.items():
    for queries, among, hits, shift in ((samples, images, found.samples, 0),
                                        (images[:held], images[held:], found.held, held)):
      apart = np.linalg.norm(of(queries)[:, None] - of(among)[None], axis=2)
      np.testing.assert_array_equal(hits[kind].index, apart.argmin(1) + shift)
      np.testing.assert_allclose(hits[kind].distance, apart.min(1), rtol=1e-4, atol=0.1)
  assert found.names[found.samples["pixels"].index[0]] == "7.png"


@pytest.mark.parametrize("config", families.CONVOLUTIONAL)
def test_every_family(config: Callable, assembled: Callable) -> None:
  model = assembled(config())
  images, shape = noise(2, 0, model.encoder_shape), model.image_shape
  described = jax.eval_shape(copies.describe(model), images)  # Traced alone: less to compile.
  assert described["pixels"].shape == (2, np.prod(shape)) and len(described["features"]) == 2
  measured = jax.eval_shape(functools.partial(scores.measure, model), images)
  assert {v.shape for name, v in measured.items() if name != scores.FEATURES} == {(2,)}
  if model.E is None:
    for look in (walks.interpolate, projection.project):
      with pytest.raises(ValueError, match="A model of gan has no encoder: take one of a BiGAN"):
        look(model, images)
    return
  assert walks.interpolate(model, images, 1).shape == (2, *shape)
  found = projection.project(model, images, 3)
  assert set(found.after) == {"pixels", "features"} and found.x.shape == (2, *shape)
  total = lambda errors: sum(errors[name] / found.before[name] for name in errors)
  assert np.all(total(found.after) < total(found.before))


@pytest.mark.parametrize("config", [families.small, families.plain])
def test_copies_where_e_sees_larger_pictures_or_is_not(config: Callable, assembled: Callable
                                                       ) -> None:
  model = assembled(config())
  images = noise(6, 0, model.encoder_shape)
  seen = jax.numpy.asarray(walks.measuring.read_all(images, model.view))
  seen = np.asarray(shrink(seen, model.image_shape[0]))
  found = copies.nearest(model, seen[4:], images)
  assert [found.names[i] for i in found.samples["pixels"].index] == ["4", "5"]
  assert [found.names[i] for i in found.samples["features"].index] == ["4", "5"]
  assert len(found.held["features"].distance) == 1


def test_families_are_all_there() -> None:
  assert {config().model.family for config in families.CONVOLUTIONAL} | {"mlp"} == set(
      models.FAMILIES)


def test_strips_and_animations(digits: loaded.Model, tmp_path: pathlib.Path) -> None:
  names = write(tmp_path / "in", noise(3))
  for out in ("walk.png", "walk.gif", "walk.webp", "both"):
    walks.write(digits, names, tmp_path / out, False)
  strip = np.asarray(Image.open(tmp_path / "walk.png"))
  factor = -(-walks.WIDTH // 8)
  for name, least in (("walk.gif", 60), ("walk.webp", 3)):
    with Image.open(tmp_path / name) as moving:
      assert least < moving.n_frames <= 3 * walks.FRAMES  # Alike ones are one, and last longer.
      assert moving.info["loop"] == 0 and moving.size == (8 * factor, 8 * factor)
  width = 9 * (walks.SHOWN + 3) - 1
  rows = strip[-17 * (strip.shape[1] // width):, :, None][::strip.shape[1] // width]
  seen = rows[:, ::strip.shape[1] // width]
  np.testing.assert_array_equal(seen[:8, :8], noise(3)[0])
  np.testing.assert_array_equal(seen[9:, -8:], noise(3)[2])
  np.testing.assert_array_equal(seen[9:, 9:17], walks.interpolate(digits, names)[walks.SHOWN])
  assert sorted(p.name for p in (tmp_path / "both").iterdir()) == ["walk.gif", "walk.png"]
  walks.write(digits, names, tmp_path / "both", True)
  with pytest.raises(FileExistsError, match="in is there already: choose another"):
    walks.write(digits, names, tmp_path / "in", True)
  with pytest.raises(ValueError, match="walk.jpg is no name of a .png, .gif, .webp file, nor"):
    walks.write(digits, names, tmp_path / "walk.jpg", False)
  (tmp_path / "bad.png").write_text("nothing")
  for bad, why in (("bad.png", "cannot be decoded"), ("gone.png", "No such file or directory")):
    with pytest.raises(ValueError, match=rf"{bad} is no picture \({why}\): name another"):
      walks.write(digits, [names[0], str(tmp_path / bad)], tmp_path / "new", False)
  assert not (tmp_path / "new").exists()


def test_what_a_projection_leaves(digits: loaded.Model, assembled: Callable, tiny: Callable,
                                  tmp_path: pathlib.Path) -> None:
  name, = write(tmp_path / "in", noise(1))
  text = projection.write(digits, name, tmp_path / "out", False)
  assert text.startswith("mean |x - G(z)| of pixels: 0.") and "the same of D's fc2: " in text
  x, encoded, made = (np.asarray(Image.open(tmp_path / "out" / n)) for n in projection.NAMES)
  np.testing.assert_array_equal(x, noise(1)[0, :, :, 0])
  with np.load(tmp_path / "out" / projection.CODES) as found:
    assert set(found) == {"z", "code", "pixels_before", "pixels_after", "features_before",
                          "features_after"}
    back = walks.generate(digits, np.stack([found["code"], found["z"]]))[..., 0]
  np.testing.assert_array_equal(back, [encoded, made])
  text = projection.write(assembled(tiny("autoencoder_l2")), name, tmp_path / "out", True)
  assert text.endswith("steps\nThere is no D: pixels alone were compared.")
  with pytest.raises(FileExistsError, match="in is there already: choose another"):
    projection.write(digits, name, tmp_path / "in", True)


def test_the_table_of_copies(digits: loaded.Model, tmp_path: pathlib.Path) -> None:
  drawn = np.concatenate(list(samples.drawn(digits, 20, 3)))
  names = write(tmp_path / "in", np.concatenate([drawn[:10], noise(95)]))
  text = copies.write(digits, 20, 3, str(tmp_path / "in"), tmp_path / "out", False)
  assert text.startswith("20 samples among 105 pictures.\nMedian distance to the nearest by pixels")
  assert " 20 held-out pictures; " in text
  assert text.count(" % of the samples are as near as the nearest 5 % of those.") == 2
  with open(tmp_path / "out" / copies.TABLE, newline="") as file:
    rows = list(csv.DictReader(file))
  assert [row["of"] for row in rows] == ["sample"] * 20 + ["held out"] * 20
  for i, row in enumerate(rows[:10]):  # Samples 0 to 9 lie there as pictures 0 to 9.
    assert row["name"] == f"{i:06d}" and float(row["pixels"]) < 0.2
    assert row["nearest_by_pixels"] == row["nearest_by_features"] == f"{i}.png"
  with Image.open(tmp_path / "out" / copies.SHEET) as sheet:
    assert sheet.width == -(-600 // (4 * 4 * 9 - 10)) * (4 * 4 * 9 - 10)
  for path in map(pathlib.Path, names[1:]):
    path.unlink()
  with pytest.raises(ValueError, match="lies among the pictures of .*: choose another folder"):
    copies.write(digits, 3, 3, str(tmp_path / "in"), tmp_path / "in" / "near", True)
  text = copies.write(digits, 3, 3, str(tmp_path / "in"), tmp_path / "out", True)
  assert text.endswith("\nBelow 5 pictures none is held out.")

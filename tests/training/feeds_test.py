"""Tests of how pictures reach devices: streamed or resident, on one or four, the same bits."""

import functools
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import batches, order, preprocess
from bigan_jax.data.splits import Split, Stored
from bigan_jax.models.layers import AXIS
from bigan_jax.training import feeds
from configs import digits
from tests import other_devices

ROOT = pathlib.Path(__file__).parents[2]
COUNT = 45  # pictures to train on, an odd number
BATCH = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """Pictures of unequal size, of two classes, in train/ and validation/."""
  path, rs = tmp_path_factory.mktemp("pictures") / "mine", np.random.RandomState(0)
  for i in range(COUNT + 3):
    height, width = rs.randint(10, 30, 2)
    place = path / ("train" if i < COUNT else "validation") / "ab"[i % 2]
    place.mkdir(parents=True, exist_ok=True)
    pixels = rs.randint(256, size=(height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(place / f"{i}.png")
  return path


def make_config(kind: str, folder: pathlib.Path) -> ml_collections.ConfigDict:
  """Of networks that are quick to compile, on images of 8 x 8."""
  config = digits.get_config("")
  config.batch_size, config.model.latent_dim = BATCH, 5
  for player in "GED":
    config.model[player].width = 16
  if kind == "unequal":
    config.model.image_shape = config.model.encoder_shape = (8, 8, 3)
    config.data.update(name="image_folder", path=str(folder), edge=10, flip=True)
    config.data_dir = str(folder.parent / "data_dir")
  return config


class Both(NamedTuple):
  """The same training set twice, and its config."""

  config: ml_collections.ConfigDict
  split: Split
  stored: Stored

  def place(self, kind: str, ahead: int = 2) -> feeds.Feed:
    """A feed: "resident", or streamed by so many "N workers"."""
    assembler = batches.assembler(self.config)
    if kind == "resident":
      return feeds.place(self.split, BATCH, assembler)
    return feeds.place(self.stored, BATCH, assembler, int(kind.split()[0]), ahead)


@pytest.fixture(scope="module", params=["equal", "unequal"])
def both(request: pytest.FixtureRequest, folder: pathlib.Path) -> Both:
  return load(make_config(request.param, folder))


def load(config: ml_collections.ConfigDict) -> Both:
  split, _ = batches.load(config, may_stream=True)
  config.data.resident_gb = 1e-9
  stored, _ = batches.load(config, may_stream=True)
  first = np.arange(COUNT)
  return Both(config, split.take(first), stored.take(first))


KEYS = feeds.Keys(*jax.random.split(jax.random.PRNGKey(3), 3))


def pictures(feed: feeds.Feed, keys: feeds.Keys, step: int, n: int) -> list[np.ndarray]:
  """What all devices together see of n steps: images [n, B, H, W, C] and labels [n, B]."""
  def see(held: tuple, numbers: tuple) -> tuple[jax.Array, jax.Array]:
    def look(i: jax.Array, chosen: tuple) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
      draws = preprocess.draw(keys.crops, i, BATCH)
      return i + 1, feed.pick(held, chosen, draws)
    return jax.lax.scan(look, jnp.int32(step), feed.choose(held, numbers))[1]
  mapped = jax.pmap(see, AXIS, in_axes=(0, None))
  parts = jax.device_get(mapped(*feed.send(keys, step, n)))  # [devices, n, b, ...]
  return [np.concatenate(list(part), axis=1) for part in parts]


def test_a_stream_starts_anywhere_and_may_be_sent_back(both: Both) -> None:
  expected = pictures(both.place("resident"), KEYS, 0, 6)
  different = {image.tobytes() for step in expected[0] for image in step}
  assert len(different) >= COUNT
  feed = both.place("0 workers", ahead=1)
  other = feeds.Keys(*jax.random.split(jax.random.PRNGKey(4), 3))
  for keys, step, n in ((KEYS, 4, 1), (KEYS, 5, 1), (other, 0, 1), (KEYS, 1, 2), (KEYS, 3, 3)):
    found = pictures(feed, keys, step, n)
    for array, whole in zip(found, expected):
      assert np.array_equal(array, whole[step:step + n]) == (keys is KEYS)
  feed.close()


def test_what_comes_next_may_be_found_out_ahead(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
  keys = feeds.Keys(*jax.random.split(jax.random.PRNGKey(5), 3))
  feed, plain, made = both.place("resident"), order.window.__wrapped__, []
  @functools.cache
  def window(key: order.HostKey, *others: int) -> np.ndarray:
    made.append(key)  # Threads of a stream that has just been closed may still ask, by its key.
    return plain(key, *others)
  monkeypatch.setattr(order, "window", window)
  feed.ahead(keys, 3, 2)
  assert made.count(order.key_to_host(keys.order)) == 1
  found = feed.send(keys, 3, 2)[1]
  assert made.count(order.key_to_host(keys.order)) == 1
  expected = plain(order.key_to_host(keys.order), 3, BATCH, COUNT, 2)
  np.testing.assert_array_equal(found.ravel(), expected)


def save_pictures(folder: str, kind: str, path: str) -> None:
  """For a process of its own, with other devices."""
  found = load(make_config(kind, pathlib.Path(folder)))
  feeds_of = {"resident": found.place("resident"), "streamed": found.place("0 workers")}
  arrays = {name: pictures(feed, KEYS, 0, 3) for name, feed in feeds_of.items()}
  feeds_of["streamed"].close()
  held = feeds_of["resident"].held[0]
  np.savez(
      path, **{f"{name}_{i}": a for name, pair in arrays.items() for i, a in enumerate(pair)},
      rows=jax.tree.leaves(held)[0].shape,
  )


@pytest.mark.parametrize("devices, kind", [(2, "unequal"), (8, "unequal"), (4, "equal")])
def test_a_batch_is_the_same_on_any_number_of_devices(
    devices: int, kind: str, folder: pathlib.Path, forked_python: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
  both = load(make_config(kind, folder))
  other_devices.call(
      forked_python, devices, __name__, "save_pictures", folder, kind, tmp_path / "a.npz")
  expected = pictures(both.place("resident"), KEYS, 0, 3)
  with np.load(tmp_path / "a.npz") as found:
    for name in ("resident", "streamed"):
      for i in range(2):
        np.testing.assert_array_equal(found[f"{name}_{i}"], expected[i], err_msg=name)
    rows = both.split.images.lines if kind == "unequal" else both.split.images
    assert found["rows"][0] == devices
    assert len(rows) / devices <= found["rows"][1] < 1.5 * len(rows) / devices  # a share each

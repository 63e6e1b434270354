"""Crops on the device against plain slicing, the two sizes, and what evaluations are given."""

import os
import pathlib

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import batches, preprocess
from bigan_jax.data.splits import Split, Stored
from bigan_jax.data.strips import Strips

EDGE = 20
SIZES = ((20, 33), (41, 20), (20, 20), (20, 90))  # height, width


def pictures() -> list[np.ndarray]:
  random = np.random.RandomState(0)
  return [random.randint(0, 256, (*size, 3)).astype(np.uint8) for size in SIZES]


def strips() -> Strips:
  cut = [p.swapaxes(0, 1) if p.shape[1] > p.shape[0] else p for p in pictures()]
  lengths = np.array([len(lines) for lines in cut], np.int32)
  starts = np.cumsum(lengths, dtype=np.int64) - lengths
  landscape = np.array([p.shape[1] > p.shape[0] for p in pictures()])
  return Strips(np.concatenate(cut), starts, lengths, landscape)


def config(crop: int, size: int, flip: bool) -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict({
      "model": {"image_shape": (size, size, 3), "encoder_shape": (crop, crop, 3),
                "value_range": (-1.0, 1.0)},
      "data": {"edge": EDGE, "flip": flip, "name": "image_folder"},
  })


@pytest.mark.parametrize("draw", [0.0, 0.3, 0.999999])
def test_a_crop_is_the_slice_at_its_draws(draw: float) -> None:
  lines = preprocess.lines_of(strips())
  crops = preprocess.random_crop(lines, jnp.arange(4), jnp.full((4, 3), draw), 16)
  for crop, picture in zip(crops, pictures(), strict=True):
    offsets = [min(int(draw * (side - 16 + 1)), side - 16) for side in picture.shape[:2]]
    y, x = offsets
    np.testing.assert_array_equal(crop, picture[y:y + 16, x:x + 16])


@pytest.mark.parametrize("size", [1, 7, 16, EDGE])
def test_the_host_cuts_the_same_crops(size: int) -> None:
  draws = jax.random.uniform(jax.random.PRNGKey(1), (400, 3))
  draws = draws.at[:4, :2].set(np.float32(1 - 2**-24))  # the largest there are
  indices = np.arange(400) % 4
  expected = preprocess.random_crop(preprocess.lines_of(strips()), indices, draws, size)
  found = preprocess.random_crop_of([pictures()[i] for i in indices], np.asarray(draws), size)
  np.testing.assert_array_equal(found, expected)


def test_crops_are_uniform_over_the_true_width() -> None:
  lines = preprocess.lines_of(strips())
  count = 20_000
  draws = jax.random.uniform(jax.random.PRNGKey(0), (count, 3))
  crops = preprocess.random_crop(lines, jnp.full(count, 1), draws, 16)  # 41 x 20: 26 x 5 places
  picture = pictures()[1]
  firsts = {tuple(picture[y, x]): (y, x) for y in range(26) for x in range(5)}
  places = np.zeros((26, 5))
  for pixel in np.asarray(crops[:, 0, 0]):
    places[firsts[tuple(pixel)]] += 1
  expected = count / places.size
  assert np.sum((places - expected) ** 2 / expected) < 185  # chi-squared of 129, p = 0.001


def test_flip_mirrors_below_one_half() -> None:
  images = jnp.asarray(pictures()[2])[None].repeat(2, 0)
  kept, mirrored = preprocess.random_flip(images, jnp.array([0.5, 0.49]))
  np.testing.assert_array_equal(kept, pictures()[2])
  np.testing.assert_array_equal(mirrored, pictures()[2][:, ::-1])


def test_shrinking_is_that_of_pillow_within_a_grey_level() -> None:
  smooth = np.asarray(Image.fromarray(pictures()[2]).resize((112, 112), Image.Resampling.BICUBIC))
  ours = np.asarray(preprocess.shrink(smooth[None], 64))[0].astype(int)
  theirs = np.asarray(Image.fromarray(smooth).resize((64, 64), Image.Resampling.LANCZOS))
  assert np.abs(ours - theirs).max() <= 1


def test_encoder_and_discriminator_see_the_same_crop() -> None:
  assemble = batches.assembler(config(crop=16, size=8, flip=True))
  draws = jax.random.uniform(jax.random.PRNGKey(1), (4, 3))
  images = assemble.cut(preprocess.lines_of(strips()), jnp.arange(4), draws)
  batch = assemble.view(images, draws)
  assert batch.x.shape == (4, 8, 8, 3) and batch.x_encoder.shape == (4, 16, 16, 3)
  pixels = preprocess.to_uint8(batch.x_encoder, (-1.0, 1.0))
  small = preprocess.to_native(preprocess.shrink(pixels, 8), (-1.0, 1.0))
  np.testing.assert_array_equal(batch.x, small)


def test_one_size_is_one_array() -> None:
  images = jnp.zeros((2, 16, 16, 3), jnp.uint8)
  batch = batches.views(config(crop=16, size=16, flip=False))(images)
  assert batch.x is batch.x_encoder
  assert float(batch.x.min()) == -1.0


def test_evaluation_sees_middles_and_references_any_place() -> None:
  split = Split(strips(), np.arange(4, dtype=np.int32), 4)
  middles = batches.fixed(split, 3, config(16, 16, False), random=False)
  assert middles.images.shape == (3, 16, 16, 3)
  np.testing.assert_array_equal(middles.labels, [0, 1, 2])
  np.testing.assert_array_equal(middles.images[0], pictures()[0][2:18, 9:25])  # (33 - 15) // 2
  np.testing.assert_array_equal(
      batches.fixed(split, 2, config(16, 16, False), random=True).labels, [0, 2]
  )
  references = batches.fixed(split, 0, config(16, 16, False), random=True)
  again = batches.fixed(split, 0, config(16, 16, False), random=True)
  np.testing.assert_array_equal(references.images, again.images)
  assert len(references.labels) == 4


@pytest.mark.parametrize("count, sizes", [(1, [4]), (3, [2, 2, 0]), (4, [1] * 4)])
def test_every_device_has_a_share(count: int, sizes: list[int]) -> None:
  shares = batches.shares(Split(strips(), np.arange(4, dtype=np.int32), 4), count)
  assert [len(share.starts) for share in shares] == sizes
  lines = np.concatenate([share.lines for share in shares])
  np.testing.assert_array_equal(lines, strips().lines.reshape(-1, EDGE * 3))
  assert all(share.starts[0] == 0 for share in shares if len(share.starts))
  images = np.arange(5).reshape(5, 1, 1, 1)
  shares = batches.shares(Split(images, np.arange(5), 0), 3)
  assert [share.flatten().tolist() for share in shares] == [[0, 1], [2, 3], [4]]


def test_how_large_a_set_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
  assert batches.resident_bytes(2.5) == 2.5e9
  assert batches.resident_bytes(0) == pytest.approx(0.6 * batches.host_bytes() / 2)  # Two copies.
  class Device:
    def memory_stats(self) -> dict[str, int]:
      return {"bytes_limit": 1000}
  monkeypatch.setattr(jax, "local_devices", lambda: [Device(), Device()])
  assert batches.resident_bytes(0) == pytest.approx(1200)  # A share on each.


def test_a_container_has_the_memory_that_it_is_given(tmp_path: pathlib.Path) -> None:
  whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  limits = [str(tmp_path / name) for name in ("memory.max", "limit_in_bytes")]
  assert batches.host_bytes(limits) == whole
  (tmp_path / "memory.max").write_text("max\n")
  (tmp_path / "limit_in_bytes").write_text(f"{2**63 - 4096}\n")  # No limit.
  assert batches.host_bytes(limits) == whole
  (tmp_path / "memory.max").write_text("5000000\n")
  assert batches.host_bytes(limits) == 5e6


def test_evaluations_see_the_same_of_what_is_left_on_disk(tmp_path: pathlib.Path) -> None:
  rs = np.random.RandomState(0)
  for i in range(9):
    (tmp_path / "mine" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
    pixels = rs.randint(256, size=(*rs.randint(EDGE, 50, 2), 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine" / "ab"[i % 2] / f"{i}.png")
  made = config(16, 16, False)
  made.data.update(path=str(tmp_path / "mine"), splits="validation", validation_share=0.3,
                   max_labels=0, resident_gb=1e-6)
  made.data_dir = str(tmp_path / "data_dir")
  for whole, stored in zip(batches.load(made), batches.load(made, may_stream=True), strict=True):
    assert isinstance(whole, Split) and isinstance(stored, Stored)
    assert stored.memory() == pytest.approx(whole.images.lines.nbytes)
    for count, random in ((0, True), (2, True), (2, False), (99, False)):
      expected, found = (batches.fixed(s, count, made, random) for s in (whole, stored))
      np.testing.assert_array_equal(found.images, expected.images)
      np.testing.assert_array_equal(found.labels, expected.labels)
  made.data.resident_gb = 1.0
  assert all(isinstance(split, Split) for split in batches.load(made, may_stream=True))


def test_native_range_and_back() -> None:
  pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
  for value_range in ((0.0, 1.0), (-1.0, 1.0)):
    x = preprocess.to_native(pixels, value_range)
    assert (float(x.min()), float(x.max())) == pytest.approx(value_range)
    np.testing.assert_array_equal(preprocess.to_uint8(x, value_range), pixels)


@pytest.mark.parametrize("edge, channels", [(0, 3), (EDGE, 3), (EDGE, 1)])
def test_fake_pictures_have_the_form_of_real_ones(edge: int, channels: int) -> None:
  made = config(crop=16, size=16, flip=True)
  made.model.image_shape = made.model.encoder_shape = (16, 16, channels)
  made.data.name, made.data.edge = "fake", edge
  train, judged = batches.load(made)
  assert (len(train.labels), len(judged.labels)) == batches.FAKE_IMAGES
  [pictures] = jax.tree.map(jnp.asarray, batches.shares(train, 1))
  draws, assemble = jax.random.uniform(jax.random.PRNGKey(2), (5, 3)), batches.assembler(made)
  batch = assemble.view(assemble.cut(pictures, jnp.arange(5), draws), draws)
  assert batch.x.shape == (5, 16, 16, channels)
  assert float(jnp.std(batch.x)) > 0.5  # of noise over all grey levels
  assert batches.fixed(judged, 7, made, random=False).images.shape == (7, 16, 16, channels)

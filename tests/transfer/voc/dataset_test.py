"""Tests of what the jobs on PASCAL VOC share, from a tiny devkit."""

import pathlib
import pickle

import ml_collections
import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import order, voc
from bigan_jax.settings import downstream
from bigan_jax.transfer import source
from bigan_jax.transfer.voc import dataset
from tests.transfer.voc import devkits

SIZES = {"000010": (30, 20), "000020": (17, 40), "000030": (25, 25)}
OBJECT = (
    "<object><name>dog</name><difficult>0</difficult><bndbox><xmin>3</xmin><ymin>2</ymin>"
    "<xmax>12</xmax><ymax>11</ymax></bndbox></object>"
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ml_collections.ConfigDict:
  """Of a devkit of three pictures for training, and no other list."""
  home = tmp_path_factory.mktemp("voc")
  root = home / "VOCdevkit" / "VOC2007"
  for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
    (root / folder).mkdir(parents=True)
  random = np.random.RandomState(0)
  for name, (width, height) in SIZES.items():
    pixels = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.jpg")
    (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{OBJECT}</annotation>")
  (root / "ImageSets" / "Main" / "trainval.txt").write_text("\n".join(SIZES))
  config = downstream.voc("voc_classification", "random")
  config.data.path, config.data_dir = str(home / "VOCdevkit"), str(home / "data_dir")
  return config


def copy(config: ml_collections.ConfigDict, **fields: object) -> ml_collections.ConfigDict:
  config = config.copy_and_resolve_references()
  config.update_from_flattened_dict(fields)
  return config


def count_decoding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
  decoded, image = [], voc.Picture.image
  def counted(picture: voc.Picture) -> np.ndarray:
    decoded.append(picture.name)
    return image(picture)
  monkeypatch.setattr(voc.Picture, "image", counted)
  return decoded


def test_pictures_are_decoded_once(
    config: ml_collections.ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
  pictures, decoded = dataset.load(config, "trainval"), count_decoding(monkeypatch)
  assert len(pictures) == 3 and [p.name for p in pictures.pictures] == list(SIZES)
  for _ in range(3):
    shapes = [pictures.image(i).shape for i in range(3)]
  assert shapes == [(20, 30, 3), (40, 17, 3), (25, 25, 3)] and decoded == list(SIZES)
  again = pickle.loads(pickle.dumps(pictures))  # Another process's: nothing decoded is sent along.
  np.testing.assert_array_equal(again.image(1), pictures.image(1))
  assert decoded == [*SIZES, "000020"]


def test_no_more_is_kept_than_is_allowed(
    config: ml_collections.ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
  """Half of 8 kB, as training pictures and test pictures share it: the first two."""
  sizes = [3 * width * height for width, height in SIZES.values()]
  gigabytes = 2 * (sum(sizes[:2]) + 1) / 1e9
  pictures = dataset.load(copy(config, **{"data.resident_gb": gigabytes}), "trainval")
  decoded = count_decoding(monkeypatch)
  for _ in range(3):
    for i in range(3):
      pictures.image(i)
  assert decoded == [*SIZES, "000030", "000030"]
  workers = copy(config, **{"data.resident_gb": gigabytes, "data.workers": 2})
  pictures = dataset.load(workers, "trainval")
  decoded.clear()
  for i in (0, 1, 0, 1):
    pictures.image(i)
  assert decoded == ["000010", "000020", "000020"]  # A third of it: the first one.


def test_pictures_are_resized_if_told_so(config: ml_collections.ConfigDict) -> None:
  pictures = dataset.load(config, "trainval", edge=10)
  whole = dataset.load(config, "trainval").image(1)
  assert [pictures.image(i).shape for i in range(3)] == [(10, 15, 3), (24, 10, 3), (10, 10, 3)]
  assert np.std(pictures.image(1)) < 0.7 * np.std(whole)  # Noise is averaged: antialiased.
  assert abs(np.mean(pictures.image(1)) - np.mean(whole)) < 5


def test_a_missing_list_is_named(config: ml_collections.ConfigDict) -> None:
  with pytest.raises(ValueError, match="no list of 'test' for 'main' but main trainval"):
    dataset.load(config, "test")


def test_which_pictures_and_what_randomness() -> None:
  keys = ((3, 4), (5, 6))
  seen = np.concatenate([dataset.indices(keys, step, 4, 10) for step in range(5)])
  assert sorted(seen.tolist()) == sorted([*range(10)] * 2)
  np.testing.assert_array_equal(seen[4:8], order.window((3, 4), 1, 4, 10))
  draw = lambda keys, step, count: [r.random() for r in dataset.randoms(keys, step, count)]
  assert draw(keys, 7, 3) == draw(keys, 7, 5)[:3] == draw(((9, 9), (5, 6)), 7, 3)
  numbers = draw(keys, 7, 3) + draw(keys, 8, 3) + draw(((3, 4), (5, 7)), 7, 3)
  assert len(set(numbers)) == 9


def test_first_crops_are_of_different_pictures(config: ml_collections.ConfigDict) -> None:
  """Each of one colour here; as many as config.init_images, if there are."""
  class Plain(dataset.Pictures):
    def image(self, i: int) -> np.ndarray:
      return np.full((9, 12, 3), 10 * i, np.uint8)
  train = Plain([], 0)
  train.pictures = [None] * 8
  found = [
      dataset.first_crops(copy(config, init_images=n, seed=s), train, 5)
      for n, s in ((4, 0), (4, 1), (99, 0))
  ]
  assert [len(crops) for crops in found] == [4, 4, 8] and found[0].shape[1:] == (5, 5, 3)
  colours = [crops[:, 0, 0, 0].tolist() for crops in found]
  assert sorted(colours[2]) == list(range(0, 80, 10)) and len(set(colours[0])) == 4
  assert colours[0] != colours[1]


@pytest.mark.parametrize("top, left, length, side", [
    (0.0, 0.0, 9.0, 9), (1.3, 2.7, 7.5, 5), (2.2, 0.4, 4.0, 11), (-3.0, 5.0, 12.0, 6),
])
def test_bilinear_samples(top: float, left: float, length: float, side: int) -> None:
  image = np.random.RandomState(0).randint(0, 256, (9, 10, 3)).astype(np.uint8)
  rows = dataset.positions(top, length, side)
  columns = dataset.positions(left, length, side)
  hats = [  # The weight of every line in every sample.
      np.maximum(0, 1 - np.abs(places.clip(0, count - 1)[:, None] - np.arange(count)))
      for places, count in ((rows, 9), (columns, 10))
  ]
  expected = np.einsum("ia,jb,abc->ijc", *hats, image)
  found = dataset.resample(image, rows, columns)
  assert found.dtype == np.uint8
  assert np.abs(found - expected).max() <= 0.5 + 1e-3
  mirrored = dataset.resample(image, rows, columns[::-1])
  np.testing.assert_array_equal(mirrored, found[:, ::-1])


def test_a_whole_window_is_the_picture_itself() -> None:
  image = np.random.RandomState(0).randint(0, 256, (6, 8, 3)).astype(np.uint8)
  at = dataset.positions
  np.testing.assert_array_equal(dataset.resample(image, at(0, 6, 6), at(0, 8, 8)), image)
  np.testing.assert_array_equal(
      dataset.resample(image, at(2, 3, 3), at(1, 4, 4)), image[2:5, 1:5]
  )


# Crops


def ramp(height: int, width: int) -> np.ndarray:
  """A picture whose red is the row and whose green is the column."""
  image = np.zeros((height, width, 3), np.uint8)
  image[..., 0], image[..., 1] = np.arange(height)[:, None], np.arange(width)[None]
  return image


@pytest.mark.parametrize("height, width, least, most", [
    (250, 200, 0.5, 2.0), (100, 250, 0.5, 100 / 64), (20, 60, 20 / 64, 20 / 64)
])
def test_windows_are_those_of_the_reference(
    height: int, width: int, least: float, most: float
) -> None:
  """Squares, of sides and at places that are uniform; half of them mirrored."""
  random, image = np.random.default_rng(0), ramp(height, width)
  crops = np.stack([
      dataset.random_crop(image, random, 64, True) for _ in range(400)
  ]).astype(float)
  down = (crops[:, 54, 5, 0] - crops[:, 9, 5, 0]) / 45  # The slope is the scale.
  along = (crops[:, 5, 54, 1] - crops[:, 5, 9, 1]) / 45
  np.testing.assert_allclose(down, np.abs(along), atol=0.05)  # As high as wide.
  assert least - 0.03 < down.min() and down.max() < most + 0.03
  assert abs(down.mean() - (least + most) / 2) < 0.06
  if least < most:
    assert down.min() < least + 0.06 and down.max() > most - 0.06
  assert 0.4 < np.mean(along < 0) < 0.6
  tops = crops[:, 31:33, 5, 0].mean(axis=1) - 32 * down + 0.5
  assert tops.min() > -2 and (tops + 64 * down).max() < height + 2
  places = (tops / np.maximum(height - 64 * down, 1))[down < 0.9 * most]
  if least < most:
    assert abs(places.mean() - 0.5) < 0.08 and np.ptp(places) > 0.9


def test_no_mirror_unless_told() -> None:
  image = ramp(100, 100)
  for seed in range(20):
    crops = [dataset.random_crop(image, np.random.default_rng(seed), 32, flip)
             for flip in (True, False)]
    assert crops[1][0, 0, 1] < crops[1][0, -1, 1]
    assert any(np.array_equal(crops[0], crop) for crop in (crops[1], crops[1][:, ::-1]))


# The encoder's part


def encoder(channels: int = 3, layer: str = "conv") -> source.Source:
  widths = (4, 8, 8, 8, 6)
  layers = {
      f"{layer}{i + 1}": {"kernel": np.zeros((3, 3, 1, w)), "bias": np.zeros(w)}
      for i, w in enumerate(widths)
  }
  config = ml_collections.ConfigDict({
      "data": {"name": "clipart"}, "data_dir": "there",
      "model": {"value_range": (0.0, 1.0), "encoder_shape": (64, 64, channels)},
  })
  return source.Source(config, (64, 64, channels), layers, "bigan", 7)


def test_what_an_encoder_decides(config: ml_collections.ConfigDict) -> None:
  given = copy(config, source="pretrained", encoder="RUN", data_dir="")
  found = dataset.resolve(given, encoder())
  assert (found.learner, found.encoder_step, found.data_dir) == ("bigan", "7", "there")
  data = {**found.data.to_dict(), "splits": given.data.splits}  # Of no use: VOC has its own lists.
  assert data == given.data.to_dict()  # VOC, not the encoder's own pictures.
  assert found.model.widths == (4, 8, 8, 8, 6) and found.model.value_range == (0.0, 1.0)
  assert found.model.image_shape == (64, 64, 3)
  assert dataset.transferred(found) == ("conv1", "conv2", "conv3", "conv4", "conv5")
  given.crop = 32
  found = dataset.resolve(given, encoder())
  assert found.model.image_shape == found.model.encoder_shape == (32, 32, 3)


def test_without_one_it_is_alexnet(config: ml_collections.ConfigDict) -> None:
  found = dataset.resolve(config, None)
  assert found.learner == "" and found.model.widths == (96, 256, 384, 384, 256)
  assert found.model.image_shape == (227, 227, 3) and dataset.transferred(found) == ()
  assert "learner" not in config  # A copy.
  assert dataset.resolve(config, encoder()).model.widths == (4, 8, 8, 8, 6)
  assert dataset.resolve(config, encoder()).learner == ""


def test_encoders_that_do_not_fit(config: ml_collections.ConfigDict) -> None:
  given = copy(config, encoder="RUN")
  with pytest.raises(ValueError, match="The layers of RUN are fully connected"):
    dataset.resolve(given, encoder(layer="fc"))
  with pytest.raises(ValueError, match=r"RUN sees images of 1 channel\(s\), but those of VOC have"):
    dataset.resolve(given, encoder(channels=1))


# Drawing


def test_thumbnails_keep_their_proportions() -> None:
  picture = np.zeros((20, 50, 3), np.uint8)
  found = dataset.thumbnail(picture, 25)
  assert found.shape == (25, 25, 3) and found.dtype == np.uint8
  dark = np.flatnonzero((found == 0).all(axis=(1, 2)))
  assert dark.tolist() == list(range(7, 17)) and (found[:7] == 255).all()
  assert dataset.thumbnail(np.zeros((1, 500, 3), np.uint8), 25).min() == 0


def test_frames_and_signs() -> None:
  picture = np.zeros((50, 60, 3), np.uint8)
  found = dataset.framed(picture, (10, 20, 30))
  assert found[0, 5].tolist() == found[30, -1].tolist() == [10, 20, 30]
  assert not found[2:-2, 2:-2].any() and not picture.any()
  assert dataset.sign("dog\n50 %", 40).min() < 128
  assert (dataset.sign("", 40) == 255).all()


def test_the_survey_counts_what_cannot_be_decoded(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  root, objects = tmp_path / "VOCdevkit" / "VOC2007", [("dog", 0, *devkits.BOX)]
  for split in ("trainval", "test"):
    for i in range(2):
      pixels = np.random.RandomState(i).randint(0, 256, (20, 30, 3)).astype(np.uint8)
      devkits.add(root, split, f"{split}{i}", pixels, objects)
    (root / "JPEGImages" / f"{split}1.jpg").write_bytes(b"none")
  config = downstream.voc("voc_classification", "random")
  config.data.path, config.data_dir = str(root.parent), str(tmp_path / "data_dir")
  _, _, about = dataset.load_both(config)
  assert about.left == tuple((f"{s}1", "cannot be decoded") for s in ("trainval", "test"))
  assert capsys.readouterr().out.endswith(
      "; left out: 2 unreadable (2 cannot be decoded)\n"
  )

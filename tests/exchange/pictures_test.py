"""preprocess: pictures in memory become what files become, and what is no picture is told."""

import pathlib

import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import files, preprocess
from bigan_jax.exchange import pictures

VIEW = files.View(20, (16, 16, 3), (-1.0, 1.0))
GREY = files.View(8, (8, 8, 1), (0.0, 1.0))
PIXELS = np.random.RandomState(0).randint(0, 256, (6, 5, 3)).astype(np.uint8)
SMOOTH = Image.fromarray(PIXELS).resize((90, 70), Image.Resampling.BICUBIC)


def test_arrays() -> None:
  exact = files.View(16, (16, 16, 3), (-1.0, 1.0))
  batch = np.random.RandomState(0).randint(0, 256, (5, 16, 16, 3)).astype(np.uint8)
  found = pictures.preprocess(batch, exact)
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, preprocess.to_native(batch, (-1.0, 1.0)))
  unequal = [np.asarray(SMOOTH), np.asarray(SMOOTH.resize((16, 90)).convert("L")), batch[0]]
  found = pictures.preprocess(unequal, VIEW)
  expected = [files.fit(Image.fromarray(image), VIEW) for image in unequal]
  np.testing.assert_allclose(found, np.float32(expected) / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("how", [VIEW, GREY])
@pytest.mark.parametrize("shape", [(30, 40, 3), (40, 8, 1), (30, 40), (32, 32, 4), (8, 8, 1)])
def test_one_picture_is_a_batch_of_one(how: files.View, shape: tuple[int, ...]) -> None:
  one = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
  found = pictures.preprocess(one, how)
  assert found.shape == (1, *how.shape)
  np.testing.assert_array_equal(found, pictures.preprocess([one], how))
  np.testing.assert_array_equal(found, pictures.preprocess(one.reshape(1, *shape), how))


def test_grey_pictures_without_an_axis_of_channels() -> None:
  batch = np.random.RandomState(0).randint(0, 256, (4, 9, 9)).astype(np.uint8)
  found = pictures.preprocess(batch, GREY)
  np.testing.assert_array_equal(found, pictures.preprocess(batch[..., None], GREY))


@pytest.mark.parametrize("mode, ending", [
    ("RGB", "jpg"), ("CMYK", "jpg"), ("L", "jpg"), ("P", "png"), ("RGBA", "png"), ("LA", "png"),
    ("1", "png"), ("I;16", "png"), ("I;16", "tiff"), ("CMYK", "tiff")])
def test_pillow_s_pictures_are_as_files(tmp_path: pathlib.Path, mode: str, ending: str) -> None:
  picture, path = SMOOTH.resize((600, 500)), tmp_path / f"a.{ending}"
  if mode == "I;16":
    picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
  elif mode in ("RGBA", "LA"):
    picture = picture.convert(mode)
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
  else:
    picture = picture.convert(mode)
  exif = Image.Exif()
  exif[0x0112] = 6
  picture.save(path, **({} if ending == "tiff" else {"exif": exif}))
  for how in (VIEW, GREY):
    expected = pictures.preprocess(files.read(str(path), how), how._replace(edge=how.shape[0]))
    with Image.open(path) as opened:
      found = pictures.preprocess([opened, opened], how)
      assert opened.size == (600, 500)  # It is the caller's.
      np.testing.assert_array_equal(found, np.concatenate([expected, expected]))
      opened.load()
      again = pictures.preprocess(opened, how)  # Of all pixels, not of a reduced decoding.
    np.testing.assert_allclose(again, expected, atol=0.04)


@pytest.mark.parametrize("images, error, said", [
    ([], ValueError, "no picture: give one or more"),
    (np.zeros((0, 8, 8, 3), np.uint8), ValueError, "no picture: give one or more"),
    (np.zeros((5, 3, 32, 40), np.uint8), ValueError,
     r"shape \[5, 3, 32, 40\] have their channels first: .* numpy.moveaxis\(x, 1, -1\)"),
    (np.zeros((3, 32, 40), np.uint8), ValueError, r"channels first: .* numpy.moveaxis\(x, 0, -1\)"),
    ([np.zeros((3, 32, 40), np.uint8)], ValueError, r"\[3, 32, 40\] have their channels first"),
    (np.zeros((2, 32, 40, 2), np.uint8), ValueError, r"C is 1, 3 or 4, not \[2, 32, 40, 2\]"),
    (np.zeros((32, 40, 2), np.uint8), ValueError, r"C is 1, 3 or 4, not \[32, 40, 2\]"),
    (np.zeros((1, 2, 8, 8, 3), np.uint8), ValueError, "pictures .* not"),
    (np.zeros((8, 8, 3), np.float32), TypeError, "uint8, not float32: scale and convert them"),
    ("cat.jpg", TypeError, "takes arrays and PIL pictures, not str: open it by PIL.Image"),
    (["cat.jpg"], TypeError, "takes arrays and PIL pictures, not str"),
    (np.zeros((1, 0, 8, 3), np.uint8), ValueError, "A picture of 8 x 0 pixels is empty"),
])
def test_what_is_told(images: object, error: type[Exception], said: str) -> None:
  with pytest.raises(error, match=said):
    pictures.preprocess(images, VIEW)

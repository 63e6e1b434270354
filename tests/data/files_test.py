"""Picture files as an encoder sees them: as in training, whatever people keep, in little memory."""

import pathlib

import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import codec, files, preprocess, sources
from configs import digits, imagenet_highres

VIEW = files.View(edge=20, shape=(16, 16, 3), value_range=(-1.0, 1.0))


def smooth(width: int, height: int, seed: int = 0) -> Image.Image:
  pixels = np.random.RandomState(seed).randint(0, 256, (6, 8, 3)).astype(np.uint8)
  return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def test_views_of_configs() -> None:
  assert files.view(digits.get_config()) == files.View(8, (8, 8, 1), (0.0, 1.0))
  assert files.view(imagenet_highres.get_config()) == files.View(128, (112, 112, 3), (-1.0, 1.0))


@pytest.mark.parametrize("size", [(50, 30), (30, 50), (20, 20), (300, 200), (10, 12)])
def test_pixels_are_those_of_training(tmp_path: pathlib.Path, size: tuple[int, int]) -> None:
  """Up to the JPEG in which a prepared set keeps its pictures."""
  path = tmp_path / "a.jpg"
  smooth(*size).save(path, quality=95)
  stored = codec.decode(codec.shrink(path.read_bytes(), 20, upright=True).jpeg)
  top, left = ((side - 16 + 1) // 2 for side in stored.shape[:2])
  found = files.read(str(path), VIEW)
  assert found.dtype == np.uint8 and found.shape == (16, 16, 3)
  difference = np.abs(np.int32(found) - stored[top:top + 16, left:left + 16])
  assert difference.mean() < 1 and difference.max() < 10


def test_pixels_are_those_of_a_run_s_evaluation(tmp_path: pathlib.Path) -> None:
  for i in range(8):
    smooth(60, 40 + i, i).save(tmp_path / f"{i}.png")
  _, judged = sources.load_experiment(
      "image_folder", "validation", str(tmp_path / "data"), str(tmp_path), edge=20,
      validation_share=0.5,
  )
  theirs = np.int32(preprocess.centre_crops(judged.images, 16))
  ours = np.int32([files.read(str(tmp_path / f"{i}.png"), VIEW) for i in range(8)])
  nearest = np.abs(theirs[:, None] - ours).mean(axis=(2, 3, 4)).min(axis=1)
  assert len(nearest) == 4 and nearest.max() < 1


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode(tmp_path: pathlib.Path, mode: str) -> None:
  picture = smooth(40, 40)
  if mode == "I;16":
    picture = Image.fromarray(np.uint16(np.asarray(picture.convert("L"))) * 257)
  path = tmp_path / f"a.{'jpg' if mode == 'CMYK' else 'png'}"
  (picture if mode == "I;16" else picture.convert(mode)).save(path)
  found = files.read(str(path), VIEW)
  assert found.shape == (16, 16, 3)
  expected = files.fit(smooth(40, 40) if mode in ("RGBA", "CMYK", "P") else
                       smooth(40, 40).convert("L"), VIEW)
  assert np.abs(np.int32(found) - expected).mean() < (60 if mode == "1" else 12)
  grey = files.read(str(path), VIEW._replace(shape=(16, 16, 1)))
  assert grey.shape == (16, 16, 1)


def test_transparency_is_white(tmp_path: pathlib.Path) -> None:
  Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(tmp_path / "a.png")
  assert (files.read(str(tmp_path / "a.png"), VIEW) == 255).all()


def test_exif_orientation(tmp_path: pathlib.Path) -> None:
  exif = Image.Exif()
  exif[codec.EXIF_ORIENTATION] = 6  # to be turned by a quarter, clockwise
  smooth(60, 30).save(tmp_path / "a.png", exif=exif)
  upright = files.fit(smooth(60, 30).transpose(Image.Transpose.ROTATE_270), VIEW)
  found = files.read(str(tmp_path / "a.png"), VIEW)
  assert np.abs(np.int32(found) - upright).max() <= 1  # Rows are resized before columns.


def test_small_grey_pictures_come_back_exactly(tmp_path: pathlib.Path) -> None:
  pixels = np.random.RandomState(0).randint(0, 256, (8, 8)).astype(np.uint8)
  Image.fromarray(pixels).save(tmp_path / "a.png")
  view = files.view(digits.get_config())
  np.testing.assert_array_equal(files.read(str(tmp_path / "a.png"), view)[:, :, 0], pixels)


def test_unreadable_files_have_a_reason(tmp_path: pathlib.Path) -> None:
  smooth(200, 200).save(tmp_path / "cut.jpg")
  content = (tmp_path / "cut.jpg").read_bytes()
  (tmp_path / "cut.jpg").write_bytes(content[:len(content) // 2])
  (tmp_path / "text.jpg").write_text("not a picture")
  (tmp_path / "empty.png").touch()
  Image.new("1", (54_000, 1_500)).save(tmp_path / "large.png")
  Image.new("1", (60_000, 8)).save(tmp_path / "long.png")
  reasons = {p.name: files.read(str(p), VIEW).reason for p in tmp_path.iterdir()}
  assert reasons == {
      "cut.jpg": "cannot be decoded", "text.jpg": "cannot be decoded",
      "empty.png": "cannot be decoded", "large.png": "over 80 megapixels",
      "long.png": "too elongated",
  }
  assert "No such file" in files.read(str(tmp_path / "none.png"), VIEW).reason


def test_streams_are_in_order_and_read_a_bounded_number_ahead(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  """So memory does not grow with the folder."""
  reads = []
  def read(path: str, how: files.View) -> np.ndarray:
    reads.append(path)
    return np.full(how.shape, int(path.rpartition("/")[2]) % 256, np.uint8)
  monkeypatch.setattr(files, "read", read)
  names = [str(i) for i in range(10_000)]
  stream = files.stream(str(tmp_path), names, VIEW, threads=2)
  taken = [next(stream) for _ in range(500)]
  assert [name for name, _ in taken] == names[:500]
  assert [picture[0, 0, 0] for _, picture in taken] == [i % 256 for i in range(500)]
  assert len(reads) <= 500 + 2 * files.PART * (files.AHEAD + 1)
  stream.close()
  assert len(reads) <= 500 + 2 * files.PART * (files.AHEAD + 2)
  assert [name for name, _ in files.stream("", names[:37], VIEW, threads=2)] == names[:37]

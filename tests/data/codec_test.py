"""Tests of decoding, shrinking and storing single pictures."""

import io
import zlib

import numpy as np
from PIL import Image
import pytest
from sklearn import datasets

from bigan_jax.data import codec


def encode(picture: Image.Image, file_format: str, **options: object) -> bytes:
  buffer = io.BytesIO()
  picture.save(buffer, file_format, **options)
  return buffer.getvalue()


def ramp(width: int, height: int) -> Image.Image:
  """Red grows to the right, green downwards; blue is 64."""
  red = np.broadcast_to(np.linspace(0, 255, width), (height, width))
  green = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
  return Image.fromarray(np.stack([red, green, np.full_like(red, 64)], -1).astype(np.uint8))


def shrunk_pixels(encoded: bytes, edge: int, upright: bool = True) -> np.ndarray:
  result = codec.shrink(encoded, edge, upright)
  assert result.jpeg, result.note
  return codec.decode(result.jpeg).astype(int)


@pytest.mark.parametrize(
    "size, edge, expected",
    [((500, 375), 72, (96, 72)), ((375, 500), 72, (72, 96)), ((500, 333), 128, (192, 128)),
     ((71, 213), 72, (72, 216)), ((10, 10), 64, (64, 64)), ((3, 1000), 72, (72, 24000))],
)
def test_both_sides_scale_by_the_shorter(
    size: tuple[int, int], edge: int, expected: tuple[int, int]
) -> None:
  assert codec.scaled_size(*size, edge) == expected


@pytest.mark.parametrize("edge", [72, 128])
@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_photographs_stay_within_a_grey_level_of_full_decoding(name: str, edge: int) -> None:
  photo = Image.fromarray(datasets.load_sample_image(name)).resize((500, 375))
  encoded = encode(photo, "JPEG", quality=90)
  full = Image.open(io.BytesIO(encoded)).resize(
      codec.scaled_size(500, 375, edge), Image.Resampling.LANCZOS
  )
  assert np.abs(shrunk_pixels(encoded, edge) - np.asarray(full, int)).mean() < 1


def test_small_pictures_are_enlarged_by_the_same_rule() -> None:
  pixels = shrunk_pixels(encode(ramp(20, 10), "PNG"), 72)
  assert pixels.shape == (72, 144, 3)
  assert pixels[36, -1, 0] > 240 and pixels[-1, 72, 1] > 240


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, file_format: str) -> None:
  upright = ramp(120, 90)
  # How a camera held that way would have stored the same view.
  turns = {1: None, **codec.UPRIGHT, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
  stored = upright if turns[orientation] is None else upright.transpose(turns[orientation])
  exif = Image.Exif()
  exif[0x0112] = orientation
  encoded = encode(stored, file_format, exif=exif)
  expected = np.asarray(upright.resize((96, 72), Image.Resampling.LANCZOS), int)
  assert np.abs(shrunk_pixels(encoded, 72) - expected).mean() < 2
  as_stored = shrunk_pixels(encoded, 72, upright=False)
  lies = orientation < 5 or file_format == "TIFF"  # which Pillow always turns upright
  assert as_stored.shape[:2] == ((72, 96) if lies else (96, 72))


def test_transparency_is_laid_on_white() -> None:
  layer = Image.new("RGBA", (80, 80), (255, 0, 0, 0))
  layer.paste((0, 0, 255, 255), (0, 0, 40, 80))
  half = Image.new("RGBA", (80, 80), (0, 0, 0, 128))
  grey = Image.new("LA", (80, 80), (0, 0))
  palette = Image.new("P", (80, 80), 1)
  palette.putpalette([9, 9, 9, 0, 255, 0])
  for file_format in ("PNG", "WEBP"):
    pixels = shrunk_pixels(encode(layer, file_format, lossless=True), 72)
    np.testing.assert_allclose(pixels[36, 10], [0, 0, 255], atol=4)
    np.testing.assert_allclose(pixels[36, 60], 255, atol=4)
  np.testing.assert_allclose(shrunk_pixels(encode(half, "PNG"), 72), 127, atol=2)
  np.testing.assert_allclose(shrunk_pixels(encode(grey, "PNG"), 72), 255, atol=2)
  transparent = shrunk_pixels(encode(palette, "PNG", transparency=1), 72)
  np.testing.assert_allclose(transparent, 255, atol=2)


def test_every_mode_becomes_rgb() -> None:
  grey = Image.new("L", (100, 80), 100)
  deep = Image.fromarray(np.full((80, 100), 100 * 257, np.uint16))
  blue = Image.new("RGB", (100, 80), (1, 2, 250))
  cases = {
      "JPEG L": (encode(grey, "JPEG"), [100] * 3),
      "PNG I;16": (encode(deep, "PNG"), [100] * 3),
      "JPEG CMYK": (encode(Image.new("CMYK", (100, 80), (255, 0, 0, 0)), "JPEG"), [0, 255, 255]),
      "BMP L": (encode(grey, "BMP"), [100] * 3),
      "PNG 1": (encode(Image.new("1", (100, 80), 1), "PNG"), [255] * 3),
      "WEBP RGB": (encode(blue, "WEBP", lossless=True), [1, 2, 250]),
      "GIF P": (encode(blue.quantize(16), "GIF"), [1, 2, 250]),
  }
  for note, (encoded, color) in cases.items():
    result = codec.shrink(encoded, 72, True)
    assert result.note == note
    pixels = codec.decode(result.jpeg)
    assert pixels.shape == (72, 90, 3)
    np.testing.assert_allclose(pixels[36, 45].astype(int), color, atol=3)
  assert codec.shrink(encode(ramp(100, 80), "JPEG"), 72, True).note == ""


def test_stored_pictures_carry_no_metadata() -> None:
  encoded = encode(ramp(96, 72), "JPEG", comment=b"x" * 5000, icc_profile=b"y" * 5000)
  stored = Image.open(io.BytesIO(codec.shrink(encoded, 72, True).jpeg))
  assert stored.mode == "RGB" and not {"comment", "icc_profile", "exif"} & set(stored.info)


def test_bad_pictures_are_refused_with_a_reason() -> None:
  whole = encode(ramp(500, 375), "JPEG")
  for damaged in (b"", b"text", whole[:100], whole[: len(whole) // 2], whole[:-40]):
    assert codec.shrink(damaged, 72, True) == codec.Shrunk(b"", "cannot be decoded")
  # Nothing but a header: a decoder that trusts it would ask for gigabytes.
  small = encode(Image.new("L", (8, 8)), "PNG")
  for side in (10_000, 60_000):
    bomb = bytearray(small)
    bomb[16:24] = side.to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    assert codec.shrink(bytes(bomb), 72, True).note == "over 80 megapixels"
  assert codec.shrink(encode(Image.new("L", (1, 1000)), "PNG"), 72, True).note == "too elongated"


@pytest.mark.parametrize("mode, scale", [("I", 257), ("I;16", 257), ("I", 1), ("F", 1 / 255),
                                         ("F", 1)])
def test_deep_grey_is_scaled_and_not_clipped(mode: str, scale: float) -> None:
  grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
  kind = {"I": np.int32, "I;16": np.uint16, "F": np.float32}[mode]
  picture = Image.fromarray((grey * np.float64(scale)).astype(kind))
  assert picture.mode == mode
  np.testing.assert_array_equal(np.asarray(codec.to_rgb(picture))[..., 0], grey)

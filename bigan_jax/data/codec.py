"""One picture's bytes: decode whatever people keep, shrink to a shorter edge, encode to store."""

from collections.abc import Callable
import io
import math
from typing import NamedTuple, TypeVar
import warnings

import numpy as np
from PIL import Image

from bigan_jax.data import bare

try:
  import pillow_heif  # the extra `heic`
except ImportError:
  HEIF = False
else:
  HEIF = True
  pillow_heif.register_heif_opener()

HEIF_EXTENSIONS = (".heic", ".heif", ".hif")
EXTENSIONS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif",
    *(HEIF_EXTENSIONS if HEIF else ()),
)
# What a file may hold, whatever its name says. Pillow's other readers are not for strangers' files.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", *(("HEIF",) if HEIF else ()))
DAMAGED, FORBIDDEN = "cannot be decoded", "may not be read"
MAX_PIXELS = 80_000_000
MAX_SIDE = 65_500  # Of a JPEG file.
# A JPEG decoded at 1/2, 1/4 or 1/8 must stay this much larger than the result. Measured on sharp
# photographs: 1.6 differs from full decoding by 1 grey level, 2.6 (500x375 to 72) by 0.46.
MARGIN = 1.6
# Storage adds 0.7 grey levels; quality 95 would add 1.9, halved chroma 3.4. PNG adds none but takes
# six times as long to write.
QUALITY = 99
EXIF_ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


T = TypeVar("T")


class Shrunk(NamedTuple):
  """A picture made ready, or the reason why there is none.

  jpeg: RGB, its shorter side as asked; empty if the picture is unusable.
  note: why it is unusable, or the format and mode that were converted; empty for an RGB JPEG.
  enlarged: its shorter side was below what was asked.
  """

  jpeg: bytes
  note: str
  enlarged: bool = False


def scaled_size(width: int, height: int, edge: int) -> tuple[int, int]:
  """Both sides scaled by edge / shorter side and rounded (reference section 8)."""
  scale = edge / min(width, height)
  return round(width * scale), round(height * scale)


def shrink(encoded: bytes, edge: int, upright: bool) -> Shrunk:
  """Resizes one picture so that its shorter side is `edge`, up or down; never raises.

  Args:
    encoded: a whole file of one of FORMATS.
    edge: pixels.
    upright: turn the picture as its EXIF orientation says.
  """
  def small(picture: Image.Image) -> Shrunk:
    reason = refusal(picture, edge)
    if reason:
      return Shrunk(b"", reason)
    plain = (picture.format, picture.mode) == ("JPEG", "RGB")
    note = "" if plain else f"{picture.format} {picture.mode}"
    enlarged = min(picture.size) < edge
    return Shrunk(_encode(resize(picture, edge, upright)), note, enlarged)
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Pillow's, on large pictures and odd metadata.
    found = opened(encoded, small)
  return Shrunk(b"", found) if isinstance(found, str) else found


def opened(encoded: bytes, work: Callable[[Image.Image], T]) -> T | str:
  """work(the first picture of a file), or why there is none; never raises.

  Metadata that Pillow cannot read, or that are over its limits, are left out.
  """
  for content in (lambda: encoded, lambda: bare.picture(encoded)):
    try:
      with Image.open(io.BytesIO(content()), formats=FORMATS) as picture:
        return work(picture)
    except Image.DecompressionBombError:
      return _TOO_LARGE
    except Exception:  # Decoders raise all sorts of errors on damaged data, and none is ours.
      continue
  return DAMAGED


_TOO_LARGE = f"over {MAX_PIXELS // 10**6} megapixels"


def refusal(picture: Image.Image, edge: int) -> str:
  """Why the header alone rules a picture out; empty if it does not."""
  if math.prod(picture.size) > MAX_PIXELS:
    return _TOO_LARGE
  if max(scaled_size(*picture.size, edge)) > MAX_SIDE:
    return "too elongated"
  return ""


def resize(picture: Image.Image, edge: int, upright: bool) -> Image.Image:
  """The picture in RGB with its shorter side `edge`; of a file, decoded at a reduced scale."""
  if picture.format == "TIFF":
    picture.load()  # Pillow turns these upright itself, and forgets their orientation.
  size = scaled_size(*picture.size, edge)
  turn = _turn(picture) if upright else None
  # Only JPEG can decode at a reduced scale; `box` is the exact extent of the original within it.
  draft = picture.draft(None, tuple(math.ceil(MARGIN * side) for side in size))
  box = draft[1] if draft else None
  small = to_rgb(picture).resize(size, Image.Resampling.LANCZOS, box=box)
  return small if turn is None else small.transpose(turn)


def _turn(picture: Image.Image) -> Image.Transpose | None:
  """How the EXIF orientation says to turn a picture; damaged EXIF says nothing."""
  try:
    return UPRIGHT.get(picture.getexif().get(EXIF_ORIENTATION))
  except Exception:  # Pillow raises whatever its parser stumbles over.
    return None


def to_rgb(picture: Image.Image) -> Image.Image:
  """RGB from any mode; transparency is laid on white."""
  # Pillow would clip 16 bits, and shares of 1, instead of scaling them.
  if picture.mode.startswith("I;16") or picture.mode == "I" and picture.getextrema()[1] > 255:
    levels = np.asarray(picture).clip(0, 65_535)
    return Image.fromarray((levels >> 8).astype(np.uint8)).convert("RGB")
  if picture.mode == "F" and 0 <= picture.getextrema()[0] <= picture.getextrema()[1] <= 1:
    return Image.fromarray((np.asarray(picture) * 255 + 0.5).astype(np.uint8)).convert("RGB")
  if picture.has_transparency_data:
    layer = picture.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")
  return picture if picture.mode == "RGB" else picture.convert("RGB")


def _encode(picture: Image.Image) -> bytes:
  buffer = io.BytesIO()
  picture.info.clear()  # Comments and profiles would be stored along.
  picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
  return buffer.getvalue()


def decode(encoded: bytes, edge: int = 0) -> np.ndarray:
  """Pixels uint8 [H, W] or [H, W, 3] of a stored picture; OSError if it is none.

  Args:
    edge: shorter side to resize it to, in RGB; 0: as it is stored.
  """
  with Image.open(io.BytesIO(encoded)) as picture:
    return np.asarray(resize(picture, edge, upright=False) if edge else picture)

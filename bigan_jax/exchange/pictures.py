"""Pictures that a program holds, arrays and Pillow's, as an encoder sees them."""

from collections.abc import Sequence
import io
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from bigan_jax.data import codec, files

CHANNELS = (1, 3, 4)  # grey, RGB, RGB with transparency
Picture = np.ndarray | Image.Image


def preprocess(images: Picture | Sequence[Picture], how: files.View) -> np.ndarray:
  """Pictures as E takes them: float32 [B, *how.shape] in how.value_range.

  Grey and colour are converted to what E sees, and transparency is laid on white. Pillow's pictures
  are treated as files are, turned by their EXIF orientation too.

  Args:
    images: one picture, which becomes a batch of one, or a batch: of equal sizes uint8
      [B, H, W, C], or [B, H, W] of grey ones; of any sizes a list. A picture is uint8 [H, W, C] or
      [H, W], where C is 1 (grey), 3 (RGB) or 4 (RGB, transparency), or a PIL.Image.Image.

  Raises:
    TypeError: they are no pictures, or not uint8.
    ValueError: there is none; they are channels first, or of other shapes.
  """
  pictures = _listed(images, how)
  if not pictures:
    raise ValueError("preprocess was given no picture: give one or more.")
  low, high = how.value_range
  found = np.empty((len(pictures), *how.shape), np.float32)
  for i, picture in enumerate(pictures):
    found[i] = _seen(picture, how)
  return found * np.float32((high - low) / 255) + np.float32(low)


def _listed(images: Any, how: files.View) -> list[Any]:
  """The pictures of a batch; [the picture] of one."""
  if isinstance(images, Image.Image):
    return [images]
  if not hasattr(images, "ndim"):
    return list(images) if isinstance(images, list | tuple) else [images]
  images = np.asarray(images)
  if images.ndim == 4:
    _check_last(images.shape[1:], images.shape)
  if images.ndim == 2 or images.ndim == 3 and images.shape[2] in CHANNELS:
    return [images]
  if images.ndim == 3 and _channels_first(images.shape, how):
    raise ValueError(_turn_around(images.shape))
  if images.ndim == 3 and images.shape[2] == 2:  # No batch of grey pictures two pixels wide.
    _check_last(images.shape, images.shape)
  return list(images) if images.ndim in (3, 4) else [images]


def _seen(picture: Any, how: files.View) -> np.ndarray:
  """One picture as uint8 how.shape."""
  if isinstance(picture, Image.Image):
    reason = codec.refusal(picture, how.edge) if min(picture.size) else "empty"
    if reason:
      size = f"{picture.width} x {picture.height}"
      raise ValueError(f"A picture of {size} pixels is {reason}: leave it out.")
    return files.fit(_unread(picture), how)
  if not hasattr(picture, "ndim"):
    kind = type(picture).__name__
    raise TypeError(f"preprocess takes arrays and PIL pictures, not {kind}: open it by PIL.Image.")
  picture = np.asarray(picture)
  if picture.dtype != np.uint8:
    raise TypeError(
        f"preprocess takes pixels from 0 to 255 as uint8, not {picture.dtype}: scale and convert "
        "them."
    )
  if picture.ndim == 2:
    picture = picture[:, :, None]
  _check_last(picture.shape, picture.shape)
  if picture.shape == how.shape and how.edge == max(how.shape[:2]):
    return picture
  return _seen(Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture), how)


def _unread(picture: Image.Image) -> Image.Image:
  """The picture, or another of the same file where the reduced decoding would change the caller's.

  Pillow decodes a JPEG when its pixels are asked for first, which it has not been yet if `fp`, the
  open file, is there.
  """
  file = getattr(picture, "fp", None)
  if not isinstance(picture, JpegImagePlugin.JpegImageFile) or file is None:
    return picture
  place = file.tell()
  file.seek(0)
  content = file.read()
  file.seek(place)
  return Image.open(io.BytesIO(content), formats=codec.FORMATS)


def _channels_first(shape: tuple[int, ...], how: files.View) -> bool:
  """Of [N, H, W], which may be grey pictures too: three of them are taken for colours."""
  return shape[0] == 3 or shape[0] == 4 and how.shape[2] == 3


def _check_last(shape: tuple[int, ...], given: tuple[int, ...]) -> None:
  """Raises ValueError unless the shape of a picture is [H, W, C]; `given` is what to name."""
  if len(shape) != 3 or shape[2] not in CHANNELS:
    if len(shape) == 3 and shape[0] in CHANNELS:
      raise ValueError(_turn_around(given))
    raise ValueError(
        f"preprocess takes pictures [H, W, C] where C is 1, 3 or 4, not {list(given)}."
    )


def _turn_around(shape: tuple[int, ...]) -> str:
  first = len(shape) - 3
  grey = " (of three or four grey pictures, add an axis: x[..., None])" if first == 0 else ""
  return (f"Pictures of shape {list(shape)} have their channels first: put them last, by "
          f"numpy.moveaxis(x, {first}, -1){grey}.")

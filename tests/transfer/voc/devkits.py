"""Writes a picture into a devkit as PASCAL VOC lays it out."""

from collections.abc import Iterable
import pathlib

import numpy as np
from PIL import Image

OBJECT = (
    "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)
BOX = (1, 1, 9, 9)


def add(
    root: pathlib.Path, split: str, name: str, pixels: np.ndarray, objects: Iterable[tuple],
    **how: object,
) -> None:
  """Adds uint8 pixels [H, W, 3] and objects (class, difficult, xmin, ymin, xmax, ymax) to a list.

  Args:
    how: to save the pixels, quality=95 or format="PNG".
  """
  for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
    (root / folder).mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.jpg", **how)
  text = "".join(OBJECT.format(*fields) for fields in objects)
  (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{text}</annotation>")
  with open(root / "ImageSets" / "Main" / f"{split}.txt", "a") as file:
    file.write(f"{name}\n")

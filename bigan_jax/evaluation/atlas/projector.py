"""The files that TensorBoard's projector reads: tensors, names, one picture of all thumbnails."""

from collections.abc import Sequence
import pathlib

import numpy as np

from bigan_jax.evaluation import pictures
from bigan_jax.evaluation.atlas import sprites

TENSORS, METADATA, SPRITE = "tensors.tsv", "metadata.tsv", "sprite.png"
CONFIG = "projector_config.pbtxt"
FILES = (TENSORS, METADATA, SPRITE, CONFIG)
LARGEST = 8_192  # pixels of a sprite's side, by TensorBoard


def write(
    folder: pathlib.Path, names: Sequence[str], classes: Sequence[str], features: np.ndarray,
    thumbs: np.ndarray,
) -> None:
  """Writes FILES.

  Args:
    names, classes: n texts. features: float32 [n, f].
    thumbs: uint8 [n, side, side, C]; a sheet of them is at most LARGEST wide.

  Raises:
    ValueError: it would be wider.
  """
  size = thumbs.shape[1]
  if sprites.columns(len(names)) * size > LARGEST:
    raise ValueError(f"{len(names):,} thumbnails of {size} pixels do not fit on a sprite"
                     f" of {LARGEST:,} x {LARGEST:,} pixels: name fewer pictures.")
  np.savetxt(folder / TENSORS, features, "%.6g", "\t")
  rows = [("name", "class"), *zip(names, classes, strict=True)]
  lines = ("\t".join(cell.replace("\t", "\\x09") for cell in row) for row in rows)
  (folder / METADATA).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
  pictures.save(sprites.sheet(thumbs, size), folder / SPRITE)
  (folder / CONFIG).write_text(f"""embeddings {{
  tensor_name: "features"
  tensor_path: "{TENSORS}"
  metadata_path: "{METADATA}"
  sprite {{
    image_path: "{SPRITE}"
    single_image_dim: {size}
    single_image_dim: {size}
  }}
}}
""")

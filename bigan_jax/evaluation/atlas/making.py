"""Makes an atlas of a folder of pictures: the page, and TensorBoard's files."""

import contextlib
import os
import pathlib
from typing import NamedTuple

import numpy as np

from bigan_jax.data import folders, survey
from bigan_jax.evaluation import layer_features
from bigan_jax.evaluation.atlas import page, places, projector, seen, sprites
from bigan_jax.exchange import loaded
from bigan_jax.runs import outputs

MOST = 20_000  # pictures on a page
NAMES = {"tsne": "t-SNE", "pca": "PCA"}
LAYERS = {layer_features.LAST: "the encoder's last hidden layer", layer_features.CODE: "the code"}
Path = pathlib.Path


class Task(NamedTuple):
  """What is made of a folder of pictures.

  layer: of E, see `layer_features.find_layer`. layout: of places.LAYOUTS.
  out: the page. projector: a folder for TensorBoard, or None.
  seed: of the layout, and of the pictures that are taken where there are more than MOST.
  """

  model: loaded.Model
  images: str
  layer: str
  layout: str
  out: Path
  projector: Path | None
  force: bool
  seed: int


def make(task: Task) -> tuple[int, list[tuple[str, str]]]:
  """Writes the page, and TensorBoard's files if they are asked for.

  Returns:
    (how many pictures are shown, [(name, reason)] of all that was left out).

  Raises:
    FileNotFoundError: no such folder.
    FileExistsError: an output is there.
    ValueError: there is no E; fewer than two pictures can be read; the layer is unknown; its
      features are alike or not finite.
  """
  if task.model.E is None:
    raise ValueError("The model has no encoder, being a plain GAN, so that there are no features: "
                     "name another by --model.")
  lying = survey.find(task.images, "--images")
  layer = layer_features.find_layer(task.model, task.layer)
  names = drawn(lying.pictures, task.seed)
  with contextlib.ExitStack() as stack:
    out = stack.enter_context(outputs.new_file(task.out, task.force))
    folder = task.projector and stack.enter_context(
        outputs.new_folder(task.projector, task.force, outputs.only(*projector.FILES)))
    found = seen.look(task.model, layer, task.images, names, sprites.side(len(names)))
    atlas = _atlas(task, found, seen.classes(task.images, lying))
    out.write_text(page.page(atlas), encoding="utf-8")
    if folder:
      projector.write(folder, atlas.names, atlas.classes, found.features, found.x)
  return len(found.names), lying.left + found.skipped


def drawn(names: list[str], seed: int) -> list[str]:
  """All names or, which is said, MOST of them."""
  if len(names) <= MOST:
    return names
  print(f"{MOST:,} of {len(names):,} pictures, drawn by --seed={seed}: an atlas holds no more.")
  chosen = np.random.default_rng(seed).choice(len(names), MOST, replace=False)
  return [names[i] for i in np.sort(chosen)]


def _atlas(task: Task, found: seen.Seen, known: dict[str, str]) -> page.Atlas:
  """What the page shows; `known`: {name: class}."""
  model, count = task.model, len(found.names)
  kind = NAMES[places.suited(task.layout, count)]
  print(f"Laying out {count:,} pictures by {kind} ...", flush=True)
  about = (f"{count:,} pictures, laid out by {kind} of {LAYERS.get(task.layer, task.layer)}, "
           f"{found.features.shape[1]:,} numbers each. {model.config.objective}, recipe "
           f"{model.config.recipe}, after {model.step:,} updates.")
  folder = os.path.basename(os.path.abspath(task.images))
  return page.Atlas(
      f"Atlas of {folders.escape(folder)}", about,
      [folders.escape(name) for name in found.names],
      [folders.escape(known.get(name, "")) for name in found.names],
      places.places(found.features, task.layout, task.seed), places.nearest(found.features),
      found.x, found.back,
  )

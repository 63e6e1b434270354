"""Draws boxes with names and scores into pictures: what is found beside what there is."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bigan_jax.data import voc
from bigan_jax.evaluation.pictures import grid
from bigan_jax.transfer.voc import scorers
from bigan_jax.transfer.voc.dataset import Pictures, thumbnail

PAIRS = 12  # pictures shown
SIDE = 320  # pixels of each
COLUMNS = 4
SURE = 0.3  # only detections at least so sure are drawn


def draw(image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, notes: Sequence[str]
         ) -> np.ndarray:
  """A picture uint8 [H, W, 3] in a square of SIDE, each box [n, 4] in the colour of its class.

  Args:
    labels: [n], 0 .. K - 1. notes: of each box, written at its upper edge.
  """
  scale = SIDE / max(image.shape[:2])
  size = tuple(max(1, round(n * scale)) for n in image.shape[1::-1])
  canvas = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
  pen, font = ImageDraw.Draw(canvas), ImageFont.load_default()
  for box, label, note in zip(boxes * scale, labels, notes, strict=True):
    colour = tuple(voc.colours()[1 + label % 255].tolist())  # 0 is the background's.
    corners = [float(x) for x in (*box[:2], *np.maximum(box[:2], box[2:]))]
    pen.rectangle(corners, outline=colour, width=2)
    place = corners[0], max(corners[1] - 11, 0)
    pen.rectangle(pen.textbbox(place, note, font), fill=colour)
    pen.text(place, note, (255, 255, 255) if sum(colour) < 384 else (0, 0, 0), font)
  return thumbnail(np.asarray(canvas), SIDE)


def montage(pictures: Pictures, found: Sequence[scorers.Detections]) -> np.ndarray:
  """Some pictures, evenly out of all: in each pair the true boxes, then what was found, uint8."""
  cells, names = [], pictures.classes
  for i in np.unique(np.linspace(0, len(pictures) - 1, PAIRS).round().astype(int)):
    image, picture, detections = pictures.image(i), pictures.pictures[i], found[i]
    hard = [" (difficult)" if d else "" for d in picture.difficult]
    notes = [names[label] + more for label, more in zip(picture.labels, hard)]
    cells.append(draw(image, picture.boxes, picture.labels, notes))
    sure = np.flatnonzero(detections.scores >= SURE)[::-1]  # The surest ones lie on top.
    labels, scores = detections.labels[sure], detections.scores[sure]
    notes = [f"{names[label]} {score:.2f}" for label, score in zip(labels, scores)]
    cells.append(draw(image, detections.boxes[sure], labels, notes))
  return grid(np.stack(cells), COLUMNS)

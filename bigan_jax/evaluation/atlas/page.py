"""The page: what its scripts need to know, inside of HTML that loads nothing from elsewhere."""

import base64
from collections.abc import Sequence
import html
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np

from bigan_jax.evaluation import web
from bigan_jax.evaluation.atlas import sprites

HERE = pathlib.Path(__file__).parent
SCRIPTS, STYLE = ("map.js", "panel.js"), "atlas.css"  # beside this file
STEPS = 2**16 - 1  # of a coordinate


class Atlas(NamedTuple):
  """What a page shows of n pictures.

  title, about: texts. names, classes: n texts, the latter "" of pictures that have none.
  places: float [n, 2] within 0 and 1. nearest: int [n, k], other pictures, the nearest first.
  x, back: thumbnails of pictures and of reconstructions, uint8 [n, side, side, C].
  """

  title: str
  about: str
  names: Sequence[str]
  classes: Sequence[str]
  places: np.ndarray
  nearest: np.ndarray
  x: np.ndarray
  back: np.ndarray


BODY = """<main id="map"><canvas tabindex="0" role="img" aria-label="{title}"></canvas>
<div id="card" hidden></div></main>
<aside>
<h1>{title}</h1>
<p class="small">{about}</p>
<p><input type="search" id="search" placeholder="Search names" aria-label="Search names"></p>
<p class="small" id="count" aria-live="polite"></p>
<p><button id="region" aria-pressed="false">Select a region</button>
<button id="clear">Clear</button> <button id="fit">Show all</button>
<button id="save">Save list</button></p>
<section id="detail"><p class="small">Point at a picture to see it beside its reconstruction, click
it for its nearest neighbours. Scroll or pinch to zoom, drag to move, drag with Shift to select a
region.</p></section>
<section id="legend"></section>
</aside>
<noscript>This page needs JavaScript.</noscript>
<img id="x" alt="" hidden src="{x}"><img id="back" alt="" hidden src="{back}">
<script type="application/json" id="data">{data}</script>
<script>{script}</script>"""


def page(atlas: Atlas) -> str:
  """The whole page."""
  sheets = {
      name: web.address(sprites.jpeg(sprites.sheet(x, sprites.cell(x))), "jpeg")
      for name, x in (("x", atlas.x), ("back", atlas.back))
  }
  body = BODY.format(
      title=html.escape(atlas.title), about=html.escape(atlas.about), data=plain(_data(atlas)),
      script="".join(map(_file, SCRIPTS)), **sheets,
  )
  return web.document(atlas.title, body, _file(STYLE))


def _file(name: str) -> str:
  return (HERE / name).read_text(encoding="utf-8")


def plain(data: Any) -> str:
  """JSON that no tag in a name can end the script of."""
  return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _data(atlas: Atlas) -> dict[str, Any]:
  known = sorted(set(atlas.classes))
  number = {name: i for i, name in enumerate(known)}
  return {
      "names": list(atlas.names), "classes": known,
      "classOf": _packed([number[name] for name in atlas.classes]),
      "places": _packed(np.round(atlas.places * STEPS)),
      "near": _packed(atlas.nearest), "nearest": atlas.nearest.shape[1],
      "columns": sprites.columns(len(atlas.names)),
      "sheets": {name: {"side": x.shape[1], "cell": sprites.cell(x)}
                 for name, x in (("x", atlas.x), ("back", atlas.back))},
  }


def _packed(values: Any) -> str:
  """Numbers below 2^16 as the script reads them."""
  return base64.b64encode(np.asarray(values, "<u2").tobytes()).decode()

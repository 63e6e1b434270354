"""Parts of self-contained HTML pages: they load nothing from elsewhere."""

import base64
from collections.abc import Iterable, Sequence
import html
import io
import pathlib
from typing import Any

from matplotlib.figure import Figure

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
h1, h2, h3 { line-height: 1.2; } h2 { border-top: 1px solid #ccc; padding-top: 1.2rem; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .6rem; border-bottom: 1px solid #e4e4e4; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; } figure { display: inline-block; margin: .5rem 1rem .5rem 0;
  vertical-align: top; } figcaption { color: #555; font-size: 13px; }
img { max-width: 100%; image-rendering: pixelated; border: 1px solid #e4e4e4; }
svg { max-width: 100%; height: auto; } details { margin: .6rem 0; }
"""


def named(name: str, flag: str = "--out") -> pathlib.Path:
  """Where a page goes; ValueError for a name that a browser would not take for a page's."""
  path = pathlib.Path(name).expanduser()
  if path.suffix.lower() not in (".html", ".htm"):
    raise ValueError(f"{flag}={name} is no name of a page: give it the ending .html.")
  return path


def document(title: str, body: str, style: str = "") -> str:
  """A whole page; `style` comes after STYLE."""
  head = ('<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
          f"<title>{html.escape(title)}</title><style>{STYLE}{style}</style>")
  return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def table(rows: Iterable[Sequence[Any]]) -> str:
  """An HTML table; the first row is its head."""
  def line(cells: Sequence[Any], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(show(c))}</{tag}>" for c in cells) + "</tr>"
  head, *body = rows
  inside = line(head, "th") + "".join(line(row, "td") for row in body)
  return f'<div class="scroll"><table>{inside}</table></div>'


def show(value: Any) -> str:
  """A cell's text; numbers to four digits."""
  if value is None:
    return ""
  return f"{value:.4g}" if isinstance(value, float) else str(value)


def image(png: bytes, label: str) -> str:
  """A picture, inside the page."""
  return f'<img src="{address(png, "png")}" alt="{html.escape(label)}">'


def address(picture: bytes, kind: str) -> str:
  """The address of a picture that is its content; kind: png, jpeg."""
  return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def svg(figure: Figure) -> str:
  """A drawing, inside the page."""
  text = io.StringIO()
  figure.savefig(text, format="svg", metadata={"Date": None})
  return text.getvalue()[text.getvalue().index("<svg"):]

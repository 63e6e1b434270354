"""A run's pictures inside a report: those of which there are many over time, under a slider."""

from collections.abc import Sequence
import html
import io
import pathlib

from PIL import Image

from bigan_jax.evaluation import web
from bigan_jax.evaluation.tables.run_folders import Run

STEPS = 20  # pictures of a slider, of all runs on a page together
LARGE = 64_000  # bytes of a PNG, above which a page has the picture as WebP
QUALITY = 80
SIDE = 16_000  # pixels at most: WebP has no more than 16,383
NEWEST = "filters"  # what begins so hardly changes: the newest is shown
SCRIPT = """<script>
for (const slider of document.querySelectorAll("figure input")) {
  const figure = slider.parentElement, pictures = [...figure.querySelectorAll("img")];
  slider.addEventListener("input", () => {
    pictures.forEach((picture, i) => { picture.hidden = i != slider.value; });
    figure.querySelector("figcaption").textContent = pictures[slider.value].alt;
  });
}
</script>"""


def figures(run: Run, runs: int = 1) -> str:
  """All of a run's pictures; runs: how many share the page, and so its size."""
  epochs = {row["step"]: row["epoch"] for row in run.rows if "epoch" in row}
  def caption(name: str, path: pathlib.Path) -> str:
    if not path.stem.isdigit():
      return name
    step = int(path.stem)
    when = f"epoch {epochs[step]:,}, step {step:,}" if step in epochs else f"step {step:,}"
    return f"{name}: {when}"
  parts = []
  for name, paths in sorted(run.pictures.items(), key=lambda item: item[0].startswith(NEWEST)):
    over_time = all(path.stem.isdigit() for path in paths) and not name.startswith(NEWEST)
    shown = spread(paths, max(2, STEPS // runs)) if over_time else paths[-1:]
    parts.append(_figure(shown, [caption(name, path) for path in shown]))
  return "".join(parts)


def spread(items: Sequence[pathlib.Path], most: int) -> list[pathlib.Path]:
  """At most so many, evenly, the first and the last among them."""
  if len(items) <= most:
    return list(items)
  return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _figure(paths: Sequence[pathlib.Path], captions: Sequence[str]) -> str:
  """A picture, or several of which a slider shows one, at first the last."""
  last = len(paths) - 1
  images = "".join(_image(path, text, i < last) for i, (path, text) in
                   enumerate(zip(paths, captions, strict=True)))
  slider = (f'<input type="range" min="0" max="{last}" value="{last}" autocomplete="off" '
            'aria-label="time">') if last else ""
  return f"<figure>{images}{slider}<figcaption>{html.escape(captions[-1])}</figcaption></figure>"


def _image(path: pathlib.Path, label: str, hidden: bool) -> str:
  content, kind = path.read_bytes(), "png"
  if len(content) > LARGE:
    file = io.BytesIO()
    with Image.open(path) as picture:
      picture.thumbnail((SIDE, SIDE))
      picture.convert("RGB").save(file, "WEBP", quality=QUALITY)
    content, kind = file.getvalue(), "webp"
  image = f'<img src="{web.address(content, kind)}" alt="{html.escape(label)}"'
  return f"{image}{' hidden' if hidden else ''}>"

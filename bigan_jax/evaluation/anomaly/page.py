"""One page of the most and the least suspicious pictures: nothing is loaded from elsewhere."""

import html
import io
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure
import numpy as np

from bigan_jax.data import folders
from bigan_jax.data.preprocess import to_uint8
from bigan_jax.evaluation import pictures, web
from bigan_jax.evaluation.anomaly import ranking, scores
from bigan_jax.exchange import blocks, loaded

MOST, LEAST = 32, 8  # pictures shown
BINS = 50
PANELS = "Each is a picture, its reconstruction, and where they differ"
STYLE = """
th, td { white-space: nowrap; } .scroll svg { min-width: 48rem; }
figure { cursor: zoom-in; width: 15rem; max-width: 100%; }
figure img { width: 100%; box-sizing: border-box; } figure .scroll { display: none; }
figure.above img { border: 2px solid #c0392b; } figcaption { overflow-wrap: anywhere; }
dialog { border: 1px solid #999; box-sizing: border-box; max-width: 94vw; max-height: 94vh; }
dialog figure { cursor: zoom-out; width: 44rem; margin: 0; }
dialog figure .scroll { display: block; }
"""
SCRIPT = """<script>
const box = document.querySelector("dialog");
for (const shown of document.querySelectorAll("figure")) {
  const open = () => { box.replaceChildren(shown.cloneNode(true)); box.showModal(); };
  shown.addEventListener("click", open);
  shown.addEventListener("keydown", key => { if (key.key === "Enter") open(); });
}
box.addEventListener("click", () => box.close());
</script>"""


class Verdict(NamedTuple):
  """Judged pictures, the most suspicious first.

  names: [n]. scores: {score: [n]}. labels: [n], 1 an anomaly, 0 normal, -1 unknown.
  score: that counts. threshold: of it. metrics: of metrics.json.
  """

  names: list[str]
  scores: dict[str, np.ndarray]
  labels: np.ndarray
  score: str
  threshold: float
  metrics: dict[str, Any]

  @property
  def flagged(self) -> np.ndarray:
    """Which lie above the threshold: bool [n]."""
    return self.scores[self.score] > self.threshold

  def shown(self) -> list[int]:
    """Numbers of the pictures that the page shows: the MOST first and the LEAST last."""
    count = len(self.names)
    return list(range(count)) if count <= MOST + LEAST else [
        *range(MOST), *range(count - LEAST, count)]


def page(model: loaded.Model, verdict: Verdict, images: np.ndarray) -> str:
  """The whole page; images: of verdict.shown(), as E sees them, uint8 [m, H, W, C]."""
  strips = panels(model, images)
  figures = [_figure(verdict, i, strip) for i, strip in zip(verdict.shown(), strips, strict=True)]
  least = len(figures) - LEAST if len(figures) == MOST + LEAST else len(figures)
  above = int(verdict.flagged.sum())
  parts = [
      "<h1>Which of these pictures do not belong?</h1>",
      f"<p>{len(verdict.names):,} pictures, {above:,} of them above the threshold"
      f" {verdict.threshold:.4g} of the score <b>{verdict.score}</b>:"
      f" {html.escape(scores.TITLES[verdict.score])}.</p>",
      _measures(verdict.metrics),
      f'<div class="scroll">{drawing(verdict)}</div>',
      f"<h2>The most suspicious</h2><p>{PANELS if model.E else 'The pictures'}. A red frame: above "
      f"the threshold. Click one to see it larger.</p>{''.join(figures[:least])}",
  ]
  if figures[least:]:
    parts.append(f"<h2>The least suspicious</h2>{''.join(figures[least:])}")
  body = f"{''.join(parts)}<dialog></dialog>{SCRIPT}"
  return web.document("Anomalies", body, STYLE)


def panels(model: loaded.Model, images: np.ndarray) -> list[bytes]:
  """PNGs of x, G(E(x)) and a heat map of where they differ, side by side; without E of x alone."""
  if model.E is None:
    return [_png(pictures.grid(image[None], 1)) for image in images]
  looks = [scores.look(model, block.images) for block in blocks.of(
      ((str(i), image) for i, image in enumerate(images)), [], model.encoder_shape)]
  x, back, apart = (
      np.concatenate([np.asarray(part) for part in parts])[:len(images)] for parts in
      zip(*((*look, scores.residual(look)) for look in looks))
  )
  heat = np.uint8(255 * matplotlib.colormaps["inferno"](apart / max(apart.max(), 1e-12))[..., :3])
  seen, made = (_coloured(np.asarray(to_uint8(part, model.value_range))) for part in (x, back))
  return [_png(pictures.grid(np.stack(three), 3)) for three in zip(seen, made, heat)]


def drawing(verdict: Verdict) -> str:
  """Histogram of scores and, where labels are known, ROC and precision-recall curves: one SVG."""
  values, labels = verdict.scores[verdict.score], verdict.labels
  known = labels >= 0
  ranked = known.any() and ranking.both(labels[known])
  kinds = {"normal": labels == 0, "anomalies": labels == 1, "unknown": labels < 0}
  with matplotlib.rc_context({"svg.hashsalt": "", "font.size": 8}):
    figure = Figure(figsize=(11, 2.8), layout="constrained")
    axes = figure.subplots(1, 3 if ranked else 1, squeeze=False)[0]
    edges = np.linspace(values.min(), np.nextafter(values.max(), np.inf), BINS + 1)
    for name, which in kinds.items():
      if which.any():
        axes[0].hist(values[which], edges, label=name, histtype="stepfilled", alpha=0.6)
    axes[0].axvline(verdict.threshold, color="black", linestyle="--", label="threshold")
    axes[0].set(title="pictures by score", xlabel=verdict.score)
    axes[0].legend()
    if ranked:
      _curves(axes[1:], ranking.curve(values[known], labels[known]), labels[known].mean())
    return web.svg(figure)


def _curves(axes: np.ndarray, curve: ranking.Curve, base_rate: float) -> None:
  alarms, hits = curve.roc()
  axes[0].plot([0, *alarms], [0, *hits])
  axes[0].plot([0, 1], [0, 1], color="grey", linestyle=":")
  axes[0].set(title="ROC", xlabel="false alarms among normal pictures", ylabel="anomalies found")
  axes[1].step(hits, curve.precision(), where="post")
  axes[1].axhline(base_rate, color="grey", linestyle=":", label="base rate")
  axes[1].set(title="precision and recall", xlabel="anomalies found", ylabel="precision",
              ylim=(0, 1.05))
  axes[1].legend()


def _measures(metrics: dict[str, Any]) -> str:
  """The table of metrics.json, if anything is known."""
  if not metrics.get("scores"):
    return f"<p>{html.escape(metrics['note'])}</p>" if metrics.get("note") else ""
  cell = lambda found, name: "{:.3f} ({:.3f} to {:.3f})".format(found[name],
                                                              *found[f"{name}_interval"])
  rows = [("score", *ranking.NAMES)]
  rows += [(score, *(cell(found, name) for name in ranking.NAMES))
           for score, found in metrics["scores"].items()]
  return (f"<p>{metrics['anomalies']:,} of {metrics['labelled']:,} labelled pictures are anomalies:"
          f" a base rate of {metrics['base_rate']:.3f}, which is the AUPR of chance. In brackets: "
          f"95 % of {ranking.FOLDS} draws. F1 is the best of all thresholds.</p>{web.table(rows)}")


def _figure(verdict: Verdict, i: int, png: bytes) -> str:
  name, value = folders.escape(verdict.names[i]), verdict.scores[verdict.score][i]
  label = {1: ", anomaly", 0: ", normal"}.get(int(verdict.labels[i]), "")
  caption = html.escape(f"{i + 1:,}. {name}: {value:.4g}{label}")
  all_scores = web.table([("score", "value"), *(
      (title, float(values[i])) for title, values in verdict.scores.items())])
  kind = ' class="above"' if verdict.flagged[i] else ""
  return (f'<figure{kind} tabindex="0">{web.image(png, name)}<figcaption>{caption}</figcaption>'
          f"{all_scores}</figure>")


def _coloured(images: np.ndarray) -> np.ndarray:
  return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def _png(picture: np.ndarray) -> bytes:
  """A picture uint8 [H, W, 1 or 3] as a file."""
  file = io.BytesIO()
  pictures.image(picture).save(file, "PNG")
  return file.getvalue()

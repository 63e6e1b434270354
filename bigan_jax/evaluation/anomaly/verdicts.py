"""From scores to what is written: a sorted list, the threshold, how well it ranks, a page."""

import csv
import json
import pathlib
from typing import Any

import numpy as np

from bigan_jax.data import folders, survey
from bigan_jax.evaluation.anomaly import fitting, measuring, page, ranking
from bigan_jax.evaluation.anomaly.page import Verdict
from bigan_jax.evaluation.anomaly.subjects import Subjects
from bigan_jax.exchange import loaded

SCORES, THRESHOLD, METRICS, PAGE = "scores.csv", "threshold.json", "metrics.json", "index.html"
FILES = (SCORES, THRESHOLD, METRICS, PAGE, folders.SKIPPED_FILE)


def judge(
    model: loaded.Model, subjects: Subjects, options: fitting.Options, folder: pathlib.Path
) -> Verdict:
  """Learns from the normal pictures, judges the others, and writes FILES to `folder`.

  Raises:
    ValueError: as `fitting.fit`; no picture can be read.
  """
  fitted, normal = fitting.fit(model, subjects.normal, options, "normal")
  found = measuring.measure(
      model, subjects.images, held_against=fitted.normal, title="judged"
  )
  order = np.argsort(-found.scores[fitted.score], kind="stable")
  kept = found.kept[order]
  verdict = Verdict(
      [subjects.images.names[i] for i in kept],
      {name: values[order] for name, values in found.scores.items()},
      subjects.labels[kept], fitted.score, fitted.threshold, {},
  )
  verdict = verdict._replace(metrics=metrics(verdict))
  write_scores(folder / SCORES, verdict)
  about = threshold(fitted, options.contamination, len(normal.kept))
  _write_json(folder / THRESHOLD, about | {"step": model.step})
  if verdict.metrics:
    _write_json(folder / METRICS, verdict.metrics)
  images = measuring.read(subjects.images, [int(kept[i]) for i in verdict.shown()])
  (folder / PAGE).write_text(page.page(model, verdict, images), encoding="utf-8")
  left = subjects.left + normal.skipped + found.skipped
  if left:
    (folder / folders.SKIPPED_FILE).write_text(survey.listing(left), encoding="utf-8")
  return verdict


def write_scores(path: pathlib.Path, verdict: Verdict) -> None:
  """Writes a row a picture, the most suspicious first; gt_label only where any is known."""
  known = bool((verdict.labels >= 0).any())
  head = ["image_path", "pred_score", "pred_label", *(["gt_label"] if known else []),
          *(f"score_{name}" for name in verdict.scores)]
  truth = [["" if label < 0 else int(label)] if known else [] for label in verdict.labels]
  number = "{:.9g}".format  # Every float32 is told from its neighbours.
  with open(path, "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(head)
    for i, name in enumerate(verdict.names):
      writer.writerow([
          folders.escape(name), number(verdict.scores[verdict.score][i]),
          int(verdict.flagged[i]), *truth[i],
          *(number(values[i]) for values in verdict.scores.values()),
      ])


def threshold(fitted: fitting.Fitted, contamination: float, pictures: int) -> dict[str, Any]:
  """What threshold.json says, of so many normal pictures."""
  return {
      "score": fitted.score, "threshold": fitted.threshold, "quantile": 1 - contamination,
      "contamination": contamination, "normal_pictures": pictures,
      "held_out": len(fitted.normal.held_out[fitted.score]), "neighbours": fitted.normal.k,
      "scales": fitted.normal.scales,
  }


def metrics(verdict: Verdict) -> dict[str, Any]:
  """What metrics.json says; {} where no label is known."""
  known = verdict.labels >= 0
  labels = verdict.labels[known]
  if not known.any():
    return {}
  counts = {"images": len(known), "labelled": len(labels), "anomalies": int(labels.sum()),
            "base_rate": float(labels.mean()), "score": verdict.score}
  if not ranking.both(labels):
    kind = "an anomaly" if labels[0] else "normal"
    return counts | {"note": f"Every labelled picture is {kind}, so there is no AUROC, AUPR or F1: "
                             "judge both kinds."}
  flagged = verdict.flagged[known]
  found = {name: ranking.judge(values[known], labels) for name, values in verdict.scores.items()}
  return counts | {
      "above_threshold": int(flagged.sum()),
      "recall": float(flagged[labels == 1].mean()),
      "false_alarms": float(flagged[labels == 0].mean()),
      "scores": found,
  }


def sentence(verdict: Verdict) -> str:
  """What a person reads at the end."""
  above = int(verdict.flagged.sum())
  count = len(verdict.names)
  said = (f"{count:,} picture{'s' * (count != 1)}, {above:,} above the threshold "
          f"{verdict.threshold:.4g} of {verdict.score}.")
  if found := verdict.metrics.get("scores", {}).get(verdict.score):
    each = (f"{name} {found[name]:.3f} ({low:.3f} to {high:.3f})" for name in ranking.NAMES
            for low, high in [found[f"{name}_interval"]])
    said += f" {', '.join(each)}; base rate {verdict.metrics['base_rate']:.3f}."
  note = verdict.metrics.get("note", "")
  return f"{said} {note}".strip()


def _write_json(path: pathlib.Path, values: dict[str, Any]) -> None:
  path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n")

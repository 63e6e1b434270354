"""The job of configs/linear_probe.py: every layer's features, judged by probe and neighbours."""

import pathlib
from typing import Any, NamedTuple

from absl import logging
import ml_collections
import numpy as np

from bigan_jax.data import survey
from bigan_jax.data.splits import Split
from bigan_jax.evaluation import encoders, layer_features, linear_probe, retrieval
from bigan_jax.evaluation.encoders import Encoder
from bigan_jax.runs import data_record, results
from bigan_jax.training import console

FILES = ("results.*", "confusion_*.csv")

Row = dict[str, Any]


class Verdict(NamedTuple):
  """What came out for one layer.

  row: of the table; accuracies in percent.
  fit: how the probe was fitted, for results.json.
  confusion: [classes, classes] judged images, by their class and by the probe's.
  """

  row: Row
  fit: dict[str, Any]
  confusion: np.ndarray


def run(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Judges the layers of a trained network, and of an untrained one if asked to."""
  results.check(workdir, config.to_dict(), FILES)
  trained = encoders.read(config.encoder, config.encoder_step)
  train, judged, data = encoders.pictures(config, trained)
  missing = left_out(data.name, train, judged)
  judges = [encoders.trained_encoder(trained)]
  if config.baseline == "random":
    judges.append(encoders.untrained(
        trained, train.images, config.seed, config.batch_size, config.calibration_steps
    ))
  asked = [(s, layer) for s in judges for layer in layers(config, s, train)]
  with results.replacing(workdir, config.to_dict(), FILES) as folder:
    data_record.write(folder, survey.fingerprint(train.about))
    verdicts, table = [], console.Table()
    for encoder, layer in console.over(asked, len(asked), "linear probe, layers"):
      verdicts.append(judge(config, encoder, layer, train, judged))
      table.print(shown(verdicts[-1].row), 8)
      write_confusion(folder, verdicts[-1])
    rows = [verdict.row for verdict in verdicts]
    results.write_csv(folder / "results.csv", rows)
    (folder / "results.md").write_text(results.markdown([shown(row) for row in rows]))
    results.write_json(folder, {
        "encoder": config.encoder, "step": trained.step, "objective": trained.config.objective,
        "data": data.name, "splits": data.splits, "train_images": train.size,
        "judged_images": judged.size, "classes": train.num_classes, "left_out": missing,
        "seed": config.seed, "best": {s.name: best(rows, s.name) for s in judges},
        "rows": [verdict.row | verdict.fit for verdict in verdicts],
    })
  for encoder in judges:
    row = best(rows, encoder.name)
    print(f"Best of the {encoder.name} network: {row['layer']}, {row['linear']:.2f} %.")


def left_out(name: str, train: Split, judged: Split) -> list[int]:
  """Classes that cannot be learned, for want of training images; says so.

  Raises:
    ValueError: the images have no labels at all.
  """
  if not train.num_classes:
    raise ValueError(f"The images of {name} have no labels: take a set with classes.")
  missing = sorted(set(range(train.num_classes)) - set(np.unique(train.labels).tolist()))
  if missing:
    errors = int(np.isin(judged.labels, missing).sum())
    if errors == judged.size:
      raise ValueError(f"No class of the {errors:,} judged images of {name} has a training image: "
                       "give both splits the same classes.")
    some = ", ".join(map(str, missing[:5])) + (", ..." if missing[5:] else "")
    logging.warning("%d of the %d classes of %s have no training image (numbers %s): they are left "
                    "out, and their %d judged images count as errors.", len(missing),
                    train.num_classes, name, some, errors)
  return missing


def layers(
    config: ml_collections.ConfigDict, encoder: Encoder, train: Split
) -> tuple[str, ...]:
  """The layers to judge."""
  known = layer_features.shapes(encoder, train.images, config.probe.size)
  return layer_features.choose(config.layers, known, layer_features.all_layers(encoder, known))


def judge(
    config: ml_collections.ConfigDict, encoder: Encoder, layer: str, train: Split, judged: Split
) -> Verdict:
  """Learns from the training images' features, and judges by those of the others."""
  size, k = config.probe.size, config.neighbours
  x, queries = (layer_features.extract(encoder, s.images, layer, size) for s in (train, judged))
  found = retrieval.nearest(queries, x, k)
  near = {
      f"{n}-NN {distance}": round(accuracy, 3) for n in sorted({1, k})
      for distance, accuracy in retrieval.accuracies(found, train.labels, judged.labels, n).items()
  }
  probe = linear_probe.fit(
      x, train.labels, tuple(config.probe.l2), config.probe.validation_share, config.seed
  )
  guesses = probe.predict(queries)
  confusion = np.zeros((train.num_classes, train.num_classes), np.int64)
  np.add.at(confusion, (judged.labels, guesses), 1)
  linear = round(float(100 * np.mean(guesses == judged.labels)), 3)
  row = {"network": encoder.name, "layer": layer, "dim": x.shape[1], "linear": linear, **near,
         "l2": probe.l2}
  solution = probe.solution
  fit = {
      "loss": float(solution.loss), "steps": int(solution.steps),
      "converged": bool(solution.converged),
      "validation": {f"{l2:g}": round(accuracy, 3) for l2, accuracy in probe.validation.items()},
  }
  return Verdict(row, fit, confusion)


def best(rows: list[Row], network: str) -> Row:
  """The row of a network's layer with the highest linear accuracy."""
  return max((row for row in rows if row["network"] == network), key=lambda row: row["linear"])


def shown(row: Row) -> Row:
  """A row as people read it: accuracies in percent with two decimals."""
  text = lambda name, value: f"{value:g}" if name == "l2" else f"{value:.2f}"
  percent = lambda name: name if name == "l2" else f"{name} %"
  return {
      percent(name) if isinstance(value, float) else name:
          text(name, value) if isinstance(value, float) else str(value)
      for name, value in row.items()
  }


def write_confusion(folder: pathlib.Path, verdict: Verdict) -> None:
  """Writes confusion_LAYER.csv: a row for each true class, a column for each guess."""
  network, layer = verdict.row["network"], verdict.row["layer"]
  name = layer if network == "trained" else f"{network}_{layer}"
  rows = [
      {"class": true} | dict(enumerate(counts)) for true, counts in
      enumerate(verdict.confusion.tolist())
  ]
  results.write_csv(folder / f"confusion_{name}.csv", rows)

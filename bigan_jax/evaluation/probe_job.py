"""The job of configs/linear_probe.py: classifiers and neighbours judge every layer's features."""

from collections.abc import Iterator
import pathlib
from typing import Any, NamedTuple

from absl import logging
import ml_collections
import numpy as np

from bigan_jax.data import survey
from bigan_jax.data.splits import Split
from bigan_jax.evaluation import (
  comparison,
  encoders,
  layer_features,
  linear_probe,
  mlp_probe,
  retrieval,
)
from bigan_jax.evaluation.comparison import Row
from bigan_jax.evaluation.encoders import Encoder
from bigan_jax.evaluation.linear_probe import Problem
from bigan_jax.exchange.pretrained import Pretrained
from bigan_jax.runs import data_record, results
from bigan_jax.training import console

FILES = ("results.*", "confusion_*.csv", "compared.*", "pictures")
COLUMNS = {"logistic": "linear", "mlp": "mlp"}  # of accuracies, by classifier


class Verdict(NamedTuple):
  """What came out for one layer.

  row: of the table; accuracies in percent.
  fit: how the classifier was fitted, for results.json.
  confusion: [classes, classes] judged images, by their class and by the classifier's.
  """

  row: Row
  fit: dict[str, Any]
  confusion: np.ndarray


class Features(NamedTuple):
  """Of one layer: x [N, f] to learn from, queries [M, f] to judge by, and x's moments and axes."""

  x: np.ndarray
  queries: np.ndarray
  problem: Problem

  def reduced(self, count: int) -> "Features":
    """The leading principal components alone."""
    x, queries = (linear_probe.leading(self.problem, a, count) for a in (self.x, self.queries))
    labels = self.problem.classes[np.asarray(self.problem.targets)]
    return Features(x, queries, linear_probe.frame(x, labels))


def run(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Judges the layers of a trained network, and of untrained ones if asked to."""
  results.check(workdir, config.to_dict(), FILES)
  of_pairs = config.discriminator or any(n.startswith(layer_features.PAIRS) for n in config.layers)
  whose, step = config.encoder, config.encoder_step
  players = encoders.read_with_discriminator(whose, step) if of_pairs else [
      encoders.read(whose, step)]
  trained = players[0]
  train, judged, data = encoders.pictures(config, trained)
  missing = left_out(data.name, train, judged)
  judges = networks(config, players, train)
  asked = subjects(config, judges, train)
  with results.replacing(workdir, config.to_dict(), FILES) as folder:
    data_record.write(folder, survey.fingerprint(train.about))
    verdicts, table = [], console.Table()
    for encoder, layer in console.over(asked, len(asked), f"{config.classifier} probe, layers"):
      for verdict in judge(config, encoder, layer, train, judged, folder):
        verdicts.append(verdict)
        table.print(comparison.shown(verdict.row), 8)
        write_confusion(folder, verdict)
    rows, column = [verdict.row for verdict in verdicts], COLUMNS[config.classifier]
    found = {name: comparison.best(rows, name, column) for name in dict.fromkeys(
        encoder.name for encoder in judges)}
    write_tables(folder, rows, {
        "encoder": config.encoder, "step": trained.step, "objective": trained.config.objective,
        "data": data.name, "splits": data.splits, "train_images": train.size,
        "judged_images": judged.size, "classes": train.num_classes, "left_out": missing,
        "seed": config.seed, "epoch": trained.metrics.get("epoch"),
        "last_hidden": judges[0].network.feature_layer, "best": found,
        "rows": [verdict.row | verdict.fit for verdict in verdicts],
    })
  for name, row in found.items():
    print(f"Best of the {name} network: {row['layer']}, {row[column]:.2f} %.")


def write_tables(folder: pathlib.Path, rows: list[Row], summary: dict[str, Any]) -> None:
  """Writes results.* and the plot; with untrained networks prints and writes compared.* too."""
  results.write_csv(folder / "results.csv", rows)
  shown = [comparison.shown(row) for row in rows]
  (folder / "results.md").write_text(results.markdown(shown), encoding="utf-8")
  compared = comparison.compared(rows)
  if compared:
    results.write_csv(folder / "compared.csv", compared)
    text = results.markdown(comparison.with_spreads(compared))
    (folder / "compared.md").write_text(text, encoding="utf-8")
    print(text, end="")
    summary = summary | {"compared": compared}
  results.write_json(folder, summary)
  (folder / "pictures").mkdir()
  comparison.draw(folder / "pictures" / "layers.png", rows)


def left_out(name: str, train: Split, judged: Split) -> list[int]:
  """Classes that cannot be learned, for want of training images; says so.

  Raises:
    ValueError: the images have no labels at all.
  """
  if not train.num_classes:
    raise ValueError(
        f"The images of {name} have no labels, by which classifiers and neighbours are judged: take"
        " a set with classes."
    )
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


def networks(
    config: ml_collections.ConfigDict, players: list[Pretrained], train: Split
) -> list[Encoder]:
  """The trained networks and, if asked for, the same untrained, once for each seed."""
  judges, seeds = [encoders.trained_encoder(player) for player in players], config.baseline_seeds
  for seed in seeds if config.baseline == "random" else ():
    name = "random" if len(seeds) == 1 else f"random_{seed}"
    judges += [
        encoders.untrained(
            player, train.images, seed, config.batch_size, config.calibration_steps
        )._replace(name=name) for player in players
    ]
  return judges


def subjects(
    config: ml_collections.ConfigDict, judges: list[Encoder], train: Split
) -> list[tuple[Encoder, str]]:
  """The layers to judge, of each network in turn; D's after E's."""
  shapes = [layer_features.shapes(e, train.images, config.probe.size) for e in judges]
  found = []
  for name in dict.fromkeys(encoder.name for encoder in judges):
    own = [(e, known) for e, known in zip(judges, shapes) if e.name == name]
    owner = {layer: e for e, known in reversed(own) for layer in known}
    known = {layer: shape for _, k in own for layer, shape in k.items()}
    default = tuple(layer for e, k in own for layer in layer_features.all_layers(e, k))
    chosen = layer_features.choose(config.layers, known, default)
    found += [(owner[layer], layer) for layer in chosen]
  return found


def judge(
    config: ml_collections.ConfigDict, encoder: Encoder, layer: str, train: Split, judged: Split,
    folder: pathlib.Path,
) -> Iterator[Verdict]:
  """Of a layer as it is and, if asked for, of its leading principal components.

  Learns from the training images' features, and judges by those of the others. Features beyond
  config.features_gb lie in `folder` as float16 until they are reduced to what fits.
  """
  most = config.features_gb * 1e9
  x, queries = (
      layer_features.extract(encoder, s.images, layer, config.probe.size, most, folder)
      for s in (train, judged)
  )
  width, fits = x.shape[1], max(int(most / (4 * len(x))), 1)
  turns = config.classifier == "logistic" or config.pca > 0 or width > fits
  features = Features(x, queries, linear_probe.frame(x, train.labels, turns))
  if width > fits:
    logging.warning("%s has %d features, of which %d fit into config.features_gb = %g: it is judged"
                    " by so many leading principal components.", layer, width, fits,
                    config.features_gb)
    features = features.reduced(fits)
  yield verdict(config, encoder.name, layer, features, train, judged)
  if 0 < config.pca < features.x.shape[1]:
    features = features.reduced(config.pca)
    yield verdict(config, encoder.name, f"{layer} pca{config.pca}", features, train, judged)
  elif config.pca and encoder.name == "trained":
    logging.warning("config.pca is %d, but %s has %d features: it is kept as it is.", config.pca,
                    layer, width)


def verdict(
    config: ml_collections.ConfigDict, network: str, layer: str, features: Features, train: Split,
    judged: Split,
) -> Verdict:
  """What classifier and neighbours make of one layer's features."""
  guesses, settings, fit = classified(config, features)
  confusion = np.zeros((train.num_classes, train.num_classes), np.int64)
  np.add.at(confusion, (judged.labels, guesses), 1)
  commonest = np.argmax(np.bincount(train.labels))
  row = {
      "network": network, "layer": layer, "dim": features.x.shape[1],
      COLUMNS[config.classifier]: percent(guesses, judged.labels),
      **({} if config.classifier == "mlp" else
         near(config, features, train.labels, judged.labels)),
      **settings,
      "chance": percent(np.full(judged.size, commonest), judged.labels),
  }
  return Verdict(row, fit, confusion)


def percent(guesses: np.ndarray, labels: np.ndarray) -> float:
  """How many guesses [M] are right."""
  return round(float(100 * np.mean(guesses == labels)), 3)


def near(
    config: ml_collections.ConfigDict, features: Features, labels: np.ndarray, truth: np.ndarray
) -> Row:
  """Accuracies of nearest neighbours, by the plain vote and by the weighted one."""
  k, many = config.neighbours, config.vote.neighbours
  nearest, voters = retrieval.search(features.queries, features.x, k, many)
  found = {
      f"{n}-NN {distance}": round(accuracy, 3) for n in sorted({1, k})
      for distance, accuracy in retrieval.accuracies(nearest, labels, truth, n).items()
  }
  if many:
    guesses = retrieval.weighted_vote(voters, labels, config.vote.temperature)
    found[f"{many}-NN vote"] = percent(guesses, truth)
  return found


def classified(
    config: ml_collections.ConfigDict, features: Features
) -> tuple[np.ndarray, Row, dict[str, Any]]:
  """(guesses [M], what was chosen on held-out images, how that went)."""
  x, queries, problem = features
  share = config.probe.validation_share
  if config.classifier == "mlp":
    mlp = mlp_probe.choose(problem, x, config.mlp, share, config.seed)
    settings = {"rate": mlp.rate, "dropout": mlp.dropout, "epochs": mlp.epochs}
    return mlp.predict(queries), settings, {"validation": rounded(mlp.validation)}
  problem = linear_probe.place(problem, x)
  probe = linear_probe.choose(problem, tuple(config.probe.l2), share, config.seed)
  solution = probe.solution
  fit = {
      "loss": float(solution.loss), "steps": int(solution.steps),
      "converged": bool(solution.converged),
      "validation": rounded({f"{l2:g}": value for l2, value in probe.validation.items()}),
  }
  return probe.predict(queries), {"l2": probe.l2}, fit


def rounded(accuracies: dict[str, float]) -> dict[str, float]:
  """Percent, to three decimals."""
  return {name: round(value, 3) for name, value in accuracies.items()}


def write_confusion(folder: pathlib.Path, verdict: Verdict) -> None:
  """Writes confusion_LAYER.csv: a row for each true class, a column for each guess."""
  network, layer = verdict.row["network"], verdict.row["layer"].replace(" ", "_")
  name = layer if network == "trained" else f"{network}_{layer}"
  rows = [
      {"class": true} | dict(enumerate(counts)) for true, counts in
      enumerate(verdict.confusion.tolist())
  ]
  results.write_csv(folder / f"confusion_{name}.csv", rows)

"""The job of configs/sample_quality.py: samples beside pictures, and pictures beside pictures."""

import json
import math
import pathlib
import shlex
from typing import Any, NamedTuple

from absl import logging
import ml_collections
import numpy as np

from bigan_jax.data import folders, survey
from bigan_jax.evaluation import encoders, samples
from bigan_jax.evaluation.sample_quality import comparing, described
from bigan_jax.evaluation.sample_quality.comparing import Quality
from bigan_jax.exchange import feature_files, loaded
from bigan_jax.runs import data_record, outputs, results
from bigan_jax.settings import measures
from bigan_jax.settings.rules import CLASSES

FILES = ("results.*",)
NAMES = {
    "frechet": "Frechet distance", "kernel": "kernel distance", "precision": "precision",
    "recall": "recall", "density": "density", "coverage": "coverage",
}
CUSTOMARY = 50_000  # samples of a published FID
SUBSET = 1_000  # pictures at least, that torch-fidelity's KID asks for unless told otherwise
CIFAR10 = ("cifar10-train", 'dataset_name="cifar10", dataset_res=32, dataset_split="train"')


class Subjects(NamedTuple):
  """What is compared.

  real, made: features [n, f] and [m, f]. over: what they are. about: the rest, for results.json.
  fingerprint: of the set of pictures; None of files.
  """

  real: np.ndarray
  made: np.ndarray
  over: str
  about: dict[str, Any]
  fingerprint: dict[str, Any] | None = None


def run(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Compares, prints a table and writes it."""
  results.check(workdir, config.to_dict(), FILES)
  if config.dump and folders.holds(workdir, config.dump):
    raise ValueError(f"config.dump is {config.dump}, in the folder of results: choose another.")
  if config.dump:
    outputs.check_folder(pathlib.Path(config.dump))
  with results.replacing(workdir, config.to_dict(), FILES) as folder:
    subjects = of_files(config) if config.real_features else of_networks(config)
    if subjects.fingerprint:
      data_record.write(folder, subjects.fingerprint)
    found, halves = measure(config, subjects)
    text = (f"{title(config, subjects)}{unequal(subjects)}\n\n"
            f"{results.markdown(shown(found, halves))}")
    rows = table(found, halves)
    (folder / "results.md").write_text(text, encoding="utf-8")
    results.write_csv(folder / "results.csv", rows)
    results.write_json(folder, {
        **subjects.about, "features": subjects.over, "pictures": len(subjects.real),
        "samples": len(subjects.made), "neighbours": config.neighbours, "rows": rows,
    })
  print(text, end="")
  if config.dump:
    print("\n" + "\n".join(commands(config, subjects)))


def of_networks(config: ml_collections.ConfigDict) -> Subjects:
  """Samples of a model and the pictures that it is judged by, at the size that G makes.

  Raises:
    FileNotFoundError, ValueError, OSError: as loaded.read, encoders.pictures and described.
    FileExistsError: something is in the way of config.dump.
  """
  read = loaded.read(config.encoder, config.encoder_step)
  model, size = loaded.assemble(read, config.encoder), read.config.model.image_shape[0]
  train, judged, data = encoders.pictures(config, read, own_classes=True)
  describer = describe(config, train.images, size)
  real = described.at_size(judged.images, size)
  made = np.concatenate(list(samples.drawn(model, config.samples, config.seed)))
  if config.dump:
    dump(pathlib.Path(config.dump), real, made)
  about = {
      "encoder": config.encoder, "step": read.step, "objective": read.config.objective,
      "seed": config.seed, "data": data.name, "splits": data.splits,
      **{name: data[name] for name in CLASSES if data.get(name)},
  }
  return Subjects(describer.of(real), describer.of(made), describer.title, about,
                  survey.fingerprint(train.about))


def describe(config: ml_collections.ConfigDict, train: np.ndarray, size: int
             ) -> described.Describer:
  """The features that config.features names, those of pixels found on training pictures."""
  if config.features == described.PIXELS:
    return described.by_pixels(described.at_size(train, size), config.components)
  if pathlib.Path(config.features).absolute() == pathlib.Path(config.encoder).absolute():
    logging.warning("The networks of %s were trained together, so that its own features may flatter"
                    " its samples: name another run by --config.features.", config.encoder)
  return described.by_network(config.features, config.layer)


def of_files(config: ml_collections.ConfigDict) -> Subjects:
  """Features of both sides as files hold them; errors as feature_files.read."""
  real, made = map(feature_files.read, (config.real_features, config.sample_features))
  about = {"real_features": config.real_features, "sample_features": config.sample_features}
  return Subjects(real, made, f"the {real.shape[1]:,} features of {config.real_features}", about)


def measure(
    config: ml_collections.ConfigDict, subjects: Subjects
) -> tuple[tuple[Quality, Quality | None], tuple[Quality, Quality | None]]:
  """(quality, spread) of samples beside pictures, and of one half of the pictures beside the other.

  Halves are drawn by config.seed.
  """
  k, more = config.neighbours, (config.resamples, config.seed)
  order = np.random.RandomState(config.seed).permutation(len(subjects.real))
  half = len(order) // 2
  halves = [comparing.side(subjects.real[part], k, "pictures in each half")
            for part in (order[:half], order[half:2 * half])]
  floor = comparing.compare(*halves, *more)
  del halves
  sides = (comparing.side(x, k, what)
           for x, what in ((subjects.real, "pictures"), (subjects.made, "samples")))
  return comparing.compare(*sides, *more), floor


def title(config: ml_collections.ConfigDict, subjects: Subjects) -> str:
  """What was compared with what, in one line."""
  about = subjects.about
  some = "".join(f", {name}={about[name]}" for name in CLASSES if name in about)
  whose = f" of {about['data']} ({about['splits']}{some})" if "data" in about else ""
  return (f"{len(subjects.made):,} samples beside {len(subjects.real):,} pictures{whose}, over "
          f"{subjects.over}; {config.neighbours} neighbours.")


def unequal(subjects: Subjects) -> str:
  """A sentence where the numbers of both sides differ by more than half of the smaller one."""
  pictures, made = len(subjects.real), len(subjects.made)
  if max(pictures, made) <= 1.5 * min(pictures, made):
    return ""
  recall, coverage = ("falls", "rises") if made > pictures else ("rises", "falls")
  return (f" Recall {recall} and coverage {coverage} by such unequal numbers: "
          f"compare {min(pictures, made):,} with {min(pictures, made):,}.")


def table(
    found: tuple[Quality, Quality | None], halves: tuple[Quality, Quality | None]
) -> list[dict[str, Any]]:
  """A row for each measure, to six digits; spreads are empty where there are none."""
  at = lambda quality, name: None if quality is None else float(f"{getattr(quality, name):.6g}")
  return [{
      "measure": NAMES[name], "samples": at(found[0], name), "spread": at(found[1], name),
      "halves": at(halves[0], name), "halves spread": at(halves[1], name),
  } for name in Quality._fields]


def shown(
    found: tuple[Quality, Quality | None], halves: tuple[Quality, Quality | None]
) -> list[dict[str, str]]:
  """`table` as texts, with the way that is better."""
  cell = lambda pair, name: rounded(*(part and getattr(part, name) for part in pair))
  return [{
      "": NAMES[name], "way": measures.BETTER[measures.better(name)], "samples": cell(found, name),
      "halves of the pictures": cell(halves, name),
  } for name in Quality._fields]


def rounded(value: float, spread: float | None) -> str:
  """A value and its spread to two digits of the spread; four of the value without one."""
  if not spread:
    return f"{value:.4g}"
  places = max(1 - math.floor(math.log10(spread)), 0)
  return f"{value:.{places}f} ± {spread:.{places}f}"


def dump(folder: pathlib.Path, real: np.ndarray, made: np.ndarray) -> None:
  """Writes FOLDER/samples and FOLDER/pictures; FileExistsError if something is there."""
  with outputs.new_folder(folder) as scratch:
    for name, images in (("samples", made), ("pictures", real)):
      (scratch / name).mkdir()
      samples.write(scratch / name, images)


def commands(config: ml_collections.ConfigDict, subjects: Subjects) -> list[str]:
  """How torch-fidelity 0.4 and clean-fid 0.1.35 measure the customary FID of what was dumped.

  Of CIFAR-10 it is beside its 50,000 training pictures; of other sets, and of some of its classes,
  beside the judged ones.
  """
  folder = pathlib.Path(config.dump).expanduser().absolute()
  made, real = str(folder / "samples"), str(folder / "pictures")
  known = subjects.about["data"] == "cifar10" and not set(CLASSES) & subjects.about.keys()
  beside, statistics = CIFAR10 if known else (shlex.quote(real), json.dumps(real))
  fewest = len(subjects.made) if known else min(len(subjects.made), len(subjects.real))
  subset = f" --kid-subset-size {fewest}" if fewest < SUBSET else ""
  call = f"from cleanfid import fid; print(fid.compute_fid({json.dumps(made)}, {statistics}))"
  more = "" if len(subjects.made) >= CUSTOMARY else (
      f" Published ones are of {CUSTOMARY:,} samples, --config.samples={CUSTOMARY}.")
  return [
      f"FID by torch-fidelity, and by clean-fid, on a GPU; they fetch Inception.{more}",
      f"fidelity --gpu 0 --isc --fid --kid --prc{subset} --input1 {shlex.quote(made)} "
      f"--input2 {beside}",
      f"python -c {shlex.quote(call)}",
  ]

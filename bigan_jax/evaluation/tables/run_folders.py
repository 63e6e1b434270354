"""What run folders tell a report: numbers, tables and pictures, of training runs and of jobs."""

from collections.abc import Sequence
import csv
import json
import pathlib
from typing import Any, NamedTuple

from bigan_jax.evaluation.anomaly import ranking, verdicts
from bigan_jax.runs import records

CONFIG, RESULTS, METRICS, TRAIN = "config.json", "results.json", "metrics.jsonl", "train"
Path = pathlib.Path
Table = list[list[Any]]  # the first row is its head


class Run(NamedTuple):
  """What a folder tells.

  job: train, linear_probe, ... rows: of metrics.jsonl, [] without one.
  pictures: {name: files, the newest last}. tables: {title: rows}.
  """

  name: str
  job: str
  config: dict[str, Any]
  rows: list[dict[str, Any]]
  pictures: dict[str, list[Path]]
  tables: dict[str, Table]


def read(folder: Path, name: str) -> Run:
  """Reads a folder; raises ValueError if it is none of ours, or has nothing to show."""
  config = _json(folder / CONFIG)
  strange = (folder / verdicts.THRESHOLD).is_file()
  if not (config or (folder / CONFIG).is_file() or strange):
    raise ValueError(f"{folder} is no run folder: it has no {CONFIG}.")
  pictures = {}
  for path in sorted(folder.glob("pictures/**/*.png")):
    first = path.relative_to(folder / "pictures").parts[0]
    pictures.setdefault(first.removesuffix(".png"), []).append(path)
  tables = {path.stem: rows for path in sorted(folder.glob("*.csv")) if (rows := _csv(path))}
  run = Run(name, "anomaly" if strange else config.get("job", TRAIN), config,
            records.read_rows(folder / METRICS), pictures, {**_measures(folder), **tables})
  if not (run.rows or run.pictures or run.tables):
    raise ValueError(f"{folder} has nothing to show yet: let it run on.")
  return run


def read_all(folders: Sequence[Path]) -> list[Run]:
  """Each folder, and after it the jobs beside it that judge it; ValueError as `read`."""
  for folder in folders:
    read(folder, "")  # Where one is bad, that is said first.
  short_names(folders)
  places = list(dict.fromkeys(p for folder in folders for p in (folder, *beside(folder))))
  return [read(*pair) for pair in zip(places, short_names(places))]


def beside(run: Path) -> list[Path]:
  """Folders of jobs that judged a run, as launch/*.sh and people place them: sorted.

  Beside the run; in a folder beside it, under its own name (linear/RUN); or where
  launch/anomaly.sh puts scores, under those of the run and its method.
  """
  own, method = run.name, run.parent.name
  places = [*run.parent.glob("*"), *run.parent.glob(f"*/{own}"),
            *run.parent.parent.glob(f"*/{method}/{own}")]
  found = sorted({place for place in places if place != run and _judges(place, run)})
  return [place for place in found if _has_something(place)]


def _judges(job: Path, run: Path) -> bool:
  """Whether a folder is of a job whose encoder is the run."""
  encoder = _json(job / CONFIG).get("encoder")
  if isinstance(encoder, str) and encoder:
    named = Path(encoder).expanduser()
    tail = run.parts[-len(named.parts):] == named.parts
    return tail or named.name == job.name == run.name  # Both may have moved.
  return job.name == run.name and (job / verdicts.THRESHOLD).is_file()


def _has_something(folder: Path) -> bool:
  try:
    return bool(read(folder, ""))
  except (ValueError, OSError):  # One of others, that may not be read.
    return False


def short_names(folders: Sequence[Path]) -> list[str]:
  """The ends of paths, as long as needed to tell them apart."""
  for length in range(1, max(len(folder.parts) for folder in folders) + 1):
    names = ["/".join(folder.parts[-length:]) for folder in folders]
    if len(set(names)) == len(names):
      return names
  raise ValueError(f"The same run folder is given twice: {', '.join(map(str, folders))}.")


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
  """{"a": {"b": 1}} as {"a.b": 1}."""
  fields = {}
  for name, value in tree.items():
    nested = isinstance(value, dict)
    fields |= flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
  return fields


def _measures(folder: Path) -> dict[str, Table]:
  """What JSON alone tells: of neighbours their layers, of anomalies how well they are found."""
  layers = _json(folder / RESULTS).get("layers")
  if isinstance(layers, dict) and not (folder / "results.csv").is_file():
    found = {name: flat(layer) for name, layer in layers.items() if isinstance(layer, dict)}
    names = list(dict.fromkeys(name for layer in found.values() for name in layer))
    rows = [[name, *(layer.get(n) for n in names)] for name, layer in found.items()]
    return {"layers": [["layer", *names], *rows]} if rows else {}
  scores = _json(folder / verdicts.METRICS).get("scores")
  if not scores:
    return {}
  rows = [[name, *(found.get(n) for n in ranking.NAMES)] for name, found in scores.items()]
  return {"anomalies": [["score", *ranking.NAMES], *rows]}


def _json(path: Path) -> dict[str, Any]:
  """An object of a file; {} if there is none, as in folders of others."""
  try:
    found = json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError):
    return {}
  return found if isinstance(found, dict) else {}


def _csv(path: Path) -> Table:
  with open(path, newline="", encoding="utf-8") as file:
    return [row for row in csv.reader(file) if row]

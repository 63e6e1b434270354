"""What scores find without any network, so that one sees what networks add: launch/anomaly.sh.

As if E gave x itself, and G the grey between black and white: `pixels` is mean |x - 1/2|, and
`neighbours` and `cosine` compare standardised pixels with those of the nearest normal pictures.
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()

import json
import pathlib

import numpy as np

from bigan_jax.evaluation.anomaly import fitting, measuring, normal, scores, subjects, verdicts
from bigan_jax.evaluation.tables import printed
from bigan_jax.exchange import loaded
from bigan_jax.runs import outputs

METHOD = "no network"


def judge(run: pathlib.Path, out: pathlib.Path) -> None:
  """Writes scores.csv and threshold.json of the set that a run was trained on some classes of.

  Errors as `subjects.of_set` and `normal.fit`.
  """
  found = subjects.of_set(loaded.load(str(run)))
  usual, judged = (measured(measuring.read(source, range(len(source.names))))
                   for source in (found.normal, found.images))
  known = normal.fit(usual, fitting.NEIGHBOURS)
  score = fitting.default(known)
  limit = float(np.quantile(known.held_out[score], 1 - fitting.CONTAMINATION))
  verdict = verdicts.Verdict(
      found.images.names, normal.complete(known, judged), found.labels, score, limit, {}
  )
  about = verdicts.threshold(fitting.Fitted(score, known, limit), fitting.CONTAMINATION,
                             len(found.normal.names))
  with outputs.new_folder(out) as scratch:
    verdicts.write_scores(scratch / verdicts.SCORES, verdict)
    (scratch / verdicts.THRESHOLD).write_text(json.dumps(about, indent=2) + "\n")


def measured(images: np.ndarray) -> normal.Scores:
  """As `scores.measure`, of uint8 [N, H, W, C]."""
  x = images.reshape(len(images), -1) / np.float32(255)
  return {"pixels": np.abs(x - 0.5).mean(axis=1), scores.FEATURES: x}


def main(folder: pathlib.Path) -> None:
  """Judges once for each class that has a run in OUT/DATASET, unless that is done."""
  for path in sorted(folder.glob("scores/*/*/scores.csv")):
    method, name = path.parts[-3:-1]
    out = folder / "scores" / METHOD / f"{name.partition('-')[0]}-0"
    if method != METHOD and not (out / verdicts.SCORES).exists():
      judge(folder / method / name, out)


if __name__ == "__main__":
  printed.command("no_network", main)

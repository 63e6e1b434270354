"""Object detection on PASCAL VOC by Fast R-CNN on an encoder's layers (paper, Table 3)."""

import functools
import pathlib

import jax
import ml_collections
import numpy as np

from bigan_jax.data import prepare
from bigan_jax.evaluation.pictures import titled
from bigan_jax.models.layers import AXIS
from bigan_jax.runs.workdir import RunFolder
from bigan_jax.settings import rules
from bigan_jax.training import feeds
from bigan_jax.training.timetable import timetable
from bigan_jax.transfer import fine_tuning, source
from bigan_jax.transfer.fine_tuning import Task
from bigan_jax.transfer.voc import (
  boxes_picture,
  dataset,
  fast_rcnn,
  region_batches,
  starting_layers,
)
from bigan_jax.transfer.voc import detector as detectors
from bigan_jax.transfer.voc import proposals as proposal_files
from bigan_jax.transfer.voc.dataset import Pictures
from bigan_jax.transfer.voc.detector import Detector


def resolve(
    config: ml_collections.ConfigDict, origin: source.Source | None
) -> ml_collections.ConfigDict:
  """The config with all filled in that it takes from the encoder, as config.json keeps it.

  Raises:
    ValueError: it does not fit the encoder, or a field is out of range.
  """
  config = dataset.resolve(config, origin)
  config.model.encoder_shape = config.model.image_shape = (config.longest, config.longest, 3)
  _validate(config)
  return config.lock()


def _validate(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for a field of this job alone that is out of range."""
  rules.check_least(config, {
      "shorter": 1, "regions.count": 1, "regions.foreground": 0, "proposals.most": 1,
      "proposals.longest": 1, "eval.images": 0, "eval.overlap": 0, "eval.floor": 0, "eval.most": 1,
  })
  least = fast_rcnn.BINS * fast_rcnn.stride()
  if config.longest < least:
    raise ValueError(
        f"config.longest is {config.longest}, but the canvas needs at least {least} pixels for "
        f"{fast_rcnn.BINS} bins along a side: raise it."
    )
  if config.data.edge:
    raise ValueError(
        f"config.data.edge is {config.data.edge}, but pictures are scaled to config.shorter and "
        "config.longest: leave it at 0."
    )
  if config.shorter > config.longest:
    raise ValueError(
        f"config.shorter is {config.shorter}, beyond config.longest = {config.longest}: lower it."
    )
  for section, name in (("regions", "foreground"), ("eval", "overlap"), ("eval", "floor")):
    if config[section][name] > 1:
      raise ValueError(
          f"config.{section}.{name} is {config[section][name]}, but must be at most 1."
      )


def task(config: ml_collections.ConfigDict, folder: RunFolder) -> Task:
  """The network, pictures and tests of a resolved config."""
  train, test, about = dataset.load_both(config)
  _check_truth(config, test)
  boxes, test_boxes = proposals(config, train, "train"), proposals(config, test, "test")
  material = region_batches.gather(config, train, boxes)
  size = len(material.chosen)
  rules.validate_batch(config.batch_size, size, jax.device_count(), least=1)
  network = fast_rcnn.build(config.model, len(train.classes))
  value_range = tuple(config.model.value_range)
  detector = Detector(
      network, material.canvas, value_range, material.means, material.stds, config.eval.overlap,
      config.eval.floor, config.eval.most,
  )
  few = test
  if config.eval.images:
    few = Pictures(test.pictures[:config.eval.images], 0, classes=test.classes)
  def judge(params: fine_tuning.Params) -> dict[str, float]:
    scores = detectors.judge(detector.find(params, few, test_boxes[:len(few)]), few)
    return {name: scores[name] for name in ("mAP", "mAP_area")}
  make = functools.partial(region_batches.batch, material, config.batch_size)
  def start(origin: source.Source | None) -> fine_tuning.Params:
    layers = starting_layers.caffe_layers(config, origin, train, fast_rcnn.BINS)
    return {**layers, "fc8": fast_rcnn.last_layer(network, config.seed)}
  return Task(
      network=network, frozen=(), start=start, size=size,
      feed=lambda when: feeds.streamed(
          make, config.batch_size, region_batches.view(value_range), config.data.workers,
          when.dispatch,
      ),
      measure=functools.partial(fast_rcnn.losses, axis_name=AXIS), measures=fast_rcnn.MEASURES,
      judge=judge,
      finish=functools.partial(finish, config, folder, detector, size, test, test_boxes),
      about=about,
  )


def _check_truth(config: ml_collections.ConfigDict, pictures: Pictures) -> None:
  """Raises ValueError if there is nothing to be found."""
  if all(picture.difficult.all() for picture in pictures.pictures):
    raise ValueError(
        f"The pictures of {config.test_split!r} hold no objects but difficult ones: choose another "
        "split to test on."
    )


def proposals(
    config: ml_collections.ConfigDict, pictures: Pictures, name: str
) -> list[np.ndarray]:
  """Of each picture its proposals: the first config.proposals.most of a file, or as many found.

  Found ones have no order of merit, so that they are drawn at random where there are more.
  """
  given = config.proposals
  cache = given.cache_dir or str(pathlib.Path(prepare.data_root(config.data_dir)) / "proposals")
  boxes = proposal_files.for_pictures(pictures.pictures, given[name], cache, given.longest)
  if given[name]:
    return [some[:given.most] for some in boxes]
  order = lambda n: np.random.RandomState(config.seed).permutation(n)[:given.most]
  return [some[order(len(some))] for some in boxes]


def finish(
    config: ml_collections.ConfigDict, folder: RunFolder, detector: Detector, size: int,
    pictures: Pictures, boxes: list[np.ndarray], params: fine_tuning.Params,
) -> dict:
  """What the job adds to results.json; draws what was found in some of the test pictures."""
  found = detector.find(params, pictures, boxes)
  shuffled = detector.find(params, pictures, boxes, shuffle=config.seed)
  step = timetable(config, size).last_step
  title = "what there is, and beside it what was found"
  folder.write_picture("detections", step, titled(boxes_picture.montage(pictures, found), title))
  return {
      **detectors.judge(found, pictures),
      "mAP_shuffled": detectors.judge(shuffled, pictures)["mAP"],
      "trained": "all", "test_images": len(pictures), "canvas": [config.shorter, config.longest],
      "proposals": float(np.mean([len(some) for some in boxes])),
      "recall": detectors.recall(pictures, boxes),
  }


def summary(results: dict) -> str:
  """The end of a run in one line."""
  there = len(results["AP"]) - len(results["absent"])
  absent = f" (no {', '.join(results['absent'])} in the pictures)" if results["absent"] else ""
  return (
      f"{results['learner'] or results['source']}: mAP {results['mAP']:.2f} % by 11 points, "
      f"{results['mAP_area']:.2f} % by area, {results['mAP_shuffled']:.2f} % with shuffled scores, "
      f"over {there} classes{absent}, in {results['test_images']} pictures; "
      f"{results['proposals']:.0f} proposals a picture meet {results['recall']:.1f} % of the "
      "objects."
  )


JOB = fine_tuning.Job(resolve, task, summary)

"""PASCAL VOC segmentation (paper, Table 3): a class for every pixel, by Long et al. (2015)."""

import functools

import jax
import jax.numpy as jnp
import ml_collections
import optax

from bigan_jax.data import batches
from bigan_jax.evaluation.pictures import titled
from bigan_jax.machine import disk
from bigan_jax.runs import results
from bigan_jax.runs.workdir import RunFolder
from bigan_jax.settings import rules
from bigan_jax.training import feeds
from bigan_jax.training.timetable import timetable
from bigan_jax.transfer import fine_tuning, source
from bigan_jax.transfer.fine_tuning import Params, Task
from bigan_jax.transfer.supervised_step import Measures
from bigan_jax.transfer.voc import canvas, dataset, fcn, starting_layers
from bigan_jax.transfer.voc import segmentation_exam as exams
from bigan_jax.transfer.voc.scorers import VOID

MEASURES = ("loss", "pixel_accuracy")
TABLE = "classes.md"


def resolve(
    config: ml_collections.ConfigDict, origin: source.Source | None
) -> ml_collections.ConfigDict:
  """The config with all that it takes from the encoder filled in, as config.json keeps it.

  Raises:
    ValueError: it does not fit the encoder, or pictures of config.crop do not fit the network.
  """
  config = dataset.resolve(config, origin)
  if config.data.edge:
    raise ValueError(
        f"config.data.edge is {config.data.edge}, but pictures are scaled by their longer side, to "
        "config.crop at most: leave it at 0."
    )
  fcn.grids(config.model.image_shape[0], config.model.kernel, config.model.padded)
  return config.lock()


def task(config: ml_collections.ConfigDict, folder: RunFolder) -> Task:
  """The network, pictures and tests of a resolved config."""
  train, test, about = dataset.load_both(config, "segmentation")
  rules.validate_batch(config.batch_size, len(train), jax.device_count(), least=1)
  network, look = build(config), batches.views(config)
  side, fill = config.model.image_shape[0], canvas.blank(config.model.value_range)
  exam = exams.Examination(network, look, test, side, fill)
  make = functools.partial(canvas.batch, train, side, fill, config.data.flip, config.batch_size)
  def start(origin: source.Source | None) -> Params:
    layers = starting_layers.caffe_layers(config, origin, train, config.model.kernel)
    return fcn.start(network, layers, side)
  def finish(params: Params) -> dict:
    step = timetable(config, len(train)).last_step
    title = "pictures, what there is in them, and what was found"
    folder.write_picture("predictions", step, titled(exam.draw(params), title))
    found = exams.report(exam.confusion(params))
    write_table(folder, found)
    return {
        "variant": f"fcn{config.stride}s", "layers": list(network.layers), "year": config.data.year,
        "train_split": config.train_split, "test_split": config.test_split,
        "test_images": len(test), **found,
    }
  return Task(
      network=network, frozen=(), start=start, size=len(train),
      feed=lambda when: feeds.streamed(
          make, config.batch_size, lambda images, draws: look(images), config.data.workers,
          when.dispatch,
      ),
      measure=cross_entropy, measures=MEASURES,
      judge=lambda params: exams.percent(exam.confusion(params)), finish=finish, about=about,
  )


def build(config: ml_collections.ConfigDict) -> fcn.Fcn:
  """The network of a resolved config."""
  model = config.model
  return fcn.Fcn(
      len(exams.NAMES), tuple(model.widths), tuple(model.hidden), model.kernel, model.dropout,
      model.padded, config.stride,
  )


def cross_entropy(logits: jax.Array, masks: jax.Array) -> Measures:
  """Softmax cross-entropy, and right pixels in percent: the mean over a picture, then over all.

  So each picture counts equally, whatever its size, and on any number of devices. Void pixels
  count for nothing.

  Args:
    logits: [B, H, W, classes].
    masks: uint8 [B, H, W].
  """
  known = masks != VOID
  classes = jnp.where(known, masks, 0).astype(jnp.int32)
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
  right = jnp.argmax(logits, axis=-1) == classes
  def mean(values: jax.Array) -> jax.Array:
    total = jnp.sum(jnp.where(known, values, 0), axis=(1, 2))
    return jnp.mean(total / jnp.maximum(jnp.sum(known, axis=(1, 2)), 1))
  return {"loss": mean(losses), "pixel_accuracy": 100 * mean(right)}


def write_table(folder: RunFolder, found: dict) -> None:
  """The IU of every class that is there, in classes.md."""
  rows = [
      {"class": name, "IU %": f"{value:.2f}"} for name, value in found["IU"].items()
      if value is not None
  ]
  with disk.one_sentence(folder.path):
    disk.write_atomically(folder.path / TABLE, results.markdown(rows).encode())


def summary(found: dict) -> str:
  """The end of a run in a few lines."""
  whose = found["learner"] or found["source"]
  return (
      f"{whose}, {found['variant']}: mean IU {found['mIU']:.2f} %, pixel accuracy "
      f"{found['pixel_accuracy']:.2f} %, mean accuracy {found['mean_accuracy']:.2f} % of "
      f"{found['test_images']} pictures; background alone has {found['chance']:.2f} %, "
      f"{found['chance_pixel_accuracy']:.2f} % and {found['chance_mean_accuracy']:.2f} %."
      f"{dataset.left_out(found)}"
  )


JOB = fine_tuning.Job(resolve, task, summary)

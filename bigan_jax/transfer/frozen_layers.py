"""The protocol of the paper's Table 2: conv1 to convN frozen, the rest trained with labels."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from bigan_jax.data import batches
from bigan_jax.data.splits import Split, Stored
from bigan_jax.runs.workdir import RunFolder
from bigan_jax.settings import rules
from bigan_jax.settings.data import data_section
from bigan_jax.training import feeds
from bigan_jax.transfer import crops, fine_tuning, head, initialise, source, supervised_step
from bigan_jax.transfer.fine_tuning import Params, Task

MEASURES = ("loss", "accuracy")


def resolve(
    config: ml_collections.ConfigDict, origin: source.Source | None
) -> ml_collections.ConfigDict:
  """The config with all that it takes from the encoder filled in, as config.json keeps it.

  Raises:
    ValueError: it does not fit the encoder, or names neither an encoder nor a data set.
  """
  config = config.copy_and_resolve_references().unlock()
  model, side = config.model, config.crop
  config.learner = ""
  if origin is not None:
    fine_tuning.take_encoder(config, origin)
    if origin.learner == source.LABELS and model.padded != origin.config.model.padded:
      raise ValueError(
          f"config.model.padded is {model.padded}, but {config.encoder} was trained with"
          f" {origin.config.model.padded}: let it be that."
      )
  elif not config.data.name:
    raise ValueError("config.data.name is empty: name a data set, or an encoder to take it from.")
  config.data.splits = config.data.splits or data_section().splits
  if side:
    if model.family == "mlp" and side != model.encoder_shape[0]:
      raise ValueError(
          f"config.crop is {side}, but perceptrons see {model.encoder_shape[0]} pixels and nothing "
          "else: leave it at 0."
      )
    model.encoder_shape = model.image_shape = (side, side, model.encoder_shape[2])
  _validate(config)
  return config.lock()


def _validate(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError if layers, pictures and sizes do not fit each other."""
  layers, shape = source.hidden_layers(config.model), tuple(config.model.encoder_shape)
  if not 0 <= config.frozen <= len(layers):
    raise ValueError(
        f"config.frozen is {config.frozen}, but there are {len(layers)} layers to freeze "
        f"({', '.join(layers)}): choose 0 to {len(layers)}."
    )
  if config.frozen and config.source == "supervised":
    raise ValueError(
        f"config.frozen is {config.frozen}, but without an encoder's weights all layers are "
        "trained: leave it at 0, and give the run as --config.encoder to freeze its layers."
    )
  if config.data.edge and config.data.edge < shape[0]:
    raise ValueError(
        f"config.data.edge is {config.data.edge}, but the crops are of {shape[0]} pixels: let it "
        "be at least that, or lower config.crop."
    )


def task(config: ml_collections.ConfigDict, folder: RunFolder) -> Task:
  """The layers, images and tests of a resolved config."""
  del folder
  train_set, judged_set = batches.load(config, may_stream=True)
  validate_labels(config.data.name, train_set)
  rules.validate_batch(config.batch_size, train_set.size, jax.device_count(), least=1)
  network = head.build(config.model, train_set.num_classes)
  exam = crops.examination(config, network, judged_set)
  layers = source.hidden_layers(config.model)
  frozen = layers[:config.frozen]
  def finish(params: Params) -> dict:
    return {
        "layers": list(layers), "test_images": judged_set.size, "classes": train_set.num_classes,
        **exam.test(params, whole=True),
    }
  return Task(
      network=network, frozen=frozen, size=train_set.size,
      start=lambda origin: start(config, origin, network, some_images(config, train_set), frozen),
      feed=lambda when: feeds.place(
          train_set, config.batch_size, batches.assembler(config, crops.mirrors(config)),
          config.data.workers, when.dispatch,
      ),
      measure=supervised_step.classification, measures=MEASURES,
      judge=lambda params: exam.test(params, whole=False), finish=finish, about=train_set.about,
  )


def start(
    config: ml_collections.ConfigDict, origin: source.Source | None, network: nn.Module,
    x: jax.Array, frozen: tuple[str, ...],
) -> Params:
  """The frozen layers of the encoder, but for a power of two, and the others initialised.

  The layers that are trained are equalised among themselves: that the authors' protocol did more is
  not known (reference section 9).
  """
  transferred = frozen if config.source == "pretrained" else ()
  params = fine_tuning.transplant(network, x, transferred, origin)
  if transferred and config.equalise:
    params = initialise.near_unit_scale(network, params, x, transferred[-1])
  new = tuple(name for name in network.layers if name not in transferred)
  params = initialise.initialise(network, params, x, new, config.init, config.seed)
  if config.equalise and config.init != "plain":
    trained = tuple(name for name in network.layers if name not in frozen)
    params = initialise.equalise(network, params, x, trained, config.seed)
  return params


def validate_labels(name: str, images: Split | Stored) -> None:
  """Raises ValueError unless every class has an image."""
  if not images.num_classes:
    raise ValueError(f"The images of {name} have no labels: take a set with classes.")
  if isinstance(images, Stored):  # Too large to be counted for a check.
    return
  counts = np.bincount(images.labels, minlength=images.num_classes)
  missing = np.flatnonzero(counts == 0)
  if len(missing):
    some = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
    raise ValueError(
        f"{len(missing)} of the {images.num_classes} classes of {name} have no image to train on "
        f"(numbers {some}): take them out of the set or add images."
    )


def some_images(config: ml_collections.ConfigDict, images: Split | Stored) -> jax.Array:
  """Random crops of random training images, for initialisation, as the network sees them."""
  random = np.random.RandomState(config.seed)
  chosen = random.permutation(images.size)[:config.init_images]
  few = batches.fixed(images.take(chosen), 0, config, random=True)
  return batches.views(config)(jnp.asarray(few.images)).x


def summary(results: dict) -> str:
  """The end of a run in one line."""
  layers = results["layers"][:results["frozen"]]
  whose, last = results["learner"] or results["source"], layers[-1] if layers else "nothing"
  return (
      f"{whose}, {last} frozen: {results['all_crops']:.2f} % of {results['test_images']} images "
      f"right by {results['crops']} crop(s) of each, {results['centre_crop']:.2f} % by the centre."
  )


JOB = fine_tuning.Job(resolve, task, summary)

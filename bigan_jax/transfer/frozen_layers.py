"""The protocol of the paper's Table 2: conv1 to convN frozen, the rest trained with labels."""

import functools
import json

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from bigan_jax import config as configs
from bigan_jax import disk, feeds, parallel, trainer
from bigan_jax.clock import clock
from bigan_jax.data import batches
from bigan_jax.data.splits import Split, Stored
from bigan_jax.evaluation import subjects
from bigan_jax.models.layers import AXIS
from bigan_jax.transfer import crops, head, initialise, loop, sgd, source, supervised_step
from bigan_jax.transfer.supervised_step import HeadState
from bigan_jax.workdir import RunFolder, open_run

FREE_TO_CHANGE = (
    "data_dir", "stop_epoch", "steps_per_dispatch", "save_every", "eval.every", "data.path",
    "data.resident_gb", "data.workers",
)
OWN = ("flip", "resident_gb", "workers")  # of config.data, which no encoder decides
MEASURES = ("loss", "accuracy")
RESULTS = "results.json"

Params = dict[str, chex.ArrayTree]


def run(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Trains one cell of Table 2 and writes its accuracy to results.json."""
  origin = source.read(config.encoder, config.encoder_step) if config.encoder else None
  config = resolve(config, origin)
  last_epoch = config.stop_epoch or config.epochs
  with trainer.interruption() as interrupted, open_run(
      workdir, config.to_dict(), FREE_TO_CHANGE
  ) as folder:
    results = finished(folder, last_epoch)
    if results is None:
      results = _train(config, folder, origin, interrupted)
    if results is not None:
      print(summary(results))


def _train(
    config: ml_collections.ConfigDict, folder: RunFolder, origin: source.Source | None,
    interrupted: trainer.Flag,
) -> dict | None:
  """The results, or None if interrupted."""
  train_set, judged_set = batches.load(config, may_stream=True)
  validate_labels(config.data.name, train_set)
  configs.validate_batch(config.batch_size, train_set.size, jax.device_count())
  network = head.build(config.model, train_set.num_classes)
  exam = crops.examination(config, network, judged_set)
  job = prepare_fit(config, folder, origin, train_set, exam)
  print(greeting(config, job.start))
  state = loop.fit(job, interrupted)
  if interrupted():
    return None
  accuracy = exam.test({**state.frozen, **state.params}, whole=True)
  results = {
      "source": config.source, "learner": config.learner, "frozen": config.frozen,
      "layers": list(source.hidden_layers(config.model)), "init": config.init,
      "generalised": bool(origin and origin.generalised), "encoder": config.encoder,
      "encoder_step": config.encoder_step, "seed": config.seed, "data": config.data.name,
      "side": config.model.image_shape[0],
      "epoch": config.stop_epoch or config.epochs, "step": int(state.step),
      "train_images": train_set.size, "test_images": judged_set.size,
      "classes": train_set.num_classes, **accuracy,
  }
  with disk.one_sentence(folder.path):
    text = json.dumps(results, indent=2) + "\n"
    disk.write_atomically(folder.path / RESULTS, text.encode())
  return results


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
    _take_from(config, origin)
  elif not config.data.name:
    raise ValueError("config.data.name is empty: name a data set, or an encoder to take it from.")
  if side:
    if model.family == "mlp" and side != model.encoder_shape[0]:
      raise ValueError(
          f"config.crop is {side}, but perceptrons see {model.encoder_shape[0]} pixels and nothing "
          "else: leave it at 0."
      )
    model.encoder_shape = model.image_shape = (side, side, model.encoder_shape[2])
  _validate(config)
  return config.lock()


def _take_from(config: ml_collections.ConfigDict, origin: source.Source) -> None:
  """Fills in the data set and the shapes of an encoder."""
  theirs, model = origin.config, config.model
  if config.source == "pretrained":
    config.learner = origin.learner
    config.encoder_step = str(origin.step)
  model.family = "mlp" if "fc1" in origin.layers else "alexnet"
  model.widths = tuple(layer["kernel"].shape[-1] for layer in origin.layers.values())
  model.value_range = tuple(theirs.model.value_range)
  model.encoder_shape, model.image_shape = tuple(theirs.model.encoder_shape), origin.shape
  own = {name: config.data[name] for name in OWN}
  config.data = ml_collections.ConfigDict({**subjects.data_settings(config.data, theirs), **own})
  config.data_dir = config.data_dir or theirs.data_dir


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
  if config.data.edge and shape[2] != 3:
    raise ValueError(
        f"The encoder sees images of {shape[2]} channel(s), but those of {config.data.name} have "
        "3: take another encoder or data set."
    )


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


def prepare_fit(
    config: ml_collections.ConfigDict, folder: RunFolder, origin: source.Source | None,
    train_set: Split | Stored, exam: crops.Examination,
) -> loop.Fit:
  """Initialises the network and puts the images on the devices."""
  when = clock(config, train_set.size)
  tx, rate = sgd.optimiser(config.optim), sgd.schedule(config.optim, when.steps_per_epoch)
  setup = supervised_step.Setup(
      exam.network, tx, rate, supervised_step.classification, AXIS, config.precision
  )
  params = initial_params(config, exam.network, origin, train_set)
  frozen = source.hidden_layers(config.model)[:config.frozen]
  start = supervised_step.initial_state(tx, params, frozen, MEASURES)
  feed = feeds.place(
      train_set, config.batch_size, batches.assembler(config), config.data.workers, when.dispatch
  )
  step = functools.partial(supervised_step.step, setup)
  program = parallel.supervised(step, feed, jax.random.PRNGKey(config.seed))
  def judge(state: HeadState) -> dict[str, float]:
    return exam.test({**state.frozen, **state.params}, whole=False)
  return loop.Fit(config, folder, when, setup, program, feed.close, judge, start)


def initial_params(
    config: ml_collections.ConfigDict, network: nn.Module, origin: source.Source | None,
    train_set: Split | Stored,
) -> Params:
  """The layers of the encoder that are frozen, and the others initialised for the images."""
  x = some_images(config, train_set)
  shapes = jax.eval_shape(lambda: network.init(jax.random.PRNGKey(0), x[:1]))["params"]
  params = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
  transferred = ()
  if config.source == "pretrained":
    transferred = source.hidden_layers(config.model)[:config.frozen]
    params = {**params, **{n: jax.tree.map(jnp.asarray, origin.layers[n]) for n in transferred}}
    if transferred and config.equalise:
      params = initialise.near_unit_scale(network, params, x, transferred[-1])
  new = tuple(name for name in network.layers if name not in transferred)
  params = initialise.initialise(network, params, x, new, config.init, config.seed)
  if config.equalise and config.init != "plain":
    trained = network.layers[config.frozen:]
    params = initialise.equalise(network, params, x, trained, config.seed)
  return params


def some_images(config: ml_collections.ConfigDict, images: Split | Stored) -> jax.Array:
  """Random crops of random training images, for initialisation, as the network sees them."""
  random = np.random.RandomState(config.seed)
  chosen = random.permutation(images.size)[:config.init_images]
  few = batches.fixed(images.take(chosen), 0, config, random=True)
  return batches.views(config)(jnp.asarray(few.images)).x


def finished(folder: RunFolder, epoch: int) -> dict | None:
  """The results of a run that reached `epoch`."""
  path = folder.path / RESULTS
  results = json.loads(path.read_text()) if path.exists() else {}
  return results if results.get("epoch") == epoch else None


def greeting(config: ml_collections.ConfigDict, start: HeadState) -> str:
  """What is about to be trained."""
  size = lambda tree: f"{sum(a.size for a in jax.tree.leaves(tree)):,}"
  whose = config.learner or config.source
  return (
      f"{', '.join(start.frozen) or 'no layer'} of {whose} frozen ({size(start.frozen)} "
      f"parameters), {', '.join(start.params)} trained ({size(start.params)}), on "
      f"{jax.device_count()} x {jax.devices()[0].device_kind}."
  )


def summary(results: dict) -> str:
  """The end of a run in one line."""
  layers = results["layers"][:results["frozen"]]
  whose, last = results["learner"] or results["source"], layers[-1] if layers else "nothing"
  return (
      f"{whose}, {last} frozen: {results['all_crops']:.2f} % of {results['test_images']} images "
      f"right by {results['crops']} crop(s) of each, {results['centre_crop']:.2f} % by the centre."
  )

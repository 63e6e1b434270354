"""The metrics of the paper and of the authors' code, under their names (reference section 7)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from absl import logging
import chex
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from bigan_jax.data import batches
from bigan_jax.data.preprocess import Range, to_uint8
from bigan_jax.data.sources import Split
from bigan_jax.evaluation import frozen, neighbours
from bigan_jax.models import Networks, latents
from bigan_jax.settings import measures
from bigan_jax.settings.arguments import nearest
from bigan_jax.training import console
from bigan_jax.training.objectives import Objective
from bigan_jax.training.state import Snapshot

Results = Iterable[tuple[str, float]]
Evaluator = Callable[[Snapshot], Results]
SHIFT = 128  # EGr_b compares with the next image within batches of this size


class Judge(NamedTuple):
  """The fixed material of all evaluations of a run, drawn once at its start.

  Attributes:
    networks: built without a device axis.
    objective: says which networks exist and whose features are judged.
    images: judged; references: training images, neighbours for 1-NN.
    z: latents of the generated samples, [S, d]; S is a multiple of 100.
    views: uint8 images -> Batch, by the evaluation crop.
    value_range: of the networks' images.
    latents: the kind of p(z).
  """

  networks: Networks
  objective: Objective
  images: Split
  references: Split
  z: jax.Array
  views: batches.Views
  value_range: Range
  latents: str = latents.KINDS[0]

  def evaluators(self) -> list[Evaluator]:
    """Every metric that the objective's networks allow."""
    plain_D = "D" in self.objective.players and not self.objective.joint
    found = [self.nearest_sample]
    if "E" in self.objective.players:
      found += [self.encoder, self.reconstruction, self.sample_reconstruction]
    return found + ([self.discriminator] if plain_D else [])

  def criterion(self, name: str, others: Sequence[str] = ()) -> tuple[str, str]:
    """(metric, "max" or "min") by which the best networks are kept.

    Args:
      name: config.eval.best, a metric with a better way; "": what training improves.
      others: what other evaluators measure.

    Raises:
      ValueError: the evaluators do not give it.
    """
    measured = ["NND", "NND/10", "NND/100", *others]
    plain_D = "D" in self.objective.players and not self.objective.joint
    if "E" in self.objective.players:
      sees = self.views(self.images.images[:1])
      measured += ["EGr", *(["EGg"] if sees.x.shape == sees.x_encoder.shape else [])]
    if self.images.num_classes:
      measured += ["NNC_e", "NNC_e-"] if "E" in self.objective.players else []
      measured += [f"CLS_{'e-' if self.objective.judged == 'E' else 'd'}"]
      measured += ["NNC_d"] if plain_D else []
    name = name or self.objective.best
    if name not in measured:
      raise ValueError(f"config.eval.best is {name!r}, which is not measured here: "
                       f"{nearest(name, tuple(measured))}")
    return name, {"up": "max", "down": "min"}[measures.better(name)]

  def encoder(self, snapshot: Snapshot) -> Results:
    """NNC_e, NNC_e-, CLS_e- in percent, and the spread of each code dimension.

    U(-1, 1) has a standard deviation of 0.577, N(0, 1) of 1; a dimension near 0 carries nothing.
    """
    e, features = self._describe(snapshot, "E")
    spread = np.std(np.asarray(latents.code(e, self.latents)), axis=0)
    yield "code_std_mean", float(spread.mean())
    yield "code_std_min", float(spread.min())
    if self.images.num_classes:
      accuracies = self._nearest_accuracies(snapshot, "E", (e, features))
      yield from zip(("NNC_e", "NNC_e-"), accuracies, strict=True)
      if self.objective.judged == "E":
        yield "CLS_e-", self._classified(snapshot, features)

  def discriminator(self, snapshot: Snapshot) -> Results:
    """NNC_d, and CLS_d where D is the feature learner: a plain D's features, in percent."""
    if not self.images.num_classes:
      return
    _, features = self._describe(snapshot, "D")
    yield "NNC_d", self._nearest_accuracies(snapshot, "D", (None, features))[1]
    if self.objective.judged == "D":
      yield "CLS_d", self._classified(snapshot, features)

  def nearest_sample(self, snapshot: Snapshot) -> Results:
    """NND, NND/10, NND/100: mean distance of an image to the nearest of S samples G(z)."""
    flat = lambda x: x.reshape(x.shape[0], -1)
    queries = jnp.asarray(flat(self.views(self.images.images).x))
    best, part = neighbours.nobody(queries.shape[0]), self.z.shape[0] // 100
    for i in console.over(range(100), 100, _title(snapshot, "nearest samples")):
      z = self.z[i * part:(i + 1) * part]
      samples = frozen.apply(self.networks.G, snapshot.variables["G"], z)
      best = neighbours.update(best, queries, flat(samples), i * part)
      if i + 1 in (1, 10, 100):
        name = "NND" if i == 99 else f"NND/{100 // (i + 1)}"
        yield name, float(jnp.mean(neighbours.distances(best, queries)))

  def reconstruction(self, snapshot: Snapshot) -> Results:
    """EGr = mean || x - G(E(x)) ||, and EGr_b against the next image instead of x."""
    def pairs() -> Iterator[tuple[jax.Array, jax.Array]]:
      images = _fill_up(self.images.images)
      for i in console.blocks(len(images), frozen.BLOCK, _title(snapshot, "reconstructions")):
        yield self._reconstruct(snapshot, images[i:i + frozen.BLOCK])
    right, shifted = _errors(pairs(), len(self.images.images))
    yield "EGr", right
    yield "EGr_b", shifted

  def sample_reconstruction(self, snapshot: Snapshot) -> Results:
    """EGg, EGg_b: the same of all samples G(z), rounded to 8 bits first.

    Not defined where E's images are not G's (generalised BiGAN).
    """
    view = self.views(self.images.images[:1])
    if view.x.shape != view.x_encoder.shape:
      return
    def pairs() -> Iterator[tuple[jax.Array, jax.Array]]:
      z = _fill_up(self.z)
      for i in console.blocks(len(z), frozen.BLOCK, _title(snapshot, "samples reconstructed")):
        samples = frozen.apply(self.networks.G, snapshot.variables["G"], z[i:i + frozen.BLOCK])
        yield self._reconstruct(snapshot, to_uint8(samples, self.value_range))
    right, shifted = _errors(pairs(), len(self.z))
    yield "EGg", right
    yield "EGg_b", shifted

  def _blocks(
      self, snapshot: Snapshot, player: str, split: Split
  ) -> Iterator[tuple[jax.Array, jax.Array]]:
    network, sees = getattr(self.networks, player), "x_encoder" if player == "E" else "x"
    variables = snapshot.variables[player]
    described = frozen.describe(network, variables, self.views, sees, split.images)
    count = -(-len(split.images) // frozen.BLOCK)
    return console.over(described, count, _title(snapshot, f"features of {player}"))

  def _describe(self, snapshot: Snapshot, player: str) -> tuple[jax.Array, jax.Array]:
    """(output, features) of the judged images."""
    outputs, features = zip(*self._blocks(snapshot, player, self.images), strict=True)
    return jnp.concatenate(outputs), jnp.concatenate(features)

  def _nearest_accuracies(
      self, snapshot: Snapshot, player: str, queries: tuple[jax.Array | None, jax.Array]
  ) -> list[float | None]:
    """1-NN accuracies in percent by the network's output and by its features.

    Args:
      queries: (outputs, features) of the judged images; None is passed over.
    """
    best = [None if q is None else neighbours.nobody(len(q)) for q in queries]
    first = 0
    for block in self._blocks(snapshot, player, self.references):
      best = [b and neighbours.update(b, *pair, first) for b, *pair in zip(best, queries, block)]
      first += len(block[1])
    labels = self.references.labels
    right = [b and np.mean(labels[np.asarray(b.index)] == self.images.labels) for b in best]
    return [None if share is None else float(share) * 100 for share in right]

  def _reconstruct(self, snapshot: Snapshot, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    G, E, *_ = self.networks
    return frozen.reconstruct(G, E, self.latents, snapshot.variables, self.views, images)

  def _classified(self, snapshot: Snapshot, features: jax.Array) -> float:
    """Accuracy in percent of calibration's linear classifier."""
    scores = jnp.matmul(features, snapshot.classifier["kernel"], precision="float32")
    guesses = jnp.argmax(scores, axis=1)
    return float(np.mean(np.asarray(guesses) == self.images.labels) * 100)


def _title(snapshot: Snapshot, part: str) -> str:
  return f"evaluation at epoch {snapshot.epoch}: {part}"


def _fill_up(rows: chex.Array) -> chex.Array:
  """Rows [N, ...], continued from the start to a multiple of SHIFT."""
  indices = np.arange(-(-len(rows) // SHIFT) * SHIFT) % len(rows)
  return rows[indices]


@jax.jit
def _pair_errors(x: jax.Array, reconstruction: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Euclidean errors [B] against x, and against the next x in each batch of SHIFT (cyclic)."""
  flat = lambda a: a.reshape(-1, SHIFT, a[0].size)
  x, reconstruction = flat(x), flat(reconstruction)
  right = jnp.linalg.norm(x - reconstruction, axis=-1)
  shifted = jnp.linalg.norm(jnp.roll(x, -1, axis=1) - reconstruction, axis=-1)
  return right.reshape(-1), shifted.reshape(-1)


def _errors(pairs: Iterable[tuple[jax.Array, jax.Array]], count: int) -> tuple[float, float]:
  """Mean errors of the first `count` images of all pairs (x, reconstruction)."""
  rows = [_pair_errors(*pair) for pair in pairs]
  right, shifted = (np.concatenate([np.asarray(r) for r in part]) for part in zip(*rows))
  return float(right[:count].mean()), float(shifted[:count].mean())


def judge(
    config: ml_collections.ConfigDict, networks: Networks, objective: Objective, train: Split,
    images: Split,
) -> Judge:
  """The judge of a config's `eval` section."""
  key = jax.random.fold_in(jax.random.PRNGKey(config.seed), 1)
  judged = batches.fixed(images, config.eval.images, config, random=False)
  references = batches.fixed(train, config.eval.references, config, random=True)
  if judged.num_classes and not np.isin(judged.labels, references.labels).any():
    logging.warning("No class of the judged pictures is trained on: no accuracies are given.")
    judged = judged._replace(num_classes=0)
  kind = latents.kind(config.model)
  return Judge(
      networks, objective, judged, references,
      latents.sample(key, config.eval.samples, config.model.latent_dim, kind),
      batches.views(config), tuple(config.model.value_range), kind,
  )

"""Tests of the metrics against plain numpy, written from reference section 7."""

from collections.abc import Callable

import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax.data.batch import Batch
from bigan_jax.data.sources import Split
from bigan_jax.evaluation import frozen, metrics
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import Snapshot

RS = np.random.RandomState(0)
COUNT = frozen.BLOCK + 128 + 16  # more than a block; the last batch of 128 is filled up
CLASSES = 10


def draw_split(count: int, classes: int = CLASSES) -> Split:
  images = RS.randint(256, size=(count, 8, 8, 1)).astype(np.uint8)
  return Split(images, RS.randint(CLASSES, size=count).astype(np.int32), classes)


IMAGES, REFERENCES = draw_split(COUNT), draw_split(300)


class Case:
  """A judge of made-up networks, and the same networks as plain functions on numpy arrays."""

  def __init__(
      self, config: ml_collections.ConfigDict, made_up: Callable, images: Split = IMAGES
  ):
    config.eval.images = config.eval.references = 0
    config.eval.samples = 300
    self.networks, variables = made_up(config)
    kernel = jnp.asarray(RS.normal(size=(16, CLASSES)), jnp.float32)
    self.snapshot = Snapshot(40, 8, variables, {"kernel": kernel})
    self.judge = metrics.judge(
        config, self.networks, OBJECTIVES[config.objective], REFERENCES, images
    )

  def apply(self, player: str, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(output, last hidden features)."""
    variables = self.snapshot.variables[player]
    output, activations = getattr(self.networks, player).apply(variables, *inputs)
    return np.asarray(output), np.asarray(activations["fc2"])

  def reconstruct(self, x: np.ndarray) -> np.ndarray:
    """G(2 sigmoid(E(x)) - 1)."""
    return self.apply("G", 2 / (1 + np.exp(-self.apply("E", x)[0])) - 1)[0]

  def errors(self, x: np.ndarray) -> tuple[float, float]:
    """EGr and EGr_b, image after image: batches of 128, the last one filled up from the start."""
    right, shifted = [], []
    for first in range(0, len(x), 128):
      batch = np.stack([x[i % len(x)] for i in range(first, first + 128)])
      back = self.reconstruct(batch)
      for i in range(min(128, len(x) - first)):
        right.append(np.linalg.norm(batch[i] - back[i]))
        shifted.append(np.linalg.norm(batch[(i + 1) % 128] - back[i]))
    return np.mean(right), np.mean(shifted)


@pytest.fixture(scope="module")
def bigan(tiny: Callable, made_up: Callable) -> Case:
  return Case(tiny(), made_up)


def native(split: Split) -> np.ndarray:
  return split.images / np.float32(255)


def nearest_label(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
  differences = queries[:, None].astype(np.float64) - references
  return REFERENCES.labels[np.argmin(np.sum(differences**2, axis=2), axis=1)]


def percent(guesses: np.ndarray) -> float:
  return 100 * np.mean(guesses == IMAGES.labels)


@pytest.mark.parametrize("count", [50, 128, 200, COUNT])
def test_reconstruction_errors(bigan: Case, count: int) -> None:
  judge = bigan.judge._replace(images=Split(IMAGES.images[:count], IMAGES.labels[:count], CLASSES))
  found = dict(judge.reconstruction(bigan.snapshot))
  right, shifted = bigan.errors(native(IMAGES)[:count])
  assert abs(right / shifted - 1) > 1e-4  # Far more than the tolerance below.
  assert found == {
      "EGr": pytest.approx(right, rel=1e-5), "EGr_b": pytest.approx(shifted, rel=1e-5)
  }


def test_reconstruction_errors_of_samples_are_against_8_bits(bigan: Case) -> None:
  found = dict(bigan.judge.sample_reconstruction(bigan.snapshot))
  samples = bigan.apply("G", np.asarray(bigan.judge.z))[0]
  rounded = (np.clip(np.round(samples * 255), 0, 255) / 255).astype(np.float32)
  right, shifted = bigan.errors(rounded)
  assert found == {
      "EGg": pytest.approx(right, rel=1e-5), "EGg_b": pytest.approx(shifted, rel=1e-5)
  }


def test_samples_beyond_8_bits_are_clipped(bigan: Case) -> None:
  """As if G made more than the native range [0, 1]: it makes [-1, 1] here."""
  wide = bigan.networks._replace(G=bigan.networks.G.clone(value_range=(-1.0, 1.0)))
  samples, _ = wide.G.apply(bigan.snapshot.variables["G"], bigan.judge.z)
  clipped = np.clip(np.round(np.asarray(samples) * 255), 0, 255) / np.float32(255)
  back = wide.G.apply(bigan.snapshot.variables["G"], np.tanh(bigan.apply("E", clipped)[0] / 2))[0]
  errors = np.linalg.norm((clipped - back).reshape(300, -1), axis=1)
  found = dict(bigan.judge._replace(networks=wide).sample_reconstruction(bigan.snapshot))
  assert found["EGg"] == pytest.approx(errors.mean(), rel=1e-5)


def test_samples_are_not_reconstructed_where_sizes_differ(bigan: Case) -> None:
  def generalised(images: jnp.ndarray) -> Batch:
    x = images.astype(jnp.float32) / 255
    return Batch(x[:, ::2, ::2], x)
  judge = bigan.judge._replace(views=generalised)
  assert list(judge.sample_reconstruction(bigan.snapshot)) == []


def test_nearest_samples_among_all_a_tenth_and_a_hundredth(bigan: Case) -> None:
  found = dict(bigan.judge.nearest_sample(bigan.snapshot))
  samples = bigan.apply("G", np.asarray(bigan.judge.z))[0].reshape(300, -1)
  x = native(IMAGES).reshape(COUNT, -1)
  distances = np.sqrt(np.sum((x[:, None].astype(np.float64) - samples) ** 2, axis=2))
  assert found == {
      name: pytest.approx(np.mean(distances[:, :count].min(axis=1)), rel=1e-5)
      for name, count in (("NND/100", 3), ("NND/10", 30), ("NND", 300))
  }
  assert found["NND"] < found["NND/10"] < found["NND/100"]


def test_the_encoder_is_judged_by_raw_code_features_and_classifier(bigan: Case) -> None:
  found = dict(bigan.judge.encoder(bigan.snapshot))
  logits, features = bigan.apply("E", native(IMAGES))
  reference_logits, reference_features = bigan.apply("E", native(REFERENCES))
  spread = np.std(2 / (1 + np.exp(-logits.astype(np.float64))) - 1, axis=0)
  guesses = np.argmax(features @ bigan.snapshot.classifier["kernel"], axis=1)
  assert found == {
      "code_std_mean": pytest.approx(spread.mean(), rel=1e-4),
      "code_std_min": pytest.approx(spread.min(), rel=1e-4),
      "NNC_e": pytest.approx(percent(nearest_label(logits, reference_logits))),
      "NNC_e-": pytest.approx(percent(nearest_label(features, reference_features))),
      "CLS_e-": pytest.approx(percent(guesses)),
  }


def test_a_plain_discriminator_is_judged_by_its_features(tiny: Callable, made_up: Callable) -> None:
  gan = Case(tiny("gan"), made_up)
  found = dict(gan.judge.discriminator(gan.snapshot))
  features, references = (gan.apply("D", native(s))[1] for s in (IMAGES, REFERENCES))
  guesses = np.argmax(features @ gan.snapshot.classifier["kernel"], axis=1)
  assert found == {
      "NNC_d": pytest.approx(percent(nearest_label(features, references))),
      "CLS_d": pytest.approx(percent(guesses)),
  }


def test_without_labels_only_the_spread_of_the_code_is_left(
    tiny: Callable, made_up: Callable
) -> None:
  unlabelled = draw_split(60, classes=0)
  case = Case(tiny("latent_regressor"), made_up, unlabelled)
  assert set(dict(case.judge.encoder(case.snapshot))) == {"code_std_mean", "code_std_min"}
  assert dict(case.judge.discriminator(case.snapshot)) == {}


SAMPLES = {"NND", "NND/10", "NND/100"}
ENCODER = {
    "NNC_e", "NNC_e-", "CLS_e-", "code_std_mean", "code_std_min", "EGr", "EGr_b", "EGg", "EGg_b"
}
NAMES = {
    "bigan": SAMPLES | ENCODER,
    "gan": SAMPLES | {"NNC_d", "CLS_d"},
    "latent_regressor": SAMPLES | ENCODER | {"NNC_d"},
    "joint_latent_regressor": SAMPLES | ENCODER | {"NNC_d"},
    "autoencoder_l2": SAMPLES | ENCODER,
    "autoencoder_l1": SAMPLES | ENCODER,
    "alad": SAMPLES | ENCODER,
}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_is_judged_is_what_the_networks_allow(
    tiny: Callable, made_up: Callable, objective: str
) -> None:
  case = Case(tiny(objective), made_up, draw_split(40))
  names = [n for evaluator in case.judge.evaluators() for n, _ in evaluator(case.snapshot)]
  assert set(names) == NAMES[objective] and len(names) == len(set(names))


def test_the_material_is_drawn_once_from_the_seed(tiny: Callable, made_up: Callable) -> None:
  config = tiny()
  config.eval.images, config.eval.references, config.eval.samples = 30, 50, 1000
  networks, _ = made_up(config)
  draw = lambda: metrics.judge(config, networks, OBJECTIVES["bigan"], REFERENCES, IMAGES)
  first, again = draw(), draw()
  np.testing.assert_array_equal(first.z, again.z)
  assert first.z.shape == (1000, 5) and -1 <= first.z.min() < -0.9 and 0.9 < first.z.max() <= 1
  spread = np.arange(30) * COUNT // 30  # The set may be in the order of its classes.
  np.testing.assert_array_equal(first.images.images, IMAGES.images[spread])
  np.testing.assert_array_equal(first.references.labels, REFERENCES.labels[::300 // 50])
  config.seed = 1
  assert not np.array_equal(first.z, draw().z)
  config.eval.images = config.eval.references = 0
  assert (len(draw().images.labels), len(draw().references.labels)) == (COUNT, 300)

"""Parity: forward passes, losses, updates and calibration against the authors' released code.

testdata/NAME.json names the authors' arrays in their order, and the seed of one numpy RandomState
from which arrays, x and z are drawn; NAME.npz holds what the authors' code computes from them. An
array is summarised by nine numbers: size, mean, l2 norm and its first six entries.
"""

from collections.abc import Callable, Iterator
import functools
import json
import pathlib
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.data.batch import Batch
from bigan_jax.exchange import official_arrays
from bigan_jax.models import latents
from bigan_jax.training import calibration, train_step
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import Optimiser, Schedule, TrainState
from tests.golden_cases import CASES, Case, Tie

TESTDATA = pathlib.Path(__file__).parent / "testdata"
PLAYER = {"E": "E", "G": "G", "D": "D", "joint_D": "D"}  # our names for theirs
LOSS = {"D": "D", "JD": "D", "E": "E", "e": "E", "G": "G"}  # whose loss a printed one is
KEY = jax.random.key(0)  # of no effect: z is given
TX = Optimiser(b1=0.5, b2=0.999, weight_decay=2.5e-5, decay_shifts=True)
RATE = Schedule(2e-4, 0.01, steps_per_epoch=1000, constant_epochs=1, decay_epochs=1)


class Golden(NamedTuple):
  """One golden run: its settings and description, what the authors' code computed, its inputs.

  arrays: the authors' initial ones {player: [array]}.
  pixels: the images that E sees, uint8 [B, C, H, W].
  """

  case: Case
  facts: dict
  stored: dict[str, np.ndarray]
  arrays: dict[str, list[np.ndarray]]
  pixels: np.ndarray
  batch: Batch
  z: np.ndarray


class Ours(NamedTuple):
  """What our code computes from the same inputs.

  states: before training and after each update.
  last_losses: after the last update.
  batch_stats, losses: statistics after two calibration passes, and the losses they report.
  """

  setup: train_step.Setup
  states: list[TrainState]
  last_losses: dict[str, jax.Array]
  batch_stats: dict
  losses: dict[str, jax.Array]

  def apply(self, player: str, x: np.ndarray, train: bool = False, step: int = 0) -> tuple:
    """(output, activations) of a network after `step` updates."""
    params, batch_stats = self.states[step].params[player], self.batch_stats[player]
    network = getattr(self.setup.networks, player)
    apply = jax.jit(functools.partial(network.apply, train=train))
    return apply({"params": params, "batch_stats": batch_stats}, x)


def rebuild(case: Case, facts: dict) -> tuple[dict, np.ndarray, Batch, np.ndarray]:
  """Draws arrays, images and latents as the golden run drew them."""
  rs = np.random.RandomState(facts["seed"])
  draw = {
      "weight": lambda shape: 0.05 * rs.standard_normal(shape),
      "gain": lambda shape: 1 + 0.1 * rs.standard_normal(shape),
      "bias": lambda shape: 0.1 * rs.standard_normal(shape),
      "buffer": np.zeros,
  }
  arrays = {}
  for network, _, _, kind, shape in facts["order"]:
    arrays.setdefault(PLAYER[network], []).append(np.float32(draw[kind](shape)))
  def images(shape: tuple[int, int, int]) -> np.ndarray:
    height, width, channels = shape
    return rs.randint(0, 256, size=(facts["batch"], channels, height, width)).astype("uint8")
  image_shape, encoder_shape = (case.model[f"{name}_shape"] for name in ("image", "encoder"))
  x_encoder = images(encoder_shape)
  x = x_encoder if image_shape == encoder_shape else images(image_shape)
  z = rs.uniform(-1, 1, size=(facts["batch"], case.model["latent_dim"])).astype("float32")
  low, high = case.model["value_range"]
  native = lambda pixels: low + (high - low) / 255 * np.float32(pixels.transpose(0, 2, 3, 1))
  return arrays, x_encoder, Batch(native(x), native(x_encoder)), z


@pytest.fixture(scope="module", params=CASES)
def golden(request: pytest.FixtureRequest) -> Golden:
  case = CASES[request.param]
  facts = json.loads((TESTDATA / f"{request.param}.json").read_text())
  with np.load(TESTDATA / f"{request.param}.npz") as stored:
    return Golden(case, facts, dict(stored), *rebuild(case, facts))


@pytest.fixture(scope="module")
def ours(golden: Golden) -> Iterator[Ours]:
  """Runs train_step and calibration_step on the golden z, at the highest precision."""
  with pytest.MonkeyPatch.context() as patch, jax.default_matmul_precision("highest"):
    patch.setattr(train_step, "draw_latents", lambda *_: jnp.asarray(golden.z))
    yield compute(golden)


def compute(golden: Golden) -> Ours:
  """The case's updates, and two calibration passes at the initial arrays."""
  model = ml_collections.ConfigDict(golden.case.model)
  setup = train_step.Setup(
      models.build(model), OBJECTIVES[golden.case.objective], TX, RATE, model.latent_dim
  )
  variables = official_arrays.to_variables(golden.arrays, model.family)
  params = {p: v["params"] for p, v in variables.items()}
  carry = calibration.Calibration({p: v["batch_stats"] for p, v in variables.items()}, {}, {})
  @jax.jit
  def step(state: TrainState, *inputs: Batch | jax.Array) -> tuple[TrainState, dict]:
    with nn.intercept_methods(with_ties(golden.case.ties, state.step)):
      return train_step.train_step(setup, state, *inputs)
  calibrate = jax.jit(functools.partial(calibration.calibration_step, setup))
  labels = np.zeros(len(golden.z), np.int32)
  for _ in range(2):
    carry, metrics = calibrate(params, 2e-4, carry, golden.batch, labels, KEY)
  states = [TrainState(jnp.int32(0), params, {p: TX.init(v) for p, v in params.items()})]
  for _ in range(golden.case.updates):
    states.append(step(states[-1], golden.batch, KEY)[0])
  last_losses = metrics["loss"]
  if golden.case.updates:
    last_losses = step(states[-1], golden.batch, KEY)[1]["loss"]
  return Ours(setup, states, last_losses, carry.batch_stats, metrics["loss"])


def with_ties(ties: tuple[Tie, ...], step: jax.Array) -> Callable[..., jax.Array]:
  """Raises the entries of those that matter in this update."""
  def call(apply: Callable, args: tuple, kwargs: dict, context: object) -> jax.Array:
    y, place = apply(*args, **kwargs), (context.module.name, context.method_name, *args[2:])
    for tie in ties:
      if place == (tie.norm, "__call__", tie.batches):
        y = y.at[tie.entry].add(tie.by * (step == tie.update).astype(y.dtype))
    return y
  return call


def summary(array: np.ndarray) -> tuple[int, float, float, np.ndarray]:
  """Size, mean, l2 norm, first six entries."""
  flat = np.float64(array).reshape(-1)
  return flat.size, flat.mean(), np.linalg.norm(flat), flat[:6]


def stored_summary(numbers: np.ndarray) -> tuple[int, float, float, np.ndarray]:
  return int(numbers[0]), numbers[1], numbers[2], numbers[3:]


def arrays_of(golden: Golden, ours: Ours, step: int) -> dict[str, list[np.ndarray]]:
  """The authors' arrays, from our parameters after `step` updates and calibrated statistics."""
  params = ours.states[step].params
  return official_arrays.to_official(
      {p: {"params": params[p], "batch_stats": ours.batch_stats[p]} for p in params},
      golden.case.model["family"],
  )


def channels_first(maps: jax.Array) -> np.ndarray:
  return np.moveaxis(maps, -1, 1)


def printed(golden: Golden, losses: dict[str, jax.Array]) -> list[float]:
  return [float(losses[LOSS[name]]) for name in golden.facts["loss_names"]]


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
  np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_inputs_are_the_stored_ones(golden: Golden) -> None:
  np.testing.assert_array_equal(golden.z, golden.stored["z"])
  first = golden.pixels.reshape(len(golden.z), -1)[:, :8]
  np.testing.assert_array_equal(first, golden.stored["x_first_pixels"])


def test_losses(golden: Golden, ours: Ours) -> None:
  stored = golden.stored
  for key in ("train|losses_init", "test|losses"):  # the latter in training mode too
    np.testing.assert_allclose(printed(golden, ours.losses), stored[key], rtol=1e-5)
  if golden.case.updates:
    last = printed(golden, ours.last_losses)
    np.testing.assert_allclose(last, stored["train|losses_after3"], rtol=golden.case.losses)


def test_weights_after_updates(golden: Golden, ours: Ours) -> None:
  levels = ["init", "step1", "step2", "step3"]
  for step, tolerance in enumerate((1e-6, *golden.case.weights[:golden.case.updates])):
    arrays = arrays_of(golden, ours, step)
    for network, index, name, kind, _ in golden.facts["order"]:
      if kind != "buffer":
        size, mean, norm, entries = summary(arrays[PLAYER[network]][index])
        expected = stored_summary(golden.stored[f"{levels[step]}|{network}|{index}"])
        where = f"{name} at {levels[step]}"
        assert size == expected[0], where
        np.testing.assert_allclose(mean, expected[1], rtol=0, atol=tolerance, err_msg=where)
        np.testing.assert_allclose(norm, expected[2], rtol=tolerance, err_msg=where)
        np.testing.assert_allclose(entries, expected[3], rtol=0, atol=tolerance, err_msg=where)


def test_calibrated_statistics(golden: Golden, ours: Ours) -> None:
  arrays = arrays_of(golden, ours, 0)
  for network, index, name, kind, _ in golden.facts["order"]:
    if kind != "buffer":
      continue
    size, mean, norm, entries = summary(arrays[PLAYER[network]][index])
    expected = stored_summary(golden.stored[f"calibrated|{network}|{index}"])
    assert size == expected[0], name
    np.testing.assert_allclose(norm, expected[2], rtol=1e-5, err_msg=name)
    assert_close(np.append(entries, mean), np.append(expected[3], expected[1]))


def test_samples(golden: Golden, ours: Ours) -> None:
  stored, case = golden.stored, golden.case
  G_z = lambda **options: channels_first(ours.apply("G", golden.z, **options)[0][:2])
  assert_close(G_z(train=True), stored["train|G(z)[:2]"])
  assert_close(G_z(train=False), stored["test|G(z)[:2]"])
  if case.updates:
    assert_close(G_z(train=True, step=3), stored["train|G(z)[:2]_after3"], case.samples)


def test_calibrated_features(golden: Golden, ours: Ours) -> None:
  for player in "ED":  # of D where it is a plain one
    if (expected := golden.stored.get(f"test|{player}(x)_features[:2]")) is None:
      continue
    output, activations = ours.apply(player, golden.batch.x_encoder)
    features = activations[getattr(ours.setup.networks, player).feature_layer]
    assert_close(channels_first(features[:2]), expected)
    if player == "E":
      assert_close(output, golden.stored["test|E(x)_logits"])


def test_code(golden: Golden) -> None:
  logits, code = (golden.stored[f"test|E(x)_{name}"] for name in ("logits", "code"))
  assert_close(latents.code(logits), code)

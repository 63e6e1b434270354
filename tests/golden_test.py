"""Parity: forward passes, losses, updates and calibration against the authors' released code.

testdata/NAME.json names the authors' arrays in their order, and the seed of one numpy RandomState
from which arrays, x and z are drawn; NAME.npz holds what the authors' code computes from them. An
array is summarised by nine numbers: size, mean, l2 norm and its first six entries.
"""

import functools
import json
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax import import_official, latents, models, train_step
from bigan_jax.objectives import OBJECTIVES, Batch
from bigan_jax.state import Optimiser, Schedule, TrainState

TESTDATA = pathlib.Path(__file__).parent / "testdata"
OBJECTIVE = {"mnist_bigan": "bigan", "mnist_latent_regressor": "latent_regressor"}
PLAYER = {"E": "E", "G": "G", "D": "D", "joint_D": "D"}  # our names for theirs
LOSS = {"D": "D", "JD": "D", "E": "E", "e": "E", "G": "G"}  # whose loss a printed one is
TX = Optimiser(b1=0.5, b2=0.999, weight_decay=2.5e-5, decay_shifts=True)
RATE = Schedule(2e-4, 0.01, steps_per_epoch=1000, constant_epochs=1, decay_epochs=1)
MODEL = ml_collections.ConfigDict({
    "family": "mlp", "latent_dim": 50, "value_range": (0.0, 1.0),
    "image_shape": (28, 28, 1), "encoder_shape": (28, 28, 1),
    "G": {"width": 64, "first_bn": True, "z_skip": True},
    "E": {"width": 64, "out_stddev": 0.02},
    "D": {"width": 64, "z_output": False},
})


class Inputs(NamedTuple):
  """The authors' arrays {player: [array]}, images [B, H, W, C] in [0, 1] and latents [B, d]."""

  arrays: dict[str, list[np.ndarray]]
  x: np.ndarray
  z: np.ndarray


class Golden(NamedTuple):
  """One golden run: its description, what the authors' code computed, and its inputs."""

  name: str
  facts: dict
  stored: dict[str, np.ndarray]
  inputs: Inputs


class Ours(NamedTuple):
  """What our code computes from the same inputs.

  states: before training and after one, two and three updates.
  losses: at each update, the state after the third included.
  calibrated: batch statistics after two calibration passes, and the losses they report.
  """

  setup: train_step.Setup
  states: list[TrainState]
  losses: list[dict[str, jax.Array]]
  batch_stats: dict
  calibration_losses: dict[str, jax.Array]

  def apply(self, player: str, x: np.ndarray, train: bool = False, step: int = 0) -> tuple:
    """(output, activations) of a network after `step` updates."""
    variables = {
        "params": self.states[step].params[player], "batch_stats": self.batch_stats[player],
    }
    return getattr(self.setup.networks, player).apply(variables, x, train=train)


def rebuild(facts: dict) -> Inputs:
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
  x = rs.randint(0, 256, size=(facts["batch"], 1, 28, 28)).astype("uint8")
  z = rs.uniform(-1, 1, size=(facts["batch"], 50)).astype("float32")
  return Inputs(arrays, np.float32(x.transpose(0, 2, 3, 1)) / 255, z)


@pytest.fixture(scope="module", params=OBJECTIVE)
def golden(request: pytest.FixtureRequest) -> Golden:
  facts = json.loads((TESTDATA / f"{request.param}.json").read_text())
  with np.load(TESTDATA / f"{request.param}.npz") as stored:
    return Golden(request.param, facts, dict(stored), rebuild(facts))


@pytest.fixture(scope="module")
def ours(golden: Golden) -> Iterator[Ours]:
  """Runs train_step and calibration_step on the golden z, at the highest precision."""
  with pytest.MonkeyPatch.context() as patch, jax.default_matmul_precision("highest"):
    patch.setattr(train_step, "draw_latents", lambda *_: jnp.asarray(golden.inputs.z))
    yield compute(golden)


def compute(golden: Golden) -> Ours:
  """Three updates, and two calibration passes at the initial arrays."""
  setup = train_step.Setup(
      models.build(MODEL), OBJECTIVES[OBJECTIVE[golden.name]], TX, RATE, latent_dim=50
  )
  variables = import_official.to_variables(golden.inputs.arrays, "mlp")
  params = {p: v["params"] for p, v in variables.items()}
  batch, key = Batch(golden.inputs.x, golden.inputs.x), jax.random.key(0)
  step = jax.jit(functools.partial(train_step.train_step, setup))
  states = [TrainState(jnp.int32(0), params, {p: TX.init(v) for p, v in params.items()})]
  losses = []
  for _ in range(4):
    state, metrics = step(states[-1], batch, key)
    states.append(state)
    losses.append(metrics["loss"])
  carry = train_step.Calibration({p: v["batch_stats"] for p, v in variables.items()}, {}, {})
  calibrate = jax.jit(functools.partial(train_step.calibration_step, setup, params, 2e-4))
  for _ in range(2):
    carry, metrics = calibrate(carry, batch, jnp.zeros(len(batch.x), jnp.int32), key)
  return Ours(setup, states, losses, carry.batch_stats, metrics["loss"])


def summary(array: np.ndarray) -> tuple[int, float, float, np.ndarray]:
  """Size, mean, l2 norm, first six entries."""
  flat = np.asarray(array, np.float64).reshape(-1)
  return flat.size, flat.mean(), np.linalg.norm(flat), flat[:6]


def stored_summary(numbers: np.ndarray) -> tuple[int, float, float, np.ndarray]:
  return int(numbers[0]), numbers[1], numbers[2], numbers[3:]


def arrays_of(ours: Ours, step: int) -> dict[str, list[np.ndarray]]:
  """The authors' arrays, from our parameters after `step` updates and calibrated statistics."""
  params = ours.states[step].params
  return import_official.to_official(
      {p: {"params": params[p], "batch_stats": ours.batch_stats[p]} for p in params}, "mlp"
  )


def printed(golden: Golden, losses: dict[str, jax.Array]) -> list[float]:
  """Losses in the order of the stored ones."""
  return [float(losses[LOSS[name]]) for name in golden.facts["loss_names"]]


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
  """No difference above `tolerance` of the largest expected entry."""
  np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_inputs_are_the_stored_ones(golden: Golden) -> None:
  inputs, stored = golden.inputs, golden.stored
  np.testing.assert_array_equal(inputs.z, stored["z"])
  pixels = np.rint(255 * inputs.x.reshape(len(inputs.x), -1)[:, :8])
  np.testing.assert_array_equal(pixels, stored["x_first_pixels"])


def test_losses(golden: Golden, ours: Ours) -> None:
  at = lambda step: printed(golden, ours.losses[step])
  np.testing.assert_allclose(at(0), golden.stored["train|losses_init"], rtol=1e-5)
  np.testing.assert_allclose(at(3), golden.stored["train|losses_after3"], rtol=1e-5)
  calibration = printed(golden, ours.calibration_losses)
  np.testing.assert_allclose(calibration, golden.stored["test|losses"], rtol=1e-5)


@pytest.mark.parametrize("step", range(4))
def test_weights_after_updates(golden: Golden, ours: Ours, step: int) -> None:
  """Entries and means to 1e-6, where a step is 2e-4; norms of 0.4 to 11 to 1e-6 of themselves."""
  arrays = arrays_of(ours, step)
  level = f"step{step}" if step else "init"
  for network, index, name, kind, _ in golden.facts["order"]:
    if kind == "buffer":
      continue
    size, mean, norm, entries = summary(arrays[PLAYER[network]][index])
    expected = stored_summary(golden.stored[f"{level}|{network}|{index}"])
    assert size == expected[0], name
    np.testing.assert_allclose(mean, expected[1], rtol=0, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(norm, expected[2], rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(entries, expected[3], rtol=0, atol=1e-6, err_msg=name)


def test_calibrated_statistics(golden: Golden, ours: Ours) -> None:
  arrays = arrays_of(ours, 0)
  for network, index, name, kind, _ in golden.facts["order"]:
    if kind != "buffer":
      continue
    size, mean, norm, entries = summary(arrays[PLAYER[network]][index])
    expected = stored_summary(golden.stored[f"calibrated|{network}|{index}"])
    assert size == expected[0], name
    np.testing.assert_allclose(norm, expected[2], rtol=1e-5, err_msg=name)
    assert_close(np.append(entries, mean), np.append(expected[3], expected[1]))


def test_samples(golden: Golden, ours: Ours) -> None:
  z, stored = golden.inputs.z, golden.stored
  images = lambda key: stored[key].transpose(0, 2, 3, 1)
  G_z = lambda *args: ours.apply("G", z, *args)[0][:2]
  assert_close(G_z(True), images("train|G(z)[:2]"))
  assert_close(G_z(False), images("test|G(z)[:2]"))
  # Adam turns the rounding of near-zero gradients into whole steps: 7e-6 on the plainest CPUs.
  assert_close(G_z(True, 3), images("train|G(z)[:2]_after3"), 5e-5)


def test_calibrated_encoder_and_features(golden: Golden, ours: Ours) -> None:
  logits, _ = ours.apply("E", golden.inputs.x)
  assert_close(logits, golden.stored["test|E(x)_logits"])
  assert_close(latents.code(logits), golden.stored["test|E(x)_code"])
  judges = ["E", "D"] if golden.name == "mnist_latent_regressor" else ["E"]  # a joint D needs z
  for player in judges:
    _, activations = ours.apply(player, golden.inputs.x)
    assert_close(activations["fc2"][:2], golden.stored[f"test|{player}(x)_features[:2]"])

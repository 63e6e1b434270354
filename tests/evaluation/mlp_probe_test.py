"""Tests of the classifier with one hidden layer: what it learns, and by what it is chosen."""

import ml_collections
import numpy as np
import pytest

from bigan_jax.evaluation import linear_probe, mlp_probe
from configs import linear_probe as config

RS = np.random.RandomState(0)


@pytest.fixture(autouse=True)
def _seeded() -> None:
  """A test draws the same, whichever ran before it, and other points than X."""
  RS.seed(1)


def settings(**changes: object) -> ml_collections.ConfigDict:
  found = config.get_config().mlp
  found.update({"hidden": 20, "rates": (0.01,), "dropouts": (0.1,), "batch_size": 50, **changes})
  return found


def quadrants(count: int) -> tuple[np.ndarray, np.ndarray]:
  """Points of two classes that no line parts; of other sizes, offset, with a feature of noise."""
  x = RS.uniform(-1, 1, size=(count, 3)).astype(np.float32)
  return x * np.float32([1, 30, 5]) + np.float32([500, 0, 0]), 3 + 4 * (x[:, 0] * x[:, 1] > 0)


X, Y = quadrants(600)


def choose(chosen: ml_collections.ConfigDict, labels: np.ndarray = Y) -> mlp_probe.Probe:
  return mlp_probe.choose(linear_probe.frame(X, labels, turns=False), X, chosen, 0.2, 0)


@pytest.fixture(scope="module", name="probe")
def _probe() -> mlp_probe.Probe:
  return choose(settings(rates=(0.01, 1e-5), epochs=40, patience=40))


def test_it_learns_what_no_line_parts(probe: mlp_probe.Probe) -> None:
  judged, labels = quadrants(400)
  assert set(probe.predict(judged)) == {3, 7}
  assert np.mean(probe.predict(judged) == labels) > 0.9
  line = linear_probe.fit(X, Y, (0.01,))
  assert np.mean(line.predict(judged) == labels) < 0.7


def test_rate_and_epochs_are_those_that_do_best_on_held_out_images(probe: mlp_probe.Probe) -> None:
  assert probe.rate == 0.01 and probe.dropout == 0.1
  assert set(probe.validation) == {"0.01, 0.1", "1e-05, 0.1"}
  assert probe.validation["0.01, 0.1"] > 85 > probe.validation["1e-05, 0.1"]
  held = linear_probe.hold_out(Y, 0.2, seed=0)
  data = mlp_probe._data(probe.problem, X, probe.problem.targets)
  chosen = settings(epochs=40)
  states = list(mlp_probe.train(
      probe.network, data, np.flatnonzero(held == 0), chosen, probe.rate, 40, seed=0
  ))
  curve = [mlp_probe._accuracy(probe.network, s, data, np.flatnonzero(held)) for s in states]
  assert probe.epochs == 1 + np.argmax(curve)
  assert probe.validation["0.01, 0.1"] == pytest.approx(max(curve))


def test_patience_ends_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
  """Labels are noise: after the first epochs nothing gets better."""
  asked = []
  accuracy = lambda network, state, data, images: asked.append(1) or 50.0 - len(asked)
  monkeypatch.setattr(mlp_probe, "_accuracy", accuracy)
  probe = choose(settings(epochs=30, patience=3))
  assert len(asked) == 4 and probe.epochs == 1


def test_the_rate_falls_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
  rates = []
  monkeypatch.setattr(
      mlp_probe, "_epoch", lambda network, state, data, order, rate: rates.append(rate) or state
  )
  chosen, problem = settings(drops=(1, 3), drop=0.5), linear_probe.frame(X, Y, turns=False)
  data = mlp_probe._data(problem, X, problem.targets)
  list(mlp_probe.train(mlp_probe.Network(5, 2, 0.1), data, np.arange(100), chosen, 0.8, 4, 0))
  assert rates == [0.8, 0.4, 0.4, 0.2]


def test_the_same_seed_gives_the_same(probe: mlp_probe.Probe) -> None:
  again = choose(settings(rates=(0.01, 1e-5), epochs=40, patience=40))
  np.testing.assert_array_equal(again.predict(X), probe.predict(X))
  assert again.validation == probe.validation


@pytest.mark.parametrize("labels, message", [
    (np.zeros(600, int), "All images have label 0"),
    (np.arange(600), "No class has enough images to hold out a share of 0.2"),
])
def test_labels_that_cannot_be_learned_are_refused(labels: np.ndarray, message: str) -> None:
  with pytest.raises(ValueError, match=message):
    choose(settings(), labels)

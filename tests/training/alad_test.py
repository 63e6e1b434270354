"""ALAD: its gradients by hand, its state, its score, and what is refused."""

from collections.abc import Callable
import pathlib
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bigan_jax
from bigan_jax import export, import_official, models
from bigan_jax.data.batch import Batch
from bigan_jax.evaluation.anomaly import fitting, normal, scores
from bigan_jax.runs import checkpoints
from bigan_jax.settings import rules
from bigan_jax.training import learner
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import initial_state
from configs import cifar10, digits, image_folder, mnist

PLAYERS = OBJECTIVES["alad"].players
X, Z = np.array([[0.5], [-1.0], [2.0]]), np.array([[0.3], [-0.7], [0.9]])
WEIGHTS = {"G": 1.5, "E": -0.8, "D": (0.6, -0.4), "D_xx": (0.7, 0.9), "D_zz": (-0.5, 1.1)}


class Lines(NamedTuple):
  """Networks of one or two weights: E(x) = e x, G(z) = g z, D(a, b) = v a + w b."""

  weights: dict[str, jax.Array]

  def __call__(self, name: str, inputs: jax.Array) -> jax.Array:
    return self.weights[name] * inputs

  def encode(self, x: jax.Array) -> jax.Array:
    return self("E", x)

  def judge(self, real: tuple, fake: tuple, name: str = "D") -> tuple[jax.Array, jax.Array]:
    verdict = lambda pair: jnp.concatenate(pair, axis=1) @ jnp.asarray(self.weights[name])
    return verdict(real), verdict(fake)


def test_gradients_by_hand() -> None:
  """Each D is pulled by its own game alone, E and G by the made-up half of each that is theirs."""
  losses = lambda weights: OBJECTIVES["alad"].losses(Lines(weights), Batch(X, X), Z)
  found = jax.jit(jax.jacrev(losses))(jax.tree.map(jnp.float32, WEIGHTS))
  e, g, x, z = WEIGHTS["E"], WEIGHTS["G"], X[:, 0], Z[:, 0]
  pairs = {"D": ((x, e * x), (g * z, z)), "D_xx": ((x, x), (x, g * e * x)),
           "D_zz": ((z, z), (z, e * g * z))}
  p = {}  # of "real", by each D
  for name, both in pairs.items():
    p[name] = [1 / (1 + np.exp(-np.dot(WEIGHTS[name], pair))) for pair in both]
    real, fake = p[name]
    expected = [np.mean(fake * b - (1 - real) * a) / 2 for a, b in zip(*both, strict=True)]
    np.testing.assert_allclose(found[name][name], expected, rtol=1e-5)
  (v, w), (_, w_xx), (_, w_zz) = (WEIGHTS[name] for name in pairs)
  back = (1 - p["D_xx"][1]) * w_xx, (1 - p["D_zz"][1]) * w_zz
  G = -np.mean((1 - p["D"][1]) * v * z + back[0] * e * x + back[1] * e * z) / 2
  E = -np.mean(-p["D"][0] * w * x + back[0] * g * x + back[1] * g * z) / 2
  np.testing.assert_allclose([found["G"]["G"], found["E"]["E"]], [G, E], rtol=1e-5)


def test_a_state_comes_back_whole(tmp_path: pathlib.Path) -> None:
  """With what lasts from step to step of all three Ds."""
  config = digits.get_config("alad,recipe=official")
  config.model.D.norm = "spectral"
  networks, setup = models.build(config.model), learner.setup_of(config, 4)
  template, _ = jax.eval_shape(lambda: initial_state(
      networks, config.model, setup.objective, setup.tx, jax.random.key(0), averaged=True
  ))
  assert set(template.params) == set(template.opt_state) == set(PLAYERS)
  assert set(template.vectors) == {"D", "D_xx", "D_zz"} and set(template.average) == set("GE")
  random = np.random.RandomState(0)
  state = jax.tree.map(lambda a: (100 * random.normal(size=a.shape)).astype(a.dtype), template)
  manager = checkpoints.open_states(tmp_path)
  checkpoints.save_state(manager, 2, state, wait=True)
  step, restored = checkpoints.restore_state(manager, template)
  checkpoints.close(manager)
  chex.assert_trees_all_equal(restored, state)
  assert step == 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: Callable, saved_run: Callable
        ) -> pathlib.Path:
  """Of digits, whose Ds have biases instead of norms."""
  path, config = tmp_path_factory.mktemp("run") / "alad", tiny("alad")
  config.model.D.norm = "spectral"
  saved_run(config, path)
  return path


def test_the_score_is_d_xx_s_and_stays_in_the_run_folder(
    run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  model = bigan_jax.load(str(run))
  images = np.random.RandomState(0).randint(256, size=(12, 8, 8, 1)).astype(np.uint8)
  found = scores.measure(model, images)
  x = np.float32(images) / 255
  D_xx = checkpoints.restore_network(str(run), "D_xx")[0]["params"]
  def hidden(other: np.ndarray) -> np.ndarray:
    h = np.concatenate([x, other], axis=1).reshape(12, -1)
    for name in ("fc1", "fc2"):
      h = h @ D_xx[name]["kernel"] + D_xx[name]["bias"]
      h = np.where(h > 0, h, 0.2 * h)
    return h
  back = np.asarray(model.G(model.E(x)[0]))
  expected = np.abs(hidden(x) - hidden(back)).sum(axis=1)
  np.testing.assert_allclose(found["alad"], expected, rtol=1e-4)
  assert fitting.default(normal.fit(jax.device_get(found), 5)) == scores.ALAD
  assert np.ptp(expected) > 0
  export.export(str(run), str(tmp_path / "model"), ("safetensors",))
  out = bigan_jax.load(str(tmp_path / "model"))
  assert set(out.sizes) == set("GED") and out.D_xx is None
  np.testing.assert_allclose(out.G(out.E(x)[0]), back, rtol=1e-4, atol=1e-5)
  with pytest.raises(ValueError, match="alad is D_xx's, which stays in the run folder: name that"):
    fitting.check_score(out, "alad")


def test_a_bigan_has_no_such_score(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path
) -> None:
  saved_run(tiny(), tmp_path)
  with pytest.raises(ValueError, match="alad is D_xx's, which bigan does not train: train with"):
    fitting.check_score(bigan_jax.load(str(tmp_path)), "alad")


@pytest.mark.parametrize("name, value", [
    ("loss", "hinge"), ("augment", "flip"), ("model.D.unary", True), ("model.E.stochastic", True),
])
def test_what_is_for_one_game_is_refused(name: str, value: object) -> None:
  config = cifar10.get_config("alad")
  rules.validate(config)
  config.update_from_flattened_dict({name: value})
  sentence = rf"config.{name} is {value!r}, which alad has no use for .only .*: leave it out"
  with pytest.raises(ValueError, match=sentence):
    rules.validate(config)


def test_what_else_is_refused() -> None:
  with pytest.raises(ValueError, match="alad shows E the images of G, but E sees 64"):
    rules.validate(image_folder.get_config("alad,size=small"))
  with pytest.raises(ValueError, match="'alad', which the authors' code does not have: give"):
    import_official.import_run("nowhere", mnist.get_config("alad,recipe=official"), "out")

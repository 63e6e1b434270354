"""Tests of the MNIST networks: sizes, initial values, and where z enters."""


import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.models import mlp

OFFICIAL = {"G": {"first_bn": True, "z_skip": True}, "E": {}, "D": {"z_output": False}}
PAPER = {"G": {}, "E": {}, "D": {}}
KEY = jax.random.key(0)
Z = jax.random.uniform(jax.random.key(1), (6, 3), minval=-1)
X = jax.random.uniform(jax.random.key(2), (6, 4, 4, 1))


def config(fields: dict[str, dict], **model: object) -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict({
      "family": "mlp", "latent_dim": 50, "image_shape": (28, 28, 1), "encoder_shape": (28, 28, 1),
      "value_range": (0.0, 1.0), **fields, **model,
  })


def count(fields: dict[str, dict], joint: bool) -> dict[str, int]:
  """Trainable parameters of each player."""
  model = config(fields)
  variables = jax.eval_shape(
      lambda: models.initialise(models.build(model), model, ("G", "E", "D"), joint, KEY)
  )
  return {p: sum(a.size for a in jax.tree.leaves(v["params"])) for p, v in variables.items()}


def test_parameter_counts_of_the_official_recipe() -> None:
  assert count(OFFICIAL, joint=True) == {"G": 1_953_792, "E": 1_902_592, "D": 1_903_616}
  assert count(OFFICIAL, joint=False)["D"] == 1_852_416


def test_parameter_counts_of_the_paper_recipe() -> None:
  without_skip, with_output = 1_953_792 - 50 * 1024, 1_903_616 + 50
  assert count(PAPER, joint=True) == {"G": without_skip, "E": 1_902_592, "D": with_output}
  assert count(PAPER, joint=False)["D"] == 1_852_416


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_parameter_counts_of_alad(norm: str) -> None:
  """D_xx sees two pictures, D_zz two codes; with spectral norms hidden layers have biases."""
  model = config({"G": {}, "E": {}, "D": {"norm": norm}})
  variables = jax.eval_shape(
      lambda: models.initialise(models.build(model), model, ("D_xx", "D_zz"), True, KEY)
  )
  layers = {p: (i * o, o * o, o) for p, i, o in (("D_xx", 2 * 784, 1024), ("D_zz", 2 * 50, 256))}
  for player, found in variables.items():
    biases = 2 * layers[player][2] if norm == "spectral" else 0
    count = sum(a.size for a in jax.tree.leaves(found["params"]))
    assert count == sum(layers[player]) + biases
    assert bool(found["batch_stats"]) == (norm == "batch")


@pytest.mark.parametrize("fields", [OFFICIAL, PAPER], ids=["official", "paper"])
def test_initial_values(fields: dict[str, dict]) -> None:
  model = config({player: {"width": 256, **own} for player, own in fields.items()})
  networks = models.build(model)
  variables = jax.jit(lambda: models.initialise(networks, model, ("G", "E", "D"), True, KEY))()
  kernels = {
      f"{p}/{layer}": v["kernel"] for p in variables for layer, v in variables[p]["params"].items()
  }
  for name, kernel in kernels.items():
    stddev = 0 if name in ("D/out", "D/out_z") else 0.02
    np.testing.assert_allclose(np.std(kernel), stddev, rtol=0.02, err_msg=name)
  random = [float(kernel[0, 0]) for name, kernel in kernels.items() if "D/out" not in name]
  assert len(set(random)) == len(random)  # each drawn from a key of its own


def test_regressors_encoder_may_start_at_zero() -> None:
  E = mlp.Encoder(latent_dim=3, width=8, out_stddev=0)
  np.testing.assert_array_equal(E.init(KEY, X)["params"]["out"]["kernel"], np.zeros((8, 3)))


def test_generator_shapes_and_range() -> None:
  G = mlp.Generator((4, 2, 3), value_range=(-1.0, 1.0), width=8)
  variables = G.init(KEY, Z)
  variables["params"]["out"]["kernel"] *= 1e4  # saturates
  x, activations = G.apply(variables, Z, train=True)
  assert x.shape == (6, 4, 2, 3)
  assert jax.tree.map(jnp.shape, activations) == {"fc1": (6, 8), "fc2": (6, 8)}
  assert float(x.min()) == -1 and float(x.max()) == 1


@pytest.mark.parametrize("joint", [True, False])
def test_encoder_and_discriminator_shapes(joint: bool) -> None:
  E, D = mlp.Encoder(latent_dim=3, width=8), mlp.Discriminator(width=8)
  code, activations = E.apply(E.init(KEY, X), X, train=True)
  assert code.shape == (6, 3)
  assert jax.tree.map(jnp.shape, activations) == {"fc1": (6, 8), "fc2": (6, 8)}
  inputs = (X, Z) if joint else (X,)
  logits, activations = D.apply(D.init(KEY, *inputs), *inputs, train=True)
  assert logits.shape == (6,)
  assert jax.tree.map(jnp.shape, activations) == {"fc1": (6, 8), "fc2": (6, 8)}
  assert {E.feature_layer, D.feature_layer} <= set(activations)


def test_batch_norm_of_each_recipe() -> None:
  norms = lambda network, *inputs: set(network.init(KEY, *inputs)["batch_stats"])
  assert norms(mlp.Generator((4, 4, 1), width=8), Z) == {"fc2_bn"}
  assert norms(mlp.Generator((4, 4, 1), width=8, first_bn=True), Z) == {"fc1_bn", "fc2_bn"}
  assert norms(mlp.Encoder(3, width=8), X) == {"fc2_bn"}
  assert norms(mlp.Discriminator(width=8), X, Z) == {"fc2_bn"}


@pytest.mark.parametrize("z_skip", [True, False])
def test_z_enters_the_generator(z_skip: bool) -> None:
  """With the first layer cut, only the skip lets z through."""
  G = mlp.Generator((4, 4, 1), width=8, z_skip=z_skip)
  params = G.init(KEY, Z)["params"]
  params["fc1"]["kernel"] *= 0
  x, activations = G.apply({"params": params}, Z, train=True)
  assert bool(jnp.any(activations["fc2"])) == bool(jnp.any(x != x[:1])) == z_skip


@pytest.mark.parametrize("z_output", [True, False])
def test_z_enters_the_discriminator(z_output: bool) -> None:
  """z reaches the second layer through fc2_z, the output through out_z, the first layer never."""
  D = mlp.Discriminator(width=8, z_output=z_output)
  params = D.init(KEY, X, Z)["params"]
  params["out"]["kernel"] += 1
  if z_output:
    params["out_z"]["kernel"] += 1
  def moved(params: dict) -> dict[str, bool]:
    judge = lambda z: D.apply({"params": params}, X, z, train=True)
    (out, hidden), (other_out, other_hidden) = judge(Z), judge(-Z)
    pairs = {"out": (out, other_out), **{n: (hidden[n], other_hidden[n]) for n in hidden}}
    return {name: bool(jnp.any(jnp.abs(a - b) > 1e-3)) for name, (a, b) in pairs.items()}

  assert moved(params) == {"fc1": False, "fc2": True, "out": True}
  params["fc2_z"]["kernel"] *= 0
  assert moved(params) == {"fc1": False, "fc2": False, "out": z_output}


def test_only_the_generalised_encoder_sees_larger_images() -> None:
  model = config(PAPER, image_shape=(4, 4, 1), encoder_shape=(8, 8, 1))
  variables = jax.eval_shape(
      lambda: models.initialise(models.build(model), model, ("G", "E"), False, KEY)
  )
  assert set(variables) == {"G", "E"}
  assert variables["E"]["params"]["fc1"]["kernel"].shape == (64, 1024)
  assert variables["G"]["params"]["out"]["kernel"].shape == (1024, 16)

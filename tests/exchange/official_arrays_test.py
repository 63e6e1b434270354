"""Tests of the mapping to the authors' arrays; that the results agree, golden_test shows."""

import jax
import ml_collections
import numpy as np
import pytest

from bigan_jax import models
from bigan_jax.exchange import official_arrays

MLP = ml_collections.ConfigDict({
    "family": "mlp", "latent_dim": 3, "image_shape": (4, 4, 1), "encoder_shape": (4, 4, 1),
    "value_range": (0.0, 1.0), "G": {"width": 8, "first_bn": True, "z_skip": True},
    "E": {"width": 8}, "D": {"width": 8, "z_output": False},
})
DCGAN = ml_collections.ConfigDict({
    "family": "dcgan", "latent_dim": 3, "image_shape": (64, 64, 3), "encoder_shape": (112, 112, 3),
    "value_range": (-1.0, 1.0), "G": {"width": 2, "z_skip": True}, "E": {"first_bn": False},
    "D": {"width": 2, "z_output": False},
})
ALEXNET_D = ml_collections.ConfigDict({
    **DCGAN.to_dict(), "family": "dcgan_alexnet_D", "D": {"first_bn": False},
})


def variables(model: ml_collections.ConfigDict, joint: bool = True) -> dict:
  """Random values of every leaf."""
  init = jax.eval_shape(
      lambda: models.initialise(
          models.build(model), model, ("G", "E", "D"), joint, jax.random.key(0)
      )
  )
  leaves, tree = jax.tree.flatten(init)
  rs = np.random.RandomState(0)
  return tree.unflatten([np.float32(rs.standard_normal(a.shape)) for a in leaves])


@pytest.mark.parametrize("model, joint, counts", [  # reference section 2
    (MLP, True, {"G": 10, "E": 6, "D": 7}), (MLP, False, {"G": 10, "E": 6, "D": 6}),
    (DCGAN, True, {"G": 28, "E": 26, "D": 23}), (DCGAN, False, {"G": 28, "E": 26, "D": 20}),
    (ALEXNET_D, False, {"G": 28, "E": 26, "D": 26})])
def test_round_trip(model: ml_collections.ConfigDict, joint: bool, counts: dict[str, int]) -> None:
  ours = variables(model, joint)
  theirs = official_arrays.to_official(ours, model.family)
  assert {p: len(arrays) for p, arrays in theirs.items()} == counts
  back = official_arrays.to_variables(theirs, model.family)
  assert jax.tree.structure(back) == jax.tree.structure(ours)
  jax.tree.map(np.testing.assert_array_equal, back, ours)


def test_layouts_entry_by_entry() -> None:
  """Theirs: kernels flipped, channels before rows and columns, out before in."""
  ours = variables(DCGAN)
  theirs = official_arrays.to_official(ours, "dcgan")
  kernel = lambda player, layer: ours[player]["params"][layer]["kernel"]
  assert theirs["D"][1][3, 1, 0, 2] == kernel("D", "conv2")[4, 2, 1, 3]  # (out, in, row, column)
  assert theirs["G"][6][9, 5, 0, 2] == kernel("G", "deconv2")[4, 2, 5, 9]  # (in, out, row, column)
  index = np.ravel_multi_index
  unit, moved = index((7, 2, 1), (16, 4, 4)), index((2, 1, 7), (4, 4, 16))
  assert theirs["G"][0][2, unit] == kernel("G", "fc1")[2, moved]
  assert theirs["G"][4][unit] == ours["G"]["params"]["fc1_bn"]["scale"][moved]
  assert theirs["D"][22][unit, 0] == kernel("D", "out")[moved, 0]
  unit, moved = index((200, 6, 1), (256, 7, 7)), index((6, 1, 200), (7, 7, 256))
  assert theirs["E"][25][unit, 2] == kernel("E", "out")[moved, 2]


def test_one_network_alone() -> None:
  theirs = official_arrays.to_official({"E": variables(MLP)["E"]}, "mlp")
  assert set(official_arrays.to_variables(theirs, "mlp")) == {"E"}


def test_wrong_number_of_arrays() -> None:
  theirs = official_arrays.to_official(variables(MLP), "mlp")
  with pytest.raises(ValueError, match=r"G of family 'mlp' should have 10 arrays, found 9"):
    official_arrays.to_variables({"G": theirs["G"][1:]}, "mlp")
  with pytest.raises(ValueError, match=r"D .* 7 \(joint\) or 6 \(plain\) arrays, found 5"):
    official_arrays.to_variables({"D": theirs["D"][2:]}, "mlp")
  with pytest.raises(ValueError, match="D of family 'dcgan_alexnet_D' .* have 26 arrays, found 5"):
    official_arrays.to_variables({"D": theirs["D"][2:]}, "dcgan_alexnet_D")


def test_wrong_shape() -> None:
  theirs = official_arrays.to_official(variables(MLP), "mlp")["G"]
  cut = [*theirs[:4], theirs[4][:, :5], *theirs[5:]]
  with pytest.raises(ValueError, match=r"array 5 of G \(fc2_z/kernel\) .* \(3, 5\).* \(3, 8\)"):
    official_arrays.to_variables({"G": cut}, "mlp")
  with pytest.raises(ValueError, match=r"array 0 of G \(fc1/kernel\) .* \('z', 'g1'\).* \(8,\)"):
    official_arrays.to_variables({"G": [theirs[0][0], *theirs[1:]]}, "mlp")


def test_files_of_different_latents() -> None:
  theirs = official_arrays.to_official(variables(MLP), "mlp")
  theirs["E"][5] = theirs["E"][5][:, :2]
  with pytest.raises(ValueError, match=r"array 5 of E \(out/kernel\) .* \(8, 3\).* \(8, 2\)"):
    official_arrays.to_variables(theirs, "mlp")


def test_the_paper_s_networks_have_no_place_in_their_files() -> None:
  paper = MLP.copy_and_resolve_references()
  paper.D.z_output = True
  with pytest.raises(ValueError, match="D differs .* in params/out_z/kernel: only networks"):
    official_arrays.to_official(variables(paper), "mlp")

"""`bigan_jax.load` on run folders: plain functions, preprocessing, and clear words on bad input."""

from collections.abc import Callable
import pathlib

import jax
import numpy as np
import pytest

import bigan_jax
from bigan_jax import models
from bigan_jax.exchange import loaded, pretrained
from bigan_jax.models import latents
from bigan_jax.runs import checkpoints
from configs import cifar10


def test_a_run(tmp_path: pathlib.Path, tiny: Callable, saved_run: Callable, made_up: Callable
               ) -> None:
  config = tiny()
  variables = saved_run(config, tmp_path / "run")
  model = bigan_jax.load(str(tmp_path / "run"))
  pictures = np.random.RandomState(0).randint(0, 256, (4, 8, 8)).astype(np.uint8)
  x = model.preprocess(pictures)
  assert x.shape == (4, 8, 8, 1) and x.min() >= 0 and x.max() <= 1
  code, layers = model.E(x)
  networks, _ = made_up(config)
  logits, activations = networks.E.apply(variables["E"], x)
  np.testing.assert_allclose(layers["logits"], logits, rtol=1e-6)
  np.testing.assert_allclose(layers["fc2"], activations["fc2"], rtol=1e-6)
  np.testing.assert_allclose(code, latents.code(logits), rtol=1e-6)
  assert {name: a.shape[1:] for name, a in layers.items()} == model.layers
  assert model.feature_layer == "fc2" and model.value_range == (0, 1)
  back = model.G(code)
  assert back.shape == (4, *model.image_shape)
  np.testing.assert_allclose(back, networks.G.apply(variables["G"], code)[0], rtol=1e-6)
  assert model.step == 10 and model.metrics["NNC_e-"] == 91.5 and model.latent_dim == 5
  judged, layers = model.D(x, code)
  logits, activations = networks.D.apply(variables["D"], x, code)
  np.testing.assert_allclose(judged, logits, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(layers["fc2"], activations["fc2"], rtol=1e-5, atol=1e-6)
  assert repr(model).splitlines() == [
      "bigan_jax model: bigan, recipe paper, after 10 updates",
      "  parameters: D 1,381, E 1,360, G 1,360",
      "  G: [B, 5] -> [B, 8, 8, 1], 0 to 1",
      "  E: [B, 8, 8, 1], 0 to 1, by preprocess -> [B, 5]; features: fc2, 16",
      "  metrics: NNC_e- 91.5, EGr 3.25",
  ]
  gradient = jax.grad(lambda z: model.G(z).sum())(np.full((1, 5), 0.3, np.float32))
  assert np.abs(gradient).max() > 0


def test_bad_input(tmp_path: pathlib.Path, tiny: Callable, saved_run: Callable) -> None:
  saved_run(tiny(), tmp_path / "run")
  model = bigan_jax.load(str(tmp_path / "run"))
  with pytest.raises(ValueError, match=r"E takes \[B, 8, 8, 1\], not \[8, 8, 1\]"):
    model.E(np.zeros((8, 8, 1), np.float32))
  with pytest.raises(ValueError, match="E takes float32, not uint8: call preprocess first"):
    model.E(np.zeros((1, 8, 8, 1), np.uint8))
  with pytest.raises(ValueError, match="E takes float32, not int32: call preprocess first"):
    model.E(np.zeros((1, 8, 8, 1), np.int32))
  with pytest.raises(ValueError, match="G was given a batch of none: give one or more"):
    model.G(np.zeros((0, 5), np.float32))
  with pytest.raises(ValueError, match=r"G takes \[B, 5\], not \[2, 4\]"):
    model.G(np.zeros((2, 4), np.float32))
  x, z = np.zeros((2, 8, 8, 1), np.float32), np.zeros((3, 5), np.float32)
  with pytest.raises(ValueError, match=r"D takes x and z: \[B, 8, 8, 1\] and \[B, 5\], not 1 arr"):
    model.D(x)
  with pytest.raises(ValueError, match="D takes pairs, not 2 and 3"):
    model.D(x, z)


def test_a_run_under_way_may_change_its_networks(
    tmp_path: pathlib.Path, tiny: Callable, saved_run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
  saved_run(tiny(), tmp_path)
  restore, asked = checkpoints.restore_network, []
  def once_newer(path: str, player: str, step: str | int) -> tuple:
    asked.append(player)
    return restore(path, player, 9 if len(asked) == 2 else step)  # of which there is none any more
  monkeypatch.setattr(checkpoints, "restore_network", once_newer)
  assert bigan_jax.load(str(tmp_path)).step == 10 and len(asked) == 6
  with pytest.raises(ValueError, match="has no step 9"):
    bigan_jax.load(str(tmp_path), 9)


def test_a_plain_gan_has_no_encoder(tmp_path: pathlib.Path, tiny: Callable, saved_run: Callable
                                    ) -> None:
  saved_run(tiny("gan"), tmp_path / "run")
  model = bigan_jax.load(str(tmp_path / "run"))
  assert model.E is None and not model.layers
  x = model.G(np.zeros((3, 5), np.float32))
  assert x.shape == (3, 8, 8, 1) and model.D(x)[0].shape == (3,)
  assert repr(model).count("\n") == 3 and "D 1,296" in repr(model)
  saved_run(tiny("autoencoder_l2"), tmp_path / "autoencoder")
  with pytest.raises(ValueError, match="There is no D, since autoencoder_l2 trains none"):
    bigan_jax.load(str(tmp_path / "autoencoder")).D(x)


def test_folders_without_networks(tmp_path: pathlib.Path, tiny: Callable, saved_run: Callable
                                  ) -> None:
  for name in ("/nowhere", ""):
    with pytest.raises(FileNotFoundError, match=f"There is no run folder '{name}'"):
      bigan_jax.load(name)
  with pytest.raises(FileNotFoundError, match="holds no saved networks"):
    bigan_jax.load(str(tmp_path))
  saved_run(tiny(), tmp_path / "run")
  with pytest.raises(ValueError, match="has no step 11"):
    bigan_jax.load(str(tmp_path / "run"), 11)
  assert pretrained.read(str(tmp_path / "run"), ("E",), "best").step == 10


def test_other_attributes_of_the_package() -> None:
  with pytest.raises(AttributeError, match="module 'bigan_jax' has no attribute 'lod'"):
    bigan_jax.lod


@pytest.mark.parametrize("older, shape", [(False, (3, 2, 1, 8)), (True, (3, 6))])
def test_alads_judge_of_twins(older: bool, shape: tuple[int, ...]) -> None:
  """Its last maps; of a run of before, when it had D's hidden layer, that layer."""
  config = cifar10.get_config("alad")
  config.model.update({"image_shape": (8, 8, 3), "encoder_shape": (8, 8, 3)})
  for player in "GED":
    config.model[player].width = 2
  config.model.E.hidden = config.model.D.hidden = 6
  networks = models.build(config.model)
  made = networks._replace(D_xx=networks.D) if older else networks
  key = jax.random.key(0, impl="rbg")
  variables = models.initialise(made, config.model, ("G", "E", "D_xx"), True, key)
  model = loaded.assemble(pretrained.Pretrained(config, networks, variables, 0, {}), "RUN")
  x = np.zeros((3, 8, 8, 3), np.float32)
  logits, last = model.D_xx(x, x)
  assert logits.shape == (3,) and last.shape == shape

"""What pictures are compared over: components of pixels, and layers of any frozen network."""

from collections.abc import Callable
import pathlib

import numpy as np
from PIL import Image
import pytest

from bigan_jax.evaluation import encoders, layer_features
from bigan_jax.evaluation.sample_quality import described


def pictures(count: int, side: int, channels: int, seed: int = 0) -> np.ndarray:
  rs = np.random.RandomState(seed)
  return rs.randint(256, size=(count, side, side, channels)).astype(np.uint8)


def test_components_of_pixels_are_those_of_the_training_pictures(
    monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(described.frozen, "BLOCK", 7)
  train, images = pictures(50, 4, 1), pictures(9, 4, 1, seed=1)
  describer = described.by_pixels(train, 6)
  flat = train.reshape(50, -1) / 255
  _, values, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
  expected = (images.reshape(9, -1) / 255 - flat.mean(axis=0)) @ axes[:6].T
  np.testing.assert_allclose(np.abs(describer.of(images)), np.abs(expected), atol=1e-4)
  share = 100 * np.sum(values[:6]**2) / np.sum(values**2)
  assert describer.title == f"6 principal components of pixels ({share:.1f} % of their variance)"


@pytest.mark.parametrize("count, found", [(50, 16), (5, 5)])
def test_there_are_no_more_components_than_pixels_or_pictures(count: int, found: int) -> None:
  describer = described.by_pixels(pictures(count, 4, 1), 64)
  assert describer.of(pictures(3, 4, 1)).shape == (3, found)
  assert describer.title.startswith(f"{found} principal")


def test_a_network_describes_pictures_of_any_size_and_colours(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path
) -> None:
  saved_run(tiny(), tmp_path / "run")
  describer = described.by_network(str(tmp_path / "run"), "e-")
  assert describer.title == f"e- of {tmp_path}/run at step 10 (16 features)"
  large = pictures(3, 20, 3)
  small = np.stack([
      Image.fromarray(image).resize((8, 8), Image.Resampling.LANCZOS).convert("L")
      for image in large
  ])[..., None]
  encoder = encoders.trained_encoder(encoders.read(str(tmp_path / "run"), "latest"))
  expected = layer_features.extract(encoder, small, "e-", 0)
  np.testing.assert_allclose(describer.of(large), expected, atol=0.05)
  np.testing.assert_allclose(describer.of(small), expected, atol=1e-5)
  with pytest.raises(ValueError, match="no layer 'fc9': did you mean 'fc"):
    described.by_network(str(tmp_path / "run"), "fc9")


def test_wide_layers_are_refused(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  saved_run(tiny(), tmp_path / "run")
  monkeypatch.setattr(described, "WIDEST", 15)
  with pytest.raises(ValueError, match="e- of .*run has 16 features, but at most 15 can be .* e"):
    described.by_network(str(tmp_path / "run"), "e-")


def test_pictures_at_the_size_of_samples() -> None:
  images = pictures(5, 16, 3)
  assert described.at_size(images, 16) is images
  small = np.stack([Image.fromarray(i).resize((8, 8), Image.Resampling.LANCZOS) for i in images])
  assert np.abs(np.int32(described.at_size(images, 8)) - small).max() <= 1

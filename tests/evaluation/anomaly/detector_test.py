"""AnomalyDetector: scores that stand alone, kept and read again, in scikit-learn's ways."""

from collections.abc import Callable
import pathlib

import numpy as np
from PIL import Image
import pytest
from sklearn import base, exceptions, metrics, pipeline, preprocessing

import bigan_jax
from bigan_jax.evaluation.anomaly import fitting, normal, scores
from bigan_jax.exchange import loaded

NORMALS, OTHERS = 40, 9


def pictures(count: int, seed: int, low: int = 0) -> np.ndarray:
  """Noise as grey as `low` at least: uint8 [count, 8, 8, 1]."""
  return np.random.RandomState(seed).randint(low, 256, (count, 8, 8, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny: Callable, saved_run: Callable
           ) -> dict[str, loaded.Model]:
  """Of three objectives: a BiGAN, a plain GAN without E, an autoencoder without D."""
  root, found = tmp_path_factory.mktemp("runs"), {}
  for objective in ("bigan", "gan", "autoencoder_l2"):
    saved_run(tiny(objective), root / objective)
    found[objective] = bigan_jax.load(str(root / objective))
  return found


@pytest.fixture(scope="module")
def detector(models: dict[str, loaded.Model]) -> bigan_jax.AnomalyDetector:
  return bigan_jax.AnomalyDetector(models["bigan"]).fit(pictures(NORMALS, 0, 128))


def test_every_score_is_what_its_name_says(detector: bigan_jax.AnomalyDetector) -> None:
  model, images = detector.model_, pictures(OTHERS, 1)
  found = detector.scores(images)
  assert set(found) == set(scores.TITLES) - {scores.ALAD, scores.TURNED}
  x = np.float32(images) / 255
  code, layers = model.E(x)
  back = np.asarray(model.G(code))
  (logits, real), (_, fake) = model.D(x, code), model.D(back, code)
  each = lambda a, b: np.abs(np.float64(a) - np.float64(b)).reshape(OTHERS, -1)
  f, pixel = each(real["fc2"], fake["fc2"]), each(x, back)
  expected = {
      "pixels": pixel.mean(1), "features": f.mean(1),
      "egbad": 0.9 * 2 * pixel.sum(1) + 0.1 * f.sum(1),  # Pixels are from -1 to 1 there.
      "discriminator": np.log1p(np.exp(-np.float64(logits))),
      "code": each(code, model.E(back)[0]).mean(1),
  }
  for name, values in expected.items():
    np.testing.assert_allclose(found[name], values, rtol=2e-5, err_msg=name)
  fitted = detector.normal_
  e = (np.asarray(layers["fc2"]) - fitted.mean) / fitted.scale
  apart = np.linalg.norm(e[:, None] - fitted.references[None], axis=2)
  np.testing.assert_allclose(found["neighbours"], np.sort(apart)[:, :5].mean(1), rtol=1e-4)
  angles = metrics.pairwise.cosine_distances(e, fitted.references)
  np.testing.assert_allclose(found["cosine"], np.sort(angles)[:, :5].mean(1), rtol=1e-4)
  parts = [(found[n] - fitted.scales[n][0]) / fitted.scales[n][1] for n in scores.COMBINED]
  np.testing.assert_allclose(found["combined"], np.mean(parts, axis=0), rtol=1e-5)


def test_what_d_says_in_parts_is_summed() -> None:
  logits = np.random.RandomState(0).randn(4, 3).astype(np.float32)
  expected = np.log1p(np.exp(-np.float64(logits))).sum(axis=1)
  np.testing.assert_allclose(scores.discriminator(logits), expected, rtol=1e-5)


def test_held_out_pictures_set_the_scale_and_the_threshold(
    detector: bigan_jax.AnomalyDetector
) -> None:
  fitted = detector.normal_
  assert len(fitted.references) == 32 and len(detector.decision_scores_) == 8
  for values in (fitted.held_out[name] for name in ("pixels", "neighbours", "cosine")):
    assert len(values) == 8 and values.min() > 0  # Nobody is a neighbour of itself.
  assert detector.threshold_ == pytest.approx(np.quantile(detector.decision_scores_, 0.95))
  loose = base.clone(detector).set_params(contamination=0.5).fit(pictures(NORMALS, 0, 128))
  assert loose.threshold_ == pytest.approx(np.median(detector.decision_scores_))
  flagged = detector.predict(pictures(OTHERS, 1))
  assert flagged.dtype == int and set(flagged.tolist()) <= {0, 1}
  np.testing.assert_array_equal(
      flagged, detector.decision_function(pictures(OTHERS, 1)) > detector.threshold_)


def test_a_score_does_not_depend_on_what_lies_beside(
    detector: bigan_jax.AnomalyDetector, tmp_path: pathlib.Path
) -> None:
  images = pictures(300, 2)
  together, paths = detector.scores(images), []
  for i in (0, 130, 299):
    paths.append(tmp_path / f"{i}.png")
    Image.fromarray(images[i, :, :, 0]).save(paths[-1])
  alone = [detector.scores(images[i]) for i in (0, 130, 299)]
  files = detector.scores(paths)
  folder = detector.scores(tmp_path)
  for name, values in together.items():
    np.testing.assert_allclose(files[name], values[[0, 130, 299]], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(folder[name], files[name], rtol=1e-5, err_msg=name)
    for found, i in zip(alone, (0, 130, 299)):
      np.testing.assert_allclose(found[name], values[[i]], rtol=1e-5, err_msg=name)


def test_maps_show_where(detector: bigan_jax.AnomalyDetector) -> None:
  images = pictures(3, 4)
  shown = detector.score_map(images)
  assert shown.shape == (3, 8, 8)
  np.testing.assert_allclose(shown.mean((1, 2)), detector.scores(images)["pixels"], rtol=1e-5)


def test_saved_and_read_again(
    detector: bigan_jax.AnomalyDetector, models: dict[str, loaded.Model], tmp_path: pathlib.Path
) -> None:
  path, images = tmp_path / "detector.npz", pictures(OTHERS, 1)
  detector.save(path)
  again = bigan_jax.AnomalyDetector.load(path, models["bigan"])
  np.testing.assert_array_equal(again.decision_function(images), detector.decision_function(images))
  assert again.threshold_ == detector.threshold_
  with pytest.raises(FileExistsError, match="add --force|there already"):
    detector.save(path)
  with pytest.raises(ValueError, match="does not say where its networks lie: give load"):
    bigan_jax.AnomalyDetector.load(path)
  with pytest.raises(ValueError, match="was fitted with other networks, after 10 updates"):
    bigan_jax.AnomalyDetector.load(path, models["bigan"]._replace(G=lambda z: z + 1))
  bigan_jax.AnomalyDetector(models["bigan"], "egbad").fit(pictures(NORMALS, 0)).save(
      tmp_path / "egbad.npz")
  blind = models["bigan"]._replace(sizes={p: models["bigan"].sizes[p] for p in ("E", "G")})
  with pytest.raises(ValueError, match="The score egbad cannot be had of E and G of bigan: choose"):
    bigan_jax.AnomalyDetector.load(tmp_path / "egbad.npz", blind)
  (tmp_path / "torn.npz").write_bytes(path.read_bytes()[:500])
  with pytest.raises(ValueError, match="torn.npz is no detector, or damaged"):
    bigan_jax.AnomalyDetector.load(tmp_path / "torn.npz", models["bigan"])
  with pytest.raises(FileNotFoundError, match="There is no file .*nowhere"):
    bigan_jax.AnomalyDetector.load(tmp_path / "nowhere", models["bigan"])


@pytest.mark.parametrize("version, remedy", [(1, "fit and save the detector anew"), (3, "upgrade")])
def test_a_detector_of_another_version_is_refused(
    detector: bigan_jax.AnomalyDetector, tmp_path: pathlib.Path, version: int, remedy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(normal, "VERSION", version)
  detector.save(tmp_path / "other.npz")
  monkeypatch.undo()
  with pytest.raises(ValueError, match=f"has version {version}, but .* reads 2: {remedy}"):
    bigan_jax.AnomalyDetector.load(tmp_path / "other.npz", detector.model_)


def test_networks_by_the_name_of_their_folder(
    tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  saved_run(tiny(), tmp_path / "run", step=10)
  monkeypatch.chdir(tmp_path)
  fitted = bigan_jax.AnomalyDetector("run", "neighbours", neighbours=3).fit(pictures(NORMALS, 0))
  fitted.save("detector.npz")
  monkeypatch.chdir("/")
  again = bigan_jax.AnomalyDetector.load(tmp_path / "detector.npz")
  assert (again.model_.step, again.score_, again.neighbours) == (10, "neighbours", 3)
  images = pictures(OTHERS, 1)
  np.testing.assert_array_equal(again.decision_function(images), fitted.decision_function(images))
  saved_run(tiny(), tmp_path / "run", step=20)  # The run goes on, and keeps its newest networks.
  with pytest.raises(ValueError, match="has no step 10; ask for"):
    bigan_jax.AnomalyDetector.load(tmp_path / "detector.npz")


def test_in_a_pipeline(
    models: dict[str, loaded.Model], detector: bigan_jax.AnomalyDetector
) -> None:
  to_bytes = preprocessing.FunctionTransformer(lambda x: np.uint8(255 * x).reshape(-1, 8, 8, 1))
  chain = pipeline.make_pipeline(to_bytes, bigan_jax.AnomalyDetector(models["bigan"], "pixels"))
  chain = base.clone(chain).fit(pictures(NORMALS, 0, 128).reshape(NORMALS, -1) / 255)
  images = pictures(OTHERS, 1)
  found = chain.decision_function(images.reshape(OTHERS, -1) / 255 + 1e-6)
  np.testing.assert_allclose(found, detector.scores(images)["pixels"], rtol=1e-5)
  assert chain.predict(images.reshape(OTHERS, -1) / 255).shape == (OTHERS,)
  assert "score='pixels'" in repr(chain[-1])


@pytest.mark.parametrize("cost, wrong, expected", [
    (0.9, 0.2, "turns"), (1.3, 0, "combined"), (1.3, 0.2, "combined"),
])
def test_turns_count_where_e_can_tell_most_of_them(
    cost: float, wrong: float, expected: str
) -> None:
  columns = np.random.RandomState(0).rand(100, 7).astype(np.float32)
  turns = cost + columns[:, 1] / 50 + 10 * (columns[:, 2] < wrong)  # sure of it, and wrong
  measured = {"pixels": columns[:, 0], scores.FEATURES: columns, "turns": turns}
  assert fitting.default(normal.fit(measured, 5)) == expected


def test_networks_that_lack_a_player(models: dict[str, loaded.Model]) -> None:
  images = pictures(NORMALS, 0)
  gan = bigan_jax.AnomalyDetector(models["gan"]).fit(images)
  assert gan.score_ == "discriminator" and list(gan.scores(images)) == ["discriminator"]
  with pytest.raises(ValueError, match="pixels cannot be had of D and G of gan: choose from discr"):
    bigan_jax.AnomalyDetector(models["gan"], "pixels").fit(images)
  with pytest.raises(ValueError, match="These networks have no encoder"):
    gan.score_map(images)
  found = bigan_jax.AnomalyDetector(models["autoencoder_l2"]).fit(images).scores(images)
  assert list(found) == ["pixels", "code", "neighbours", "cosine", "combined"]
  with pytest.raises(ValueError, match="features cannot be had of E and G of autoencoder_l2: choo"):
    bigan_jax.AnomalyDetector(models["autoencoder_l2"], "features").fit(images)
  with pytest.raises(ValueError, match="The score turns is of an E that was asked .* recipe=mod"):
    bigan_jax.AnomalyDetector(models["bigan"], "turns").fit(images)
  with pytest.raises(ValueError, match="Unknown score 'pixel': did you mean 'pixels'"):
    bigan_jax.AnomalyDetector(models["gan"], "pixel").fit(images)


def test_what_cannot_be(
    models: dict[str, loaded.Model], detector: bigan_jax.AnomalyDetector, tmp_path: pathlib.Path
) -> None:
  model = models["bigan"]
  with pytest.raises(ValueError, match="There is 1 normal picture: give 10 or more"):
    bigan_jax.AnomalyDetector(model).fit(pictures(1, 0))
  with pytest.raises(ValueError, match="There is no picture: give one or more"):
    detector.predict([])
  with pytest.raises(ValueError, match="contamination is 1.5, but must be above 0 and below 1"):
    bigan_jax.AnomalyDetector(model, contamination=1.5).fit(pictures(NORMALS, 0))
  with pytest.raises(ValueError, match="neighbours is 33, but must be from 1 to 32"):
    bigan_jax.AnomalyDetector(model, neighbours=33).fit(pictures(NORMALS, 0))
  with pytest.raises(exceptions.NotFittedError, match="not fitted yet"):
    bigan_jax.AnomalyDetector(model).predict(pictures(1, 0))
  broken = model._replace(G=lambda z: model.G(z) * np.nan)
  with pytest.raises(ValueError, match="The score pixels is not finite, so the networks hold NaN"):
    bigan_jax.AnomalyDetector(broken).fit(pictures(NORMALS, 0))
  (tmp_path / "a.png").write_text("no picture")
  with pytest.raises(ValueError, match="None of the 1 pictures can be read, .*a.png among them"):
    detector.predict(tmp_path / "a.png")
  Image.fromarray(pictures(1, 0)[0, :, :, 0]).save(tmp_path / "b.png")
  with pytest.raises(ValueError, match="^a.png: cannot be decoded; leave it out"):
    detector.predict(tmp_path)
  with pytest.raises(FileNotFoundError, match="There is no folder '/nowhere'"):
    detector.predict("/nowhere")
  with pytest.raises(TypeError, match="as uint8, not float64"):
    detector.predict(np.zeros((2, 8, 8, 1)))


def test_a_feature_that_all_normal_pictures_share_counts_as_it_is() -> None:
  """Rounding gives it a spread of 1e-6, by which other pictures would be nothing but strange."""
  features = np.random.RandomState(0).randn(4_000, 6).astype(np.float32)
  features[:, 0] = 0.1
  fitted = normal.fit({"pixels": features[:, 1], scores.FEATURES: features}, 5)
  assert fitted.scale[0] == 1
  judged = features[:1] + np.float32([[0.0], [0.001]]) * np.eye(6, dtype=np.float32)[0]
  found = normal.complete(fitted, {"pixels": judged[:, 1], scores.FEATURES: judged})
  np.testing.assert_allclose(*found["neighbours"], rtol=1e-3)


def test_few_normal_pictures_are_enough(models: dict[str, loaded.Model]) -> None:
  fitted = bigan_jax.AnomalyDetector(models["bigan"]).fit(pictures(normal.LEAST, 0)).normal_
  assert len(fitted.references) == 8 and len(fitted.held_out["combined"]) == 2

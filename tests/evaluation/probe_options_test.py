"""Tests of what configs/linear_probe.py judges besides: D, components, seeds, a hidden layer."""

from collections.abc import Callable
import csv
import json
import pathlib

import ml_collections
import numpy as np
import pytest
from sklearn.decomposition import PCA

from bigan_jax.evaluation import encoders, layer_features, probe_job, retrieval
from bigan_jax.exchange import exported
from bigan_jax.settings import downstream
from configs import linear_probe


@pytest.fixture(scope="module", name="runs")
def _runs(
    tiny: Callable, saved_run: Callable, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
  """Run folders of made-up networks: bigan and gan."""
  path = tmp_path_factory.mktemp("runs")
  for objective in ("bigan", "gan"):
    saved_run(tiny(objective), path / objective)
  return path


def job(run: pathlib.Path, **changes: object) -> ml_collections.ConfigDict:
  config = linear_probe.get_config()
  config.encoder = str(run)
  config.train_images, config.judged_images = 200, 80
  config.neighbours, config.probe.l2 = 3, (0.1, 0.01)
  config.mlp.hidden, config.mlp.batch_size, config.mlp.rates = 10, 50, (0.01,)
  config.mlp.dropouts, config.mlp.epochs = (0.1,), 3
  config.update_from_flattened_dict({n.replace("__", "."): v for n, v in changes.items()})
  downstream.validate(config)
  return config


def results(out: pathlib.Path) -> dict:
  return json.loads((out / "results.json").read_text())


def test_layers_of_D_components_and_untrained_seeds(
    runs: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture,
    caplog: pytest.LogCaptureFixture,
) -> None:
  config = job(runs / "bigan", discriminator=True, pca=5, baseline="random",
               baseline_seeds=(0, 4), layers=("fc1", "D.fc1", "e"))
  probe_job.run(config, str(tmp_path / "out"))
  found = results(tmp_path / "out")
  layers = ["fc1", "fc1 pca5", "D.fc1", "D.fc1 pca5", "e"]
  names = ["trained", "random_0", "random_4"]
  assert [(r["network"], r["layer"]) for r in found["rows"]] == [(n, i) for n in names
                                                               for i in layers]
  assert [row["dim"] for row in found["rows"][:5]] == [16, 5, 16, 5, 5]
  assert caplog.text.count("config.pca is 5, but e has 5 features: it is kept as it is.") == 1
  assert set(found["best"]) == set(names) and found["last_hidden"] == "fc2"
  table = [line["layer"] for line in found["compared"]]
  assert table == layers and found["compared"][0]["linear"] == found["rows"][0]["linear"]
  twins = [row["200-NN vote"] for row in found["rows"] if row["layer"] == "D.fc1"][1:]
  line = found["compared"][2]
  assert line["200-NN vote untrained"] == pytest.approx(np.mean(twins), abs=1e-3)
  assert line["200-NN vote spread"] == pytest.approx(abs(twins[0] - twins[1]) / 2, abs=1e-3)
  text = (tmp_path / "out" / "compared.md").read_text()
  assert text in capsys.readouterr().out and len(text.splitlines()) == 7
  assert (tmp_path / "out" / "confusion_random_4_D.fc1_pca5.csv").is_file()
  assert (tmp_path / "out" / "pictures" / "layers.png").is_file()


def test_components_and_the_vote_are_those_of_other_programs(
    runs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  config = job(runs / "bigan", pca=3, layers=("fc1",), vote__neighbours=20)
  probe_job.run(config, str(tmp_path / "out"))
  whole, reduced = results(tmp_path / "out")["rows"]
  trained = encoders.read(config.encoder, "latest")
  train, judged, _ = encoders.pictures(config, trained)
  encoder = encoders.trained_encoder(trained)
  x, queries = (layer_features.extract(encoder, s.images, "fc1", 4) for s in (train, judged))
  scale = np.where(x.std(0) > 0, x.std(0), 1)
  oracle = PCA(3, svd_solver="full").fit((x - x.mean(0)) / scale)
  components = [np.float32(oracle.transform((a - x.mean(0)) / scale)) for a in (queries, x)]
  for row, arrays in ((whole, (queries, x)), (reduced, components)):
    voters = retrieval.search(*arrays, 1, 20).voters
    guesses = retrieval.weighted_vote(voters, train.labels, 0.07)
    assert row["20-NN vote"] == pytest.approx(100 * np.mean(guesses == judged.labels), abs=1.3)
    commonest = np.argmax(np.bincount(train.labels))
    assert row["chance"] == pytest.approx(100 * np.mean(judged.labels == commonest), abs=1e-3)


def test_a_hidden_layer_takes_the_place_of_the_linear_classifier(
    runs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  probe_job.run(job(runs / "gan", classifier="mlp", layers=("fc1",)), str(tmp_path / "out"))
  with open(tmp_path / "out" / "results.csv", newline="") as file:
    line, = csv.DictReader(file)
  assert list(line) == ["network", "layer", "dim", "mlp", "rate", "dropout", "epochs", "chance"]
  row, = results(tmp_path / "out")["rows"]
  assert set(row["validation"]) == {"0.01, 0.1"} and row["epochs"] in (1, 2, 3)
  assert not (tmp_path / "out" / "compared.md").exists()


def test_features_that_do_not_fit_go_to_disk_and_are_reduced(
    runs: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  config = job(runs / "bigan", layers=("fc1",), features_gb=4 * 200 * 6 / 1e9)
  probe_job.run(config, str(tmp_path / "out"))
  row, = results(tmp_path / "out")["rows"]
  assert row["dim"] == 6 and row["linear"] > 2 * row["chance"]
  assert "fc1 has 16 features, of which 6 fit into config.features_gb" in caplog.text
  assert {p.name for p in (tmp_path / "out").iterdir()} == {
      "config.json", "data.json", "results.json", "results.csv", "results.md", "pictures",
      "confusion_fc1.csv",
  }


def test_features_on_disk_are_those_in_memory_in_half_precision(
    runs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  encoder = encoders.trained_encoder(encoders.read(str(runs / "bigan"), "latest"))
  images = np.random.RandomState(0).randint(256, size=(30, 8, 8, 1)).astype(np.uint8)
  whole = layer_features.extract(encoder, images, "fc1", 4)
  stored = layer_features.extract(encoder, images, "fc1", 4, most_bytes=100, folder=tmp_path)
  assert isinstance(stored, np.memmap) and stored.dtype == np.float16
  np.testing.assert_array_equal(stored, whole.astype(np.float16))
  assert not list(tmp_path.iterdir())  # The file has no name.


def test_a_plain_D_has_no_layers_beside_it(runs: pathlib.Path, tmp_path: pathlib.Path) -> None:
  probe_job.run(job(runs / "gan", discriminator=True), str(tmp_path / "out"))
  assert [row["layer"] for row in results(tmp_path / "out")["rows"]] == ["fc1", "e-"]
  with pytest.raises(ValueError, match="no layer 'D.fc1': .*choose from fc1, fc2, e-"):
    probe_job.run(job(runs / "gan", layers=("D.fc1",)), str(tmp_path / "other"))


def test_an_export_without_D_is_judged_by_E_alone(
    runs: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  trained = encoders.read(str(runs / "bigan"), "latest")
  info = {"config": trained.config.to_dict(), "step": 10, "metrics": {}}
  exported.write(tmp_path / exported.FILE, trained.variables, info, merged=False)
  assert encoders.read_discriminator(encoders.read(str(tmp_path), "latest"), str(tmp_path)) is None
  assert "holds no D: its layers cannot be judged" in caplog.text


@pytest.mark.parametrize("changes, message", [
    ({"classifier": "svm"}, "config.classifier is 'svm': choose from logistic, mlp"),
    ({"baseline_seeds": ()}, r"config.baseline_seeds is \(\): give one or more different whole"),
    ({"baseline_seeds": (1, 1)}, r"config.baseline_seeds is \(1, 1\): give one or more different"),
    ({"baseline_seeds": (0.5,)}, r"config.baseline_seeds is \(0.5,\): give one or more different"),
    ({"pca": -1}, "config.pca is -1, but must be at least 0"),
    ({"vote__temperature": 0.0}, "config.vote.temperature is 0.0, but must be above 0"),
    ({"features_gb": 0.0}, "config.features_gb is 0.0, but must be above 0"),
    ({"mlp__rates": ()}, r"config.mlp.rates is \(\): give one or more numbers above 0"),
    ({"mlp__dropouts": (1.0,)}, r"config.mlp.dropouts is \(1.0,\): give one or more numbers from"),
])
def test_fields_out_of_range_are_refused(
    runs: pathlib.Path, changes: dict, message: str
) -> None:
  with pytest.raises(ValueError, match=message):
    job(runs / "bigan", **changes)

"""The job of configs/sample_quality.py: from a run folder or files to a table, and PNGs."""

from collections.abc import Callable
import csv
import pathlib
import shlex

import ml_collections
import numpy as np
from PIL import Image
import pytest

import bigan_jax
from bigan_jax.evaluation import encoders, samples
from bigan_jax.evaluation.sample_quality import comparing, described, job
from bigan_jax.exchange import feature_files
from bigan_jax.runs.workdir import open_run
from bigan_jax.settings import downstream
from bigan_jax.transfer import jobs
from configs import sample_quality
from tests import run_folders

Fields = dict[str, object]


def config_of(**fields: object) -> ml_collections.ConfigDict:
  config = sample_quality.get_config()
  config.update_from_flattened_dict({
      "samples": 60, "judged_images": 50, "train_images": 100, "components": 9, "resamples": 4,
      **fields,
  })
  downstream.validate(config)
  return config


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory, tiny: Callable, saved_run: Callable
) -> pathlib.Path:
  """Run folders of a BiGAN, of a plain GAN, and of a training with labels, all made up."""
  path = tmp_path_factory.mktemp("models")
  for name in ("bigan", "gan"):
    saved_run(tiny(name), path / name)
  with open_run(str(path / "head"), {"job": "frozen_layers"}) as run:
    run.save_networks(10, {"head": {"params": {"b": np.zeros(1)}}}, {"step": 10})
  return path


def files(folder: pathlib.Path, *shapes: tuple[int, int]) -> list[str]:
  """Files of features, .npz and .parquet in turn."""
  paths = []
  for i, shape in enumerate(shapes):
    path = folder / f"{i}{('.npz', '.parquet')[i % 2]}"
    x = np.random.RandomState(i).randn(*shape).astype(np.float32)
    rows = feature_files.Rows([str(j) for j in range(shape[0])], x[:, :1], x)
    feature_files.WRITERS[path.suffix](path, iter([rows]), {})
    paths.append(str(path))
  return paths


def test_samples_of_a_run_beside_its_pictures(
    models: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  out, dump = tmp_path / "out", tmp_path / "its dump"
  config = config_of(encoder=str(models / "bigan"), dump=str(dump))
  found, printed = run_folders.run(config, out), capsys.readouterr().out
  assert {p.name for p in out.iterdir()} == {
      "config.json", "data.json", "results.json", "results.csv", "results.md"
  }
  train, judged, _ = encoders.pictures(config, encoders.read(config.encoder, "latest"))
  made = np.concatenate(list(samples.drawn(bigan_jax.load(config.encoder), 60, config.seed)))
  for name, images in (("samples", made), ("pictures", judged.images)):
    read = [np.asarray(Image.open(path)) for path in sorted((dump / name).iterdir())]
    np.testing.assert_array_equal(np.stack(read)[..., None], images)
  describe = described.by_pixels(train.images, 9).of
  sides = (comparing.side(describe(images), 5, "") for images in (judged.images, made))
  expected, spread = comparing.compare(*sides, resamples=4)
  assert [row["samples"] for row in found["rows"]] == pytest.approx(list(expected), rel=1e-5)
  assert [row["spread"] for row in found["rows"]] == pytest.approx(list(spread), rel=1e-5)
  assert found["rows"][0]["halves"] < found["rows"][0]["samples"]
  assert (found["pictures"], found["samples"], found["neighbours"]) == (50, 60, 5)
  with open(out / "results.csv", newline="") as file:
    assert [row["measure"] for row in csv.DictReader(file)] == list(job.NAMES.values())
  text = (out / "results.md").read_text(encoding="utf-8")
  assert text in printed and "| Frechet distance | lower is better | " in text
  assert "60 samples beside 50 pictures of digits (validation), over 9 principal comp" in text
  fidelity, clean = printed.splitlines()[-2:]
  assert shlex.split(fidelity)[-4:] == [
      "--input1", str(dump / "samples"), "--input2", str(dump / "pictures")
  ]
  assert "--kid-subset-size 50 " in fidelity
  assert shlex.split(clean)[2].endswith(
      f'fid.compute_fid("{dump}/samples", "{dump}/pictures"))'
  )
  config.dump = ""  # Results do not depend on it: they are replaced.
  assert run_folders.run(config, out) == found


@pytest.mark.parametrize("value, spread, text", [
    (7.9563, 0.278, "7.96 ± 0.28"), (0.55711, 0.104, "0.56 ± 0.10"), (1234.5, 123.4, "1234 ± 123"),
    (0.55151, 0.00812, "0.5515 ± 0.0081"), (0.55151, None, "0.5515"), (0.0, 0.0, "0"),
])
def test_numbers_are_rounded_to_their_spread(value: float, spread: float, text: str) -> None:
  assert job.rounded(value, spread) == text


def test_customary_statistics_of_cifar10(tmp_path: pathlib.Path) -> None:
  config = config_of(encoder="RUN", dump=str(tmp_path))
  subjects = job.Subjects(np.zeros((9, 1)), np.zeros((50_000, 1)), "", {"data": "cifar10"})
  said, fidelity, clean = job.commands(config, subjects)
  assert "Published" not in said and fidelity.endswith(" --input2 cifar10-train")
  assert "--kid-subset-size" not in fidelity
  assert 'dataset_name="cifar10", dataset_res=32, dataset_split="train"' in clean
  some = subjects._replace(about={"data": "cifar10", "splits": "test", "only_labels": "horse"})
  assert job.commands(config, some)[1].endswith(f" --input2 {tmp_path}/pictures")
  assert "9 pictures of cifar10 (test, only_labels=horse), over" in job.title(config, some)


def test_over_a_layer_of_another_network(
    models: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  """A plain GAN's samples by the E of a BiGAN; and by its own D, which is said."""
  config = config_of(encoder=str(models / "gan"), features=str(models / "bigan"), resamples=0)
  found = run_folders.run(config, tmp_path / "out")
  assert found["features"] == f"e- of {models}/bigan at step 10 (16 features)"
  assert found["rows"][0]["spread"] is None and not caplog.records
  config.features = config.encoder
  run_folders.run(config, tmp_path / "own")
  assert "were trained together" in caplog.text


@pytest.mark.parametrize("pictures, made, said", [
    (250, 9_000, " Recall falls and coverage rises by such unequal numbers: compare 250 with 250."),
    (90, 30, " Recall rises and coverage falls by such unequal numbers: compare 30 with 30."),
    (50, 60, ""),
])
def test_unequal_numbers_are_told(pictures: int, made: int, said: str) -> None:
  sides = (np.zeros((count, 1)) for count in (pictures, made))
  assert job.unequal(job.Subjects(*sides, "", {})) == said


def test_features_of_files(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
  real, made = files(tmp_path, (30, 4), (40, 4))
  config = config_of(real_features=real, sample_features=made)
  found = run_folders.run(config, tmp_path / "out")
  expected, _ = comparing.compare(*(
      comparing.side(feature_files.read(path), 5, "") for path in (real, made)
  ))
  assert [row["samples"] for row in found["rows"]] == pytest.approx(list(expected), rel=1e-5)
  assert capsys.readouterr().out.startswith("40 samples beside 30 pictures, over the 4 features of")


@pytest.mark.parametrize("fields, said", [
    ({}, "config.encoder is empty"),
    ({"encoder": "RUN", "samples": 1}, "config.samples is 1, but must be at least 2"),
    ({"encoder": "RUN", "neighbours": 0}, "config.neighbours is 0"),
    ({"encoder": "RUN", "resamples": 1}, "config.resamples is 1, but a spread is of two at least"),
    ({"real_features": "a.npz"}, "config.real_features is 'a.npz' and config.sample_features ''"),
    ({"sample_features": "a.npz", "encoder": "RUN"}, "give both files, or neither"),
    ({"sample_features": "a.npz", "real_features": "b.npz", "encoder": "RUN"},
     "config.encoder is 'RUN', but features of both sides are given"),
    ({"sample_features": "a.npz", "real_features": "b.npz", "dump": "D"}, "config.dump is 'D'"),
])
def test_fields_out_of_range(fields: Fields, said: str) -> None:
  with pytest.raises(ValueError, match=said):
    config_of(**fields)


@pytest.mark.parametrize("fields, error, said", [
    ({"judged_images": 11}, ValueError, "There are 5 pictures in each half, but 5 neighbours of"),
    ({"samples": 5}, ValueError, "There are 5 samples, but 5 neighbours of each"),
    ({"encoder": "/nowhere"}, FileNotFoundError, "There is no run folder '/nowhere'"),
    ({"features": "pixel"}, FileNotFoundError, "There is no run folder 'pixel'"),
    ({"layer": "conv1", "features": "SAME"}, ValueError, "no layer 'conv1'"),
    ({"dump": "SAME", "encoder": "/nowhere"}, FileExistsError, "is there already: choose another"),
    ({"dump": "INSIDE"}, ValueError, "config.dump is .*, in the folder of results: choose another"),
    ({"encoder": "HEAD"}, ValueError, "has no network 'G' at step 10; it has .'head'."),
])
def test_what_cannot_be_judged(
    models: pathlib.Path, tmp_path: pathlib.Path, fields: Fields, error: type, said: str
) -> None:
  own = str(models / "bigan")
  places = {"SAME": own, "INSIDE": str(tmp_path / "out" / "dump"), "HEAD": str(models / "head")}
  given = {"encoder": own} | {name: places.get(value, value) for name, value in fields.items()}
  with pytest.raises(error, match=said):
    jobs.JOBS["sample_quality"](config_of(**given), str(tmp_path / "out"))
  assert not (tmp_path / "out").exists()


def test_files_that_do_not_fit(tmp_path: pathlib.Path) -> None:
  real, _, wide = files(tmp_path, (30, 4), (30, 4), (30, 5))
  (tmp_path / "text.npz").write_text("nothing")
  (tmp_path / "empty.npz").touch()
  np.save(tmp_path / "one.npy", np.zeros((3, 3)))
  (tmp_path / "one.npy").rename(tmp_path / "one.npz")
  np.savez(tmp_path / "other.npz", x=np.zeros((3, 3)))
  np.savez(tmp_path / "flat.npz", features=np.zeros(3))
  for name, error, said in (
      (wide, ValueError, "Pictures have 4 features and samples 5"),
      ("/nowhere.npz", FileNotFoundError, "There is no file '/nowhere.npz'"),
      (str(tmp_path), FileNotFoundError, "There is no file"),
      (str(tmp_path / "text.npz"), ValueError, "text.npz holds no `features` that can be read"),
      (str(tmp_path / "empty.npz"), ValueError, "holds no `features` that can be read .EOFError"),
      (str(tmp_path / "one.npz"), ValueError, "one.npz holds no `features` that can be read"),
      (str(tmp_path / "other.npz"), ValueError, "holds no `features` that can be read .KeyError"),
      (str(tmp_path / "flat.npz"), ValueError, r"are of shape \[3\]: give a row of numbers"),
      (__file__, ValueError, "is no .npz or .parquet file"),
  ):
    config = config_of(real_features=real, sample_features=name)
    with pytest.raises(error, match=said):
      job.run(config, str(tmp_path / "out"))

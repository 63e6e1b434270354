"""Exports: the run, the weights and the programs agree; the folder appears whole or not at all."""

from collections.abc import Callable
import io
import pathlib
import subprocess
import sys

import jax
import numpy as np
from PIL import Image
import pytest
import yaml

import bigan_jax
from bigan_jax import export
from bigan_jax.evaluation import pictures, samples
from bigan_jax.exchange import exported, pretrained
from bigan_jax.settings import measures
from tests.exchange.exported_test import convolutional

# What a machine without this package runs.
ALONE = """
import sys
import jax
from jax import export
import numpy as np
folder, inputs, out = sys.argv[1:]
found = {}
with np.load(inputs) as arrays:
  for name, file in (("x", "encoder"), ("z", "generator"), ("pair", "discriminator")):
    with open(f"{folder}/{file}.stablehlo", "rb") as content:
      program = export.deserialize(bytearray(content.read()))
    assert {p.lower() for p in program.platforms} == {"cpu", "cuda", "tpu"}
    for batch in (1, 7):
      names = ("image", "z") if name == "pair" else (name,)
      result = program.call(*(arrays[n][:batch] for n in names))
      if name == "pair":
        found[f"D{batch}"] = result[0]
      elif name == "x":
        found[f"code{batch}"], layers = result
        found |= {f"{layer}{batch}": array for layer, array in layers.items()}
      else:
        found[f"G{batch}"] = result
np.savez(out, **found)
assert not [name for name in sys.modules if name.partition(".")[0] in ("bigan_jax", "flax")]
"""


def inputs(path: pathlib.Path, model: bigan_jax.exchange.loaded.Model) -> dict[str, np.ndarray]:
  rs = np.random.RandomState(2)
  arrays = {
      "x": np.float32(rs.uniform(*model.value_range, (7, *model.encoder_shape))),
      "z": np.float32(rs.uniform(-1, 1, (7, model.latent_dim))),
      "image": np.float32(rs.uniform(*model.value_range, (7, *model.image_shape))),
  }
  np.savez(path, **arrays)
  return arrays


def everything(model: bigan_jax.exchange.loaded.Model, arrays: dict[str, np.ndarray]) -> dict:
  """Of seven, and of the first alone."""
  code, layers = model.E(arrays["x"])
  scores = model.D(arrays["image"], arrays["z"])[0]
  found = {"code": code, "G": model.G(arrays["z"]), "D": scores, **layers}
  return {f"{name}{n}": np.asarray(array)[:n] for name, array in found.items() for n in (1, 7)}


def assert_agree(found: dict, expected: dict) -> None:
  assert found.keys() == expected.keys()
  for name, array in expected.items():
    tolerance = 1e-5 * max(1, np.abs(array).max())
    np.testing.assert_allclose(found[name], array, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("kind, merge_bn", [("digits", True), ("convolutional", False)])
def test_all_ways_agree(
    tmp_path: pathlib.Path, tiny: Callable, saved_run: Callable, kind: str, merge_bn: bool
) -> None:
  """The run, model.safetensors, and the programs in a process that has jax alone."""
  config = tiny() if kind == "digits" else convolutional("paper")
  saved_run(config, tmp_path / "run")
  export.export(str(tmp_path / "run"), str(tmp_path / "out"), merge_bn=merge_bn)
  run = bigan_jax.load(str(tmp_path / "run"))
  arrays = inputs(tmp_path / "in.npz", run)
  expected = everything(run, arrays)
  assert_agree(everything(bigan_jax.load(str(tmp_path / "out")), arrays), expected)
  command = [sys.executable, "-I", "-c", ALONE, "out", "in.npz", "alone.npz"]
  subprocess.run(command, check=True, cwd=tmp_path, timeout=120)
  with np.load(tmp_path / "alone.npz") as alone:
    assert_agree(dict(alone), expected)


def test_an_export_is_read_where_a_run_is(tmp_path: pathlib.Path, tiny: Callable,
                                          saved_run: Callable) -> None:
  saved_run(tiny(), tmp_path / "run")
  export.export(str(tmp_path / "run"), str(tmp_path / "out"), ["safetensors"], "best")
  run, out = (pretrained.read(str(tmp_path / name), ("E",)) for name in ("run", "out"))
  assert run.networks == out.networks and hash(run.networks) == hash(out.networks)
  assert (run.step, run.metrics, run.config) == (out.step, out.metrics, out.config)
  jax.tree.map(np.testing.assert_array_equal, run.variables["E"]["params"],
               out.variables["E"]["params"])
  assert pretrained.read(str(tmp_path / "out"), ("E",), 10).step == 10
  with pytest.raises(ValueError, match="has no step 9; it was exported at 10 alone"):
    pretrained.read(str(tmp_path / "out"), ("E",), 9)
  drawn = np.concatenate(list(samples.drawn(bigan_jax.load(str(tmp_path / "out")), 64, 0)))
  sheet = pictures.titled(pictures.grid(drawn, 16), "G(z), step 10, seed 0")[:, :, 0]
  np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "samples.png")), sheet)
  with pytest.raises(ValueError, match="is an export already: name the run folder"):
    export.export(str(tmp_path / "out"), str(tmp_path / "again"))


def test_of_a_plain_gan_its_feature_learner_goes_along(tmp_path: pathlib.Path, tiny: Callable,
                                                       saved_run: Callable) -> None:
  saved_run(tiny("gan"), tmp_path / "run")
  export.export(str(tmp_path / "run"), str(tmp_path / "out"))
  assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
      "README.md", "config.json", "discriminator.stablehlo", "generator.stablehlo",
      "model.safetensors", "samples.png"]
  run, out = (pretrained.read(str(tmp_path / name), ("D",)) for name in ("run", "out"))
  x = np.zeros((2, 8, 8, 1), np.float32)
  np.testing.assert_array_equal(*(p.networks.D.apply(p.variables["D"], x)[0] for p in (run, out)))
  assert bigan_jax.load(str(tmp_path / "out")).E is None


def test_the_model_card(
    tmp_path: pathlib.Path, saved_run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(export, "serialize", lambda *_: b"a program")
  monkeypatch.setattr(io, "text_encoding", lambda name, *_: name or "ascii")  # A locale's.
  saved_run(convolutional("official"), tmp_path / "run")
  with pytest.raises(ValueError, match="--license=The MIT one is no name of a license: write it"):
    export.export(str(tmp_path / "run"), str(tmp_path / "out"), license="The MIT one")
  export.export(str(tmp_path / "run"), str(tmp_path / "out"), license="cc-by-4.0")
  _, front, body = (tmp_path / "out" / "README.md").read_text("utf-8").split("---\n", 2)
  front = yaml.safe_load(front)
  assert front["license"] == "cc-by-4.0"
  assert front["library_name"] == "bigan_jax" and "bigan" in front["tags"]
  assert front["pipeline_tag"] == "image-feature-extraction"
  assert front["datasets"] == ["ILSVRC/imagenet-1k"] and "stablehlo" in front["tags"]
  result = front["model-index"][0]["results"][0]
  assert result["dataset"]["type"] == "ILSVRC/imagenet-1k"
  assert [metric["value"] for metric in result["metrics"]] == [91.5, 3.25]
  assert Image.open(tmp_path / "out" / "samples.png").width >= 600
  meaning = measures.describe("NNC_e-")
  for said in ("# bigan (official) on imagenet_presized", "resized\nto 48 pixels",
               "the middle 40 x 40", "| E | conv5 | 3 x 3 x 8 |", f"| NNC_e- | 91.5 | {meaning} |",
               "[B, 40, 40, 3], -1 to 1", 'bigan_jax.load("THIS_FOLDER")', "@inproceedings"):
    assert said in body, said
  info = exported.read(tmp_path / "out", ())[1]
  assert info["layers"]["E"]["conv5"] == [3, 3, 8]
  assert info["preprocessing"]["resize_shorter_edge"] == 48


def test_a_folder_is_written_whole_or_not_at_all(
    tmp_path: pathlib.Path, tiny: Callable, saved_run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
  saved_run(tiny(), tmp_path / "run")
  run, out = str(tmp_path / "run"), tmp_path / "out"
  def fail(*_: object) -> bytes:
    raise ValueError("no program")
  with monkeypatch.context() as patch:
    patch.setattr(export, "serialize", fail)
    with pytest.raises(ValueError, match="no program"):
      export.export(run, str(out))
  assert [path.name for path in tmp_path.iterdir()] == ["run"]
  with monkeypatch.context() as patch:
    patch.setattr(export, "serialize", lambda *_: b"a program")
    export.export(run, str(out))
  assert len(list(out.glob("*.stablehlo"))) == 3
  with pytest.raises(FileExistsError, match="add --force to replace it"):
    export.export(run, str(out))
  export.export(run, str(out), ["safetensors"], force=True)
  assert sorted(path.name for path in out.iterdir()) == [
      "README.md", "config.json", "model.safetensors", "samples.png"]
  with pytest.raises(FileExistsError, match="run is there already: choose another"):
    export.export(run, run, force=True)


def test_formats(tmp_path: pathlib.Path, tiny: Callable, saved_run: Callable) -> None:
  saved_run(tiny(), tmp_path / "run")
  for formats, said in ((["stablehl"], "Unknown format 'stablehl': did you mean 'stablehlo'"),
                        ([], "--format is empty")):
    with pytest.raises(ValueError, match=said):
      export.export(str(tmp_path / "run"), str(tmp_path / "out"), formats)
  export.export(str(tmp_path / "run"), str(tmp_path / "out"), ["stablehlo"])
  assert "bigan_jax.load" not in (tmp_path / "out" / "README.md").read_text()


def test_the_command_line(tmp_path: pathlib.Path, tiny: Callable, saved_run: Callable,
                          forked_python: pathlib.Path) -> None:
  saved_run(tiny(), tmp_path / "run")
  def call(*flags: str) -> subprocess.CompletedProcess:
    return subprocess.run([forked_python, "-m", "bigan_jax.export", *flags], timeout=120,
                          capture_output=True, text=True)
  done = call(f"--workdir={tmp_path}/run", f"--out={tmp_path}/out", "--format=safetensors",
              "--step=10", "--license=mit", "--onnx")
  assert done.returncode == 0 and done.stdout.startswith("Wrote ")
  assert exported.is_export(tmp_path / "out") and (tmp_path / "out" / "encoder.onnx").is_file()
  assert 'license: "mit"' in (tmp_path / "out" / "README.md").read_text()
  failed = call(f"--workdir={tmp_path}/none", f"--out={tmp_path}/other")
  assert failed.returncode == 1 and failed.stderr.count("\n") == 1
  assert "There is no run folder" in failed.stderr

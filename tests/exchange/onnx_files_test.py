"""ONNX files: onnxruntime gives what JAX does, of every family of networks."""

from collections.abc import Callable
import json
import pathlib
import sys

import jax.numpy as jnp
import ml_collections
import numpy as np
import onnx
import onnxruntime
import pytest

import bigan_jax
from bigan_jax import export
from bigan_jax.exchange import onnx_files, onnx_graph
from bigan_jax.exchange.pretrained import Pretrained
from bigan_jax.models import merging
from tests import families


def found_of(config: ml_collections.ConfigDict, made_up: Callable) -> Pretrained:
  networks, variables = made_up(config)
  return Pretrained(config, networks, variables, 10, {})


@pytest.mark.parametrize("config", families.CONVOLUTIONAL)
def test_every_family(config: Callable, made_up: Callable, tmp_path: pathlib.Path) -> None:
  """`write` compares what it writes with JAX, batches of 1 and 3."""
  found = found_of(config(), made_up)
  info = export.describe(found)
  for player in found.variables:
    onnx_files.write(tmp_path / player, found, player, info)
    model = onnx.load(tmp_path / player)
    assert not {"Where", "Greater"} & {node.op_type for node in model.graph.node}
    about = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert about["preprocessing"] == json.loads(json.dumps(info["preprocessing"]))
    made = {name for node in model.graph.node for name in node.output}
    assert about["layers"].keys() - {"x"} <= made and about["layout"] == "NHWC"


def test_mlps_as_they_are_used(tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path) -> None:
  saved_run(tiny(), tmp_path / "run")
  export.export(str(tmp_path / "run"), str(tmp_path / "out"), ["onnx"], merge_bn=True)
  assert "onnxruntime.InferenceSession" in (tmp_path / "out" / "README.md").read_text()
  model = bigan_jax.load(str(tmp_path / "run"))
  E, G = (onnxruntime.InferenceSession(tmp_path / "out" / f"{name}.onnx")
          for name in ("encoder", "generator"))
  assert E.get_inputs()[0].shape == ["batch", 8, 8, 1] and G.get_inputs()[0].name == "z"
  x = np.random.RandomState(1).uniform(0, 1, (5, 8, 8, 1)).astype(np.float32)
  features, code = E.run(["features", "code"], {"images": x})
  expected, layers = model.E(x)
  np.testing.assert_allclose(code, expected, atol=1e-5)
  np.testing.assert_allclose(features, layers["fc2"], rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(G.run(None, {"z": code})[0], model.G(expected), atol=1e-5)
  onnx.utils.extract_model(tmp_path / "out" / "encoder.onnx", tmp_path / "fc1.onnx",
                           ["images"], ["fc1"])
  cut, = onnxruntime.InferenceSession(tmp_path / "fc1.onnx").run(None, {"images": x})
  np.testing.assert_allclose(cut, layers["fc1"], rtol=1e-4, atol=1e-4)


def test_a_file_that_differs_is_not_written(
    tiny: Callable, made_up: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  found, merge = found_of(tiny(), made_up), merging.merge
  def wrong(variables: dict) -> dict:
    merged = merge(variables)
    merged["params"]["out"]["kernel"] = merged["params"]["out"]["kernel"] * 1.01
    return merged
  monkeypatch.setattr(merging, "merge", wrong)
  with pytest.raises(ValueError, match="e.onnx gives other code than JAX, by .* of the largest"):
    onnx_files.write(tmp_path / "e.onnx", found, "E", export.describe(found))
  assert not list(tmp_path.iterdir())


def test_an_operation_without_a_rule() -> None:
  with pytest.raises(ValueError, match="ONNX files cannot hold JAX's operation sin: take"):
    onnx_graph.build(lambda x: {"y": jnp.sin(x)}, {"x": (2,)}, ["y"])


def test_without_the_extra(tiny: Callable, saved_run: Callable, tmp_path: pathlib.Path,
                           monkeypatch: pytest.MonkeyPatch) -> None:
  saved_run(tiny(), tmp_path / "run")
  monkeypatch.setitem(sys.modules, "onnx", None)
  with pytest.raises(ImportError, match=r"need the package onnx: pip install '.\[onnx\]'"):
    export.export(str(tmp_path / "run"), str(tmp_path / "out"), ["onnx"])
  assert not (tmp_path / "out").exists()

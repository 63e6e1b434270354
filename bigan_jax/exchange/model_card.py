"""The README.md of exported networks, as the Hugging Face hub shows them."""

from collections.abc import Sequence
import json
import math
import re
from typing import Any

from bigan_jax.models import latents
from bigan_jax.settings import measures
from bigan_jax.training.objectives import OBJECTIVES

WEIGHTS = "model.safetensors"
METRICS = (  # In this order.
    "JD", "NND", "NNC_e", "NNC_e-", "NNC_d", "EGr", "EGr_b", "EGg", "EGg_b", "code_std_mean",
)
PAPER = "arxiv:1605.09782"
SAMPLES = "samples.png"
ON_THE_HUB = {  # names of data sets, of TFDS and of ours, there
    "cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100",
    "fashion_mnist": "zalando-datasets/fashion_mnist", "imagenet2012": "ILSVRC/imagenet-1k",
    "imagenet_presized": "ILSVRC/imagenet-1k", "mnist": "ylecun/mnist",
    "svhn_cropped": "ufldl-stanford/svhn",
}
CITATION = """\
@inproceedings{donahue2017adversarial,
  title     = {Adversarial Feature Learning},
  author    = {Donahue, Jeff and Kr{\\"a}henb{\\"u}hl, Philipp and Darrell, Trevor},
  booktitle = {International Conference on Learning Representations},
  year      = {2017}
}
"""


def check_license(name: str | None) -> None:
  """Raises ValueError unless it could be one of the hub's names of licenses, or None."""
  if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
    raise ValueError(f"--license={name} is no name of a license: write it as the Hugging Face hub "
                     "does, apache-2.0, mit, cc-by-4.0, other or the like.")


def text(
    info: dict[str, Any], names: Sequence[str], merged: bool, license: str | None = None,
    place: str = "THIS_FOLDER",
) -> str:
  """The whole card.

  Args:
    info: as export.describe gives it.
    names: of the files that lie beside the card.
    merged: batch norm was folded into kernels and biases.
    license: of the weights, by the hub's name of it.
    place: what bigan_jax.load reads the networks from.
  """
  parts = (_front(info, names, license), _title(info), _samples(names), _use(info, names, place),
           _onnx(info, names), _preprocessing(info), _layers(info),
           _weights(merged) if WEIGHTS in names else "", _results(info))
  return "\n".join(part for part in parts if part) + f"\n## Citation\n\n```\n{CITATION}```\n"


def _front(info: dict[str, Any], names: Sequence[str], license: str | None) -> str:
  """What the hub searches by, as YAML."""
  kinds = [kind for kind in ("onnx", "stablehlo") if any(name.endswith(kind) for name in names)]
  tags = ("jax", "flax", *kinds, info["config"]["objective"], "self-supervised-learning", PAPER)
  data = ON_THE_HUB.get(_data(info))
  parts = {
      "license": f' "{license}"' if license else "",  # In quotes: a version is no number.
      "library_name": " bigan_jax", "pipeline_tag": f" {_task(info)}", "tags": _listed(tags),
      "datasets": _listed([data] if data else []),
      "metrics": _listed(["accuracy"] if any(map(_is_accuracy, _found(info))) else []),
      "model-index": _model_index(info),
  }
  lines = "".join(f"{name}:{part}\n" for name, part in parts.items() if part)
  return f"---\n{lines}---\n"


def _listed(items: Sequence[str]) -> str:
  return "".join(f"\n- {item}" for item in items)


def _task(info: dict[str, Any]) -> str:
  encodes = "E" in info["layers"]
  return "image-feature-extraction" if encodes else "unconditional-image-generation"


def _data(info: dict[str, Any]) -> str:
  """The name of the data set, without what TFDS adds to it."""
  return re.split("[/:]", info["config"]["data"]["name"])[0]


def _found(info: dict[str, Any]) -> dict[str, float]:
  """{column: value} of the last evaluation, of those that are numbers."""
  metrics = info["metrics"] or {}
  return {name: metrics[name] for name in METRICS
          if metrics.get(name) is not None and math.isfinite(metrics[name])}


def _is_accuracy(name: str) -> bool:
  return name.startswith("NNC")


def _model_index(info: dict[str, Any]) -> str:
  """The results as the hub's tables of models read them; chance levels and losses are none."""
  found = {name: v for name, v in _found(info).items() if measures.better(name)}
  data = _data(info) or "pictures"
  if not found:
    return ""
  rows = "".join(
      f"\n    - type: {'accuracy' if _is_accuracy(name) else name}\n"
      f"      value: {round(value, 4)}\n"
      f"      name: {json.dumps(f'{name}: {measures.describe(name)}', ensure_ascii=False)}"
      for name, value in found.items()
  )
  return (
      f"\n- name: {info['config']['objective']}-{data}\n  results:\n  - task:\n"
      f"      type: {_task(info)}\n    dataset:\n      type: {ON_THE_HUB.get(data, data)}\n"
      f"      name: {data}\n    metrics:{rows}"
  )


def _samples(names: Sequence[str]) -> str:
  return f"![Samples G(z)]({SAMPLES})\n" if SAMPLES in names else ""


def _title(info: dict[str, Any]) -> str:
  config = info["config"]
  data = config["data"]["name"] or "pictures"
  players = " and ".join(sorted(info["layers"]))
  return (
      f"# {config['objective']} ({config['recipe']}) on {data}\n\n"
      f"{players} after {info['step']:,} updates of batches of {config['batch_size']}, trained by\n"
      'bigan_jax after "Adversarial Feature Learning" (Donahue, Krähenbühl, Darrell).\n'
  )


def _use(info: dict[str, Any], names: Sequence[str], place: str) -> str:
  low, high = info["preprocessing"]["value_range"]
  shape = ", ".join(map(str, _encoder_shape(info)))
  parts, encodes = ["## Use\n"], "E" in info["layers"]
  if WEIGHTS in names:
    last = (
        "code, layers = model.E(model.preprocess(pictures))  # arrays or PIL's, of any sizes"
        if encodes else "x = model.G(z)"
    )
    parts.append(
        f'```python\nimport bigan_jax\nmodel = bigan_jax.load("{place}")\n{last}\n```\n'
    )
  if "encoder.stablehlo" in names:
    parts.append(
        "With jax and flatbuffers alone, on CPU, GPU or TPU, any batch:\n\n```python\n"
        "from jax import export\n"
        'E = export.deserialize(bytearray(open("encoder.stablehlo", "rb").read()))\n'
        f"code, layers = E.call(x)  # x: float32 [B, {shape}], {low:g} to {high:g}\n```\n"
    )
  if "generator.stablehlo" in names:
    where = "of N(0, I)" if _normal(info) else "in [-1, 1]"
    parts.append(
        f"`generator.stablehlo` maps z, float32 [B, {info['config']['model']['latent_dim']}] "
        f"{where}, to pictures in the same\nway. JAX reads such files for six months at least; "
        f"{WEIGHTS} stays readable.\n"
    )
  if "discriminator.stablehlo" in names:
    parts.append(f"`discriminator.stablehlo` maps {_judged(info)} to (logits, layers).\n")
  return "\n".join(parts)


def _onnx(info: dict[str, Any], names: Sequence[str]) -> str:
  """How onnxruntime runs the network whose features are the product."""
  reader = "encoder.onnx" if "E" in info["layers"] else "discriminator.onnx"
  if reader not in names:
    return ""
  learner, second = ("E", "code") if "E" in info["layers"] else ("D", "logits")
  return f"""\
## ONNX

For onnxruntime in any language, any batch; channels stay last, and `features` are the last hidden
layer, flattened. Other layers are tensors by their names; the rest is in the file's metadata.

```python
import onnxruntime
session = onnxruntime.InferenceSession("{reader}")
features, {second} = session.run(["features", "{second}"], {{"images": x}})
```
"""


def _preprocessing(info: dict[str, Any]) -> str:
  how = info["preprocessing"]
  (height, width), (low, high) = how["centre_crop"], how["value_range"]
  return f"""\
## Preprocessing

{how["colours"]}, channels last, turned upright; transparency on white. The shorter edge is resized
to {how["resize_shorter_edge"]} pixels (Lanczos, antialiased), the middle {height} x {width} is
kept, and 0..255 scaled to {low:g}..{high:g}. `model.preprocess` does all this.
"""


def _layers(info: dict[str, Any]) -> str:
  rows = [
      f"| {player} | {layer} | {' x '.join(map(str, shape)) or 'a number'} |\n"
      for player, layers in info["layers"].items() for layer, shape in layers.items()
  ]
  code = ("The code are the logits, about as z of N(0, I).\n" if _normal(info) else
          "The code is tanh(logits / 2), within (-1, 1) like z.\n")
  code = code if "E" in info["layers"] else ""
  return f"## Layers\n\n| network | layer | activation |\n|---|---|---|\n{''.join(rows)}\n{code}"


def _weights(merged: bool) -> str:
  norms = (
      "Batch norm is merged: `NETWORK.LAYER.bias` is added after the kernel." if merged else
      "`LAYER_bn` normalises what LAYER gives: (h - mean) / sqrt(var + 1e-8), then times `scale`\n"
      "and plus `bias` where there are such."
  )
  return f"""\
## Weights

`{WEIGHTS}` holds float32 arrays. `NETWORK.LAYER.kernel` is [inputs, outputs]; of a
convolution (a correlation) [row, column, inputs per group, outputs]; of a transposed one (deconv)
[row, column, outputs, inputs].
{norms}
The config and what this page says are JSON in the file's metadata.
"""


def _results(info: dict[str, Any]) -> str:
  rows = [f"| {name} | {value:.4g} | {measures.describe(name)} |\n"
          for name, value in _found(info).items()]
  if not rows:
    return "## Results\n\nNot evaluated.\n"
  return f"## Results\n\n| metric | value | meaning |\n|---|---|---|\n{''.join(rows)}"


def _normal(info: dict[str, Any]) -> bool:
  return latents.kind(info["config"]["model"]) == "normal"


def _judged(info: dict[str, Any]) -> str:
  """What D takes."""
  model = info["config"]["model"]
  x = f"x, float32 [B, {', '.join(map(str, model['image_shape']))}]"
  joint = OBJECTIVES[info["config"]["objective"]].joint
  return f"{x}, and its code z, [B, {model['latent_dim']}]," if joint else x


def _encoder_shape(info: dict[str, Any]) -> tuple[int, ...]:
  return tuple(info["config"]["model"]["encoder_shape"])

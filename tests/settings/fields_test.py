"""Tests of how fields are listed, explained and looked for."""

import pathlib

import pytest

from bigan_jax.settings import fields, words
from configs import digits, voc_detection

ROOT = pathlib.Path(__file__).parents[2]
CONFIGS = sorted(path.stem for path in ROOT.glob("configs/[!_]*.py"))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_field_is_listed_with_its_value(name: str) -> None:
  """And most of them are explained, by what stands in the source."""
  path = str(words.shipped()[name])
  values, said = fields.flat(fields.load(path)), fields.comments(pathlib.Path(path))
  lines = fields.table(path).splitlines()
  for field, value in values.items():
    shown = f"{field}={value!r}" if value != "" else f"{field}="
    assert any(line.strip().startswith(shown) for line in lines), field
  explained = [field for field in values if said.get(field) or said.get(field.rpartition(".")[0])]
  assert len(explained) > 0.6 * len(values)


def test_what_is_said_is_what_stands_beside() -> None:
  said = fields.comments(ROOT / "configs" / "digits.py")
  assert said["epochs"] == "constant and decaying together"  # Not of digits' own value.
  assert said["data.edge"].startswith("shorter side that pictures are resized to")
  assert said["data.splits"].startswith('or "test"')
  said = fields.comments(ROOT / "configs" / "voc_detection.py")
  assert said["data.splits"].startswith("as the encoder's run")  # Of the nearer file.
  assert said["train_split"] == said["test_split"] == "or train, val"
  assert said["regions.count"] == "drawn from each picture" and said["optim.rates"] == "factors"
  said = fields.comments(ROOT / "configs" / "imagenet.py")
  assert said["model.D.z_stddev"].startswith("of projections of z")  # Within a dict.


@pytest.mark.parametrize("name, said", [
    ("mnist", {"model.G.width": "units of each hidden layer", "model.value_range": "pixel / 255"}),
    ("imagenet", {"model.G.width": "channels of its last", "model.value_range": "of pixels"}),
    ("cifar10", {"model.E.width": "channels of its first", "model.E.hidden": "units of its layer",
                 "model.image_shape": "what G makes", "model.D.z_stddev": "of projections of z"}),
    ("frozen_layers", {"epochs": "", "optim.weight_decay": "of weights, not of biases"}),
    ("linear_probe", {"calibration_steps": "batches that its statistics come from"}),
])
def test_a_field_is_explained_as_its_own_config_has_it(name: str, said: dict[str, str]) -> None:
  """Others of the same name, as of perceptrons, are not what it is."""
  found = fields.comments(ROOT / "configs" / f"{name}.py")
  for field, text in said.items():
    assert found.get(field, "").startswith(text) and bool(text) == (field in found)


def test_a_config_of_one_s_own_is_explained_too(tmp_path: pathlib.Path) -> None:
  path = tmp_path / "mine.py"
  path.write_text("""from configs import digits

def get_config(argument=""):
  config = digits.get_config(argument)
  config.model.depth = 3  # how deep
  return config
""")
  table = fields.table(f"{path}:gan")
  for part in (f"fields of {path}:gan", "model.depth=3", "how deep", "objective='gan'",
               "constant and decaying together"):
    assert part in table


def test_lines_are_no_wider_than_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setenv("COLUMNS", "90")
  for line in fields.table(str(words.shipped()["voc_detection"])).splitlines()[1:]:
    assert len(line) <= 90


@pytest.mark.parametrize("name, sentence", [
    ("epoch", "Unknown config field 'epoch': did you mean 'epochs'? choose from alternating, "),
    ("optim.lr", "Unknown config field 'optim.lr' in config.optim: choose from E_rate_factor, "),
    ("optim.rat", "did you mean 'rate'? choose from E_rate_factor, b1, b2, decay_shifts, "),
    ("model.G.widht", "in config.model.G: did you mean 'width'? choose from first_bn, width, "),
    ("model.width", "in config.model: did you mean 'model.D.width' or 'model.E.width' or "),
    ("rate", "did you mean 'optim.rate'?"),
    ("zzz", "Unknown config field 'zzz': choose from alternating, augment, average, "),
    ("nope.rate", "did you mean 'optim.rate'?"),
    ("optim", "config.optim is a section: set one of its fields, E_rate_factor, "),
    ("epochs.x", "config.epochs has no fields: it is 200, not a section."),
])
def test_an_unknown_field_is_answered_with_the_nearest(name: str, sentence: str) -> None:
  found = fields.unknown(name, digits.get_config())
  assert sentence in found and found.endswith(".") and "\n" not in found


def test_a_field_that_is_there_is_known() -> None:
  config = voc_detection.get_config()
  assert [name for name in fields.flat(config) if fields.unknown(name, config)] == []

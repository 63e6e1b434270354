"""Tests of the configs of jobs that use an encoder, and of what is out of range."""

import pytest

from bigan_jax.settings import downstream
from bigan_jax.transfer.voc import fcn
from configs import (
  frozen_layers,
  linear_probe,
  voc_classification,
  voc_detection,
  voc_segmentation,
)


@pytest.mark.parametrize("fields, message", [
    ({"encoder": ""}, "config.encoder is empty"),
    ({"trained": "fc7"}, r"config.trained is 'fc7': did you mean 'fc8'\? choose from fc6_8, fc8"),
    ({"source": "randon"}, "did you mean 'random'"),
    ({"source": "supervised"}, "config.source is 'supervised': choose from pretrained, random, km"),
    ({"data.name": "image_folder"}, "the job voc_classification reads a devkit of PASCAL VOC"),
    ({"source": "kmeans"}, "config.source is kmeans but config.init is gaussian"),
    ({"eval.crops": 0}, "config.eval.crops is 0, but must be at least 1"),
    ({"optim.rates.fc6": -1.0}, "config.optim.rates.fc6 is -1.0"),
    ({"crop": -1}, "config.crop is -1"),
    ({"data.edge": -1}, "config.data.edge is -1"),
])
def test_fields_of_classification_out_of_range(fields: dict, message: str) -> None:
  config = voc_classification.get_config()
  config.update_from_flattened_dict({"encoder": "RUN", **fields})
  with pytest.raises(ValueError, match=message):
    downstream.validate(config)


def test_the_config_of_classification() -> None:
  """Reference section 9."""
  config = voc_classification.get_config()
  downstream.validate(voc_classification.get_config("all,source=random"))  # Needs no encoder.
  assert (config.trained, config.crop, config.batch_size, config.eval.crops) == (
      "fc6_8", 227, 16, 10
  )
  steps = -(-5011 // 16)
  assert 79_000 < config.epochs * steps < 81_000
  assert 9_500 < config.optim.drop_every * steps < 10_500 and config.optim.drop == 0.5
  optim = config.optim
  assert (optim.rate, optim.momentum, optim.weight_decay, optim.decay_biases, optim.bias_rate,
          optim.clip) == (0.001, 0.9, 1e-6, True, 2.0, 10.0)
  assert set(optim.rates.values()) == {1.0} and not config.model.padded and config.data.edge == 0
  assert voc_classification.get_config("all,source=kmeans").init == "k-means"
  assert voc_classification.get_config("fc8").trained == "fc8"
  for wrong, message in (("fc7", "did you mean 'fc8'"), ("size=tiny", "choose from full, small"),
                         ("source=nothing", "choose from pretrained, random, kmeans")):
    with pytest.raises(ValueError, match=message):
      voc_classification.get_config(wrong)


@pytest.mark.parametrize("wrong", ["size=tiny", "fc8", "source=labels"])
def test_the_variants_of_detection(wrong: str) -> None:
  for source_ in downstream.VOC_SOURCES:
    config = voc_detection.get_config(f"source={source_}")
    config.encoder = "RUN"
    downstream.validate(config)
    assert config.source == source_ and (config.shorter, config.longest) == (600, 1000)
    assert (config.epochs, config.optim.drop_every) == (16, 12)
  with pytest.raises(ValueError, match="choose|did you mean"):
    voc_detection.get_config(wrong)


@pytest.mark.parametrize("fields, message", [
    ({"stride": 4}, "config.stride is 4, but scores can be 32, 16 or 8 pixels apart"),
    ({"model.kernel": 0}, "config.model.kernel is 0, but must be at least 1"),
    ({"crop": -1}, "config.crop is -1"),
])
def test_fields_of_segmentation_out_of_range(fields: dict, message: str) -> None:
  config = voc_segmentation.get_config()
  config.update_from_flattened_dict({"encoder": "RUN", **fields})
  with pytest.raises(ValueError, match=message):
    downstream.validate(config)


def test_the_variants_of_segmentation() -> None:
  full, reduced = voc_segmentation.get_config(), voc_segmentation.get_config("fcn8s,size=small")
  assert (full.stride, full.crop, full.model.hidden, full.data.year) == (
      32, 500, (4096, 4096), 2012
  )
  assert (reduced.stride, reduced.data.year, reduced.test_split) == (8, 2007, "test")
  assert full.model.padded and reduced.model.padded  # As the encoder.
  score = fcn.grids(full.crop, full.model.kernel, full.model.padded)["score"]
  assert score.first <= 0 and score.first + score.step * (score.count - 1) >= full.crop - 32
  for wrong in ("fcn4s", "size=tiny", "source=mine"):
    with pytest.raises(ValueError, match="choose|did you mean"):
      voc_segmentation.get_config(wrong)


@pytest.mark.parametrize("fields, message", [
    ({"encoder": ""}, "config.encoder is empty"),
    ({"frozen": -1}, "config.frozen is -1"),
    ({"optim.rate": 0.0}, "config.optim.rate is 0.0, but must be above 0"),
    ({"optim.momentum": 1.0}, "config.optim.momentum is 1.0, but must be below 1"),
    ({"model.dropout": 1.0}, "config.model.dropout is 1.0, but must be below 1"),
    ({"stop_epoch": 91}, "config.stop_epoch is 91, beyond config.epochs = 90"),
    ({"init": "kmeans"}, "did you mean 'k-means'?"),
    ({"source": "pretraned"}, "config.source is 'pretraned': did you mean 'pretrained'?"),
    ({"source": "kmeans"}, "after the colon, --config=configs/frozen_layers.py:kmeans"),
    ({"model.widths": (32, 64, 96, 96)}, "config.model.widths is .*: give 5 even numbers"),
    ({"precision": "float16"}, "config.precision is 'float16'"),
])
def test_fields_of_frozen_layers_out_of_range(fields: dict, message: str) -> None:
  config = frozen_layers.get_config()
  config.update_from_flattened_dict({"encoder": "RUN", **fields})
  with pytest.raises(ValueError, match=message.replace("?", r"\?")):
    downstream.validate(config)


def test_the_variants_of_frozen_layers() -> None:
  small_config = frozen_layers.get_config("kmeans,size=small")
  assert (small_config.init, small_config.frozen, small_config.model.hidden[0]) == (
      "k-means", 3, 512
  )
  assert frozen_layers.get_config("supervised").frozen == 0
  for wrong in ("pretraind", "size=tiny", "scale=small"):
    with pytest.raises(ValueError, match="choose|did you mean"):
      frozen_layers.get_config(wrong)


def test_fields_of_the_encoders_set_are_judged_when_it_is_known() -> None:
  """Its pictures may lie elsewhere by now; evaluation/encoders_test.py has what comes of it."""
  config = linear_probe.get_config()
  config.encoder, config.data.path = "runs/mine", "moved/here"
  downstream.validate(config)
  config.data.name = "mnist"
  with pytest.raises(ValueError, match="data.path is 'moved/here', but mnist has no use for it"):
    downstream.validate(config)

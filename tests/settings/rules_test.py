"""Tests of every rule that training configs must obey."""

from collections.abc import Callable
import pathlib

import ml_collections
import pytest

from bigan_jax.models import precision
from bigan_jax.settings import downstream, rules
from configs import digits, imagenet, linear_probe, voc_classification

Tiny = Callable[..., ml_collections.ConfigDict]
ROOT = pathlib.Path(__file__).parents[2]


OUT_OF_RANGE = [
    ("epochs", -1, "at least 0"),
    ("batch_size", 1, "at least 2"),
    ("batch_size", 0, "at least 2"),
    ("seed", -1, "at least 0"),
    ("seed", 2**32, "at most 4294967295"),
    ("stop_epoch", -1, "at least 0"),
    ("steps_per_dispatch", 0, "at least 1"),
    ("calibration_steps", 0, "at least 1"),
    ("save_every", 0, "at least 1"), ("save_seconds", -1.0, "at least 0"),
    ("eval.every", 0, "at least 1"),
    ("eval.images", -1, "at least 0"),
    ("eval.references", -5, "at least 0"),
    ("eval.samples", 99, "at least 100"),
    ("eval.samples", 150, "multiple of 100"),
    ("model.latent_dim", 0, "at least 1"),
    ("model.latent_dim", -50, "at least 1"),
    ("model.G.width", 0, "at least 1"),
    ("model.E.width", 0, "at least 1"),
    ("model.D.width", 0, "at least 1"),
    ("optim.rate", 0.0, "above 0 and at most 1"),
    ("optim.rate", -2e-4, "above 0 and at most 1"),
    ("optim.rate", 1.5, "above 0 and at most 1"),
    ("optim.rate", float("nan"), "above 0 and at most 1"),
    ("optim.rate", float("inf"), "above 0 and at most 1"),
    ("optim.final_factor", 0.0, "above 0 and at most 1"),
    ("optim.weight_decay", -1e-5, "at least 0"),
    ("optim.weight_decay", float("nan"), "at least 0"),
    ("optim.warmup_epochs", -1, "at least 0"),
    ("optim.b1", 1.0, "below 1"),
    ("optim.b2", -0.1, "below 1"),
    ("stop_epoch", 2, "beyond config.epochs = 1"),
]


@pytest.mark.parametrize("name, value, rule", OUT_OF_RANGE)
def test_a_field_out_of_range_is_refused(tiny: Tiny, name: str, value: float, rule: str) -> None:
  config = tiny()
  rules.validate(config)
  config.update_from_flattened_dict({name: value})
  with pytest.raises(ValueError) as error:
    rules.validate(config)
  message = str(error.value)
  assert message.startswith(f"config.{name} is {value}") and rule in message
  assert message.count("\n") == 0 and message.endswith(".")


@pytest.mark.parametrize("name, value", [
    ("epochs", 0), ("batch_size", 2), ("seed", 0), ("seed", 2**32 - 1), ("stop_epoch", 1),
    ("eval.images", 0), ("model.latent_dim", 1), ("optim.rate", 1.0), ("optim.weight_decay", 0.0),
    ("optim.b1", 0.0), ("alternating", 3),
])
def test_the_edge_of_a_range_is_allowed(tiny: Tiny, name: str, value: float) -> None:
  config = tiny()
  config.update_from_flattened_dict({name: value})
  rules.validate(config)


def test_as_many_samples_as_neighbours_are_refused(tiny: Tiny) -> None:
  config = tiny()
  config.eval.quality = 5
  with pytest.raises(ValueError, match="config.eval.quality is 5, but samples are compared by 5"):
    rules.validate(config)
  config.eval.quality = 6
  rules.validate(config)


def test_an_unknown_objective_is_refused(tiny: Tiny) -> None:
  config = tiny()
  config.objective = "bigam"
  with pytest.raises(ValueError, match="config.objective is 'bigam': did you mean 'bigan'"):
    rules.validate(config)


def test_an_unknown_precision_is_refused(tiny: Tiny) -> None:
  config = tiny()
  config.precision = "float16"
  with pytest.raises(ValueError, match="precision is 'float16': did you mean 'bfloat16'"):
    rules.validate(config)
  assert rules.PRECISIONS == tuple(precision.PRODUCTS)


@pytest.mark.parametrize("variant, player", [("bigan", "E"), ("gan", "D")])
@pytest.mark.parametrize("widths", [(96, 256, 384, 384), (95, 256, 384, 384, 256), (0,) * 5])
def test_widths_that_do_not_make_an_alexnet_are_refused(
    variant: str, player: str, widths: tuple[int, ...]
) -> None:
  config = imagenet.get_config(variant)
  rules.validate(config)
  config.model[player].widths = widths
  with pytest.raises(ValueError, match=f"model.{player}.widths is .*: give 5 even numbers"):
    rules.validate(config)


@pytest.mark.parametrize("name, value", [
    ("model.image_shape", (8,)), ("model.image_shape", ("a", 8, 1)), ("model.image_shape", ()),
    ("model.encoder_shape", (8, 0, 1)), ("model.value_range", (1.0, 0.0)),
    ("model.value_range", (float("nan"), 1.0)),
])
def test_lists_that_are_none_of_such_numbers_are_refused(
    tiny: Tiny, name: str, value: tuple
) -> None:
  config = tiny()
  config.update_from_flattened_dict({name: value})
  with pytest.raises(ValueError, match=f'config.{name} is .*: give it such as --config.{name}="'):
    rules.validate(config)


def test_an_autoencoder_cannot_alternate(tiny: Tiny) -> None:
  config = tiny("autoencoder_l2")
  config.alternating = 1
  with pytest.raises(ValueError, match="config.alternating needs a discriminator"):
    rules.validate(config)


def test_the_batch_must_fit_devices_and_set() -> None:
  rules.validate_batch(128, 128, 4)
  rules.validate_batch(4, 4, 4, least=1)  # Of networks without batch norm.
  for arguments, sentence in (
      ((130, 500, 4), "config.batch_size is 130, .* 4 devices: take a multiple of 4"),
      ((128, 127, 1), "config.batch_size is 128, .* only 127 images"),
      ((4, 500, 4), "config.batch_size is 4 for 4 devices, .* at least 2 images on each"),
  ):
    with pytest.raises(ValueError, match=sentence):
      rules.validate_batch(*arguments)


def test_images_of_another_set_are_refused(tiny: Tiny) -> None:
  rules.validate_shape(tiny(), (8, 8, 1))
  with pytest.raises(ValueError, match=r"\(8, 8, 1\), but the images of digits are \(28, 28, 1\)"):
    rules.validate_shape(tiny(), (28, 28, 1))


@pytest.mark.parametrize("field, value, take", [
    ("path", "pictures", "configs/image_folder.py"), ("max_labels", 3, "configs/imagenet.py"),
    ("validation_share", 0.2, "configs/image_folder.py"),
])
def test_fields_that_a_set_has_no_use_for_are_refused(
    tiny: Tiny, field: str, value: object, take: str
) -> None:
  config = tiny()
  config.data[field] = value
  with pytest.raises(ValueError, match=f"data.{field} is .*digits has no use for it: take {take}"):
    rules.validate(config)
  judging = linear_probe.get_config()
  judging.encoder, judging.data.name = "run", "mnist"
  judging.data[field] = value
  with pytest.raises(ValueError, match=f"config.data.{field} is "):
    downstream.validate(judging)
  config.data.name = "fake"  # Noise in the form of any config's pictures.
  rules.refuse_unused("fake", {field: value})


def test_jobs_on_voc_have_splits_of_their_own() -> None:
  config = voc_classification.get_config()
  config.encoder = "run"
  downstream.validate(config)
  config.data.splits = "test"
  with pytest.raises(ValueError, match="voc has no use for it: take config.train_split and"):
    downstream.validate(config)


@pytest.mark.parametrize("image, encoder, sentence", [
    ((8, 6, 1), (8, 8, 1), r"image_shape is \(8, 6, 1\), but networks see squares"),
    ((8, 8, 1), (8, 8, 2), r"encoder_shape is \(8, 8, 2\), but networks see squares"),
    ((8, 8, 1), (8, 8, 3), "the same number of channels"), ((8, 8), (8, 8, 1), "give it such as"),
])
def test_shapes_that_no_network_sees(
    tiny: Tiny, image: tuple[int, ...], encoder: tuple[int, ...], sentence: str
) -> None:
  config = tiny()
  config.model.image_shape, config.model.encoder_shape = image, encoder
  with pytest.raises(ValueError, match=sentence):
    rules.validate(config)


def test_the_best_by_an_unknown_metric_is_refused() -> None:
  config = digits.get_config()
  config.eval.best = "EGR"
  with pytest.raises(ValueError, match="config.eval.best is 'EGR': did you mean 'EGr'"):
    rules.validate(config)

"""Some of a set's classes alone: config.data.only_labels and without_labels."""


import numpy as np
import pytest

from bigan_jax.data import batches, labels
from bigan_jax.data.splits import Stored
from bigan_jax.evaluation import encoders
from bigan_jax.settings import downstream, rules
from configs import digits, linear_probe

NAMES = ("plane", "horse", "1")


@pytest.mark.parametrize("text, found", [
    ("horse", [1]), ("0, 1", [0, 2]), ("2,plane", [0, 2]), ("1", [2]),  # A name before a number.
])
def test_names_and_numbers(text: str, found: list[int]) -> None:
  assert labels.numbers("data.only_labels", text, NAMES) == found


@pytest.mark.parametrize("text, names, said", [
    ("hors", NAMES, "only_labels is 'hors', but there is no class 'hors': did you mean 'horse'"),
    ("3", NAMES, "there is no class '3': .*choose from plane, horse, 1, or 0 to 2"),
    ("horse,", NAMES, "there is no class ''"),
    ("1", (), "only_labels is '1', but these pictures have no labels: leave it out"),
])
def test_classes_that_are_not_there(text: str, names: tuple, said: str) -> None:
  with pytest.raises(ValueError, match=said):
    labels.numbers("data.only_labels", text, names)


@pytest.mark.parametrize("resident", [0.0, 1e-9])
def test_digits_without_some_in_memory_and_on_disk(
    resident: float, capsys: pytest.CaptureFixture
) -> None:
  config = digits.get_config()
  config.data.resident_gb = resident
  whole, judged_whole = batches.load(config)
  config.data.without_labels = "1,7"
  train, judged = batches.load(config, may_stream=True)
  assert isinstance(train, Stored) == (resident > 0)
  assert "train: 993 pictures of 8 classes" in capsys.readouterr().out
  train = train.read() if isinstance(train, Stored) else train
  kept = ~np.isin(whole.labels, (1, 7))
  np.testing.assert_array_equal(train.images, whole.images[kept])
  np.testing.assert_array_equal(train.labels, whole.labels[kept])
  assert train.num_classes == 10 and train.about.train == kept.sum() == 993
  assert train.about.judged == np.sum(~np.isin(judged_whole.labels, (1, 7)))
  assert "7" not in train.about.classes and len(train.about.classes) == 8
  held_out, names = batches.held_out(config)
  np.testing.assert_array_equal(held_out.read_labels(), judged_whole.labels)
  assert names == tuple("0123456789")


def test_noise_has_classes_too() -> None:
  config = digits.get_config()
  config.data.update({"name": "fake", "only_labels": "3"})
  train, judged = batches.load(config)
  assert set(train.labels) == set(judged.labels) == {3}
  assert set(batches.held_out(config)[0].labels) == set(range(10))


def test_fields_that_contradict_each_other_or_have_no_use() -> None:
  config = digits.get_config()
  config.data.update({"only_labels": "3", "without_labels": "4"})
  with pytest.raises(ValueError, match="only_labels is '3' and .*without_labels '4': give one"):
    rules.validate(config)
  config.data.update({"only_labels": "", "without_labels": "0,1,2,3,4,5,6,7,8,9"})
  with pytest.raises(ValueError, match="which leaves no picture to train on: name other classes"):
    batches.load(config)
  with pytest.raises(ValueError, match="only_labels is 'a', but voc has no use for it"):
    rules.refuse_unused("voc", {"only_labels": "a"})


def test_what_was_trained_on_few_classes_is_judged_by_all() -> None:
  encoder, job = digits.get_config(), linear_probe.get_config()
  encoder.data.without_labels, job.encoder = "1", "runs/x"
  assert encoders.data_settings(job.data, encoder).without_labels == ""
  job.data.only_labels = "0,1"
  downstream.validate(job)
  found = encoders.data_settings(job.data, encoder)
  assert (found.only_labels, found.without_labels, found.name) == ("0,1", "", "digits")

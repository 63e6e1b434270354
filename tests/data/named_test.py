"""Tests of sets by their TFDS name: where they lie, what they hold, and how they are read."""

import pathlib
import shutil

import numpy as np
from PIL import Image
import pytest
import tensorflow_datasets as tfds

from bigan_jax.data import named, prepare, sources, survey
from tests.data.made_up_sets import KINDS, labelled, pictures
from tests.data.made_up_sets import prepare as make

PLAIN = {"image": KINDS.Image(shape=(6, 6, 3)), "label": KINDS.ClassLabel(num_classes=3)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """Below it lie `plain` in two versions and `varied` in two configs."""
  root = tmp_path_factory.mktemp("sets")
  splits = {"train": labelled(pictures(12, 6, 6)), "test": labelled(pictures(5, 6, 6))}
  for version in ("1.0.0", "1.10.0"):
    make(root, "plain", PLAIN, splits, version)
  shutil.copytree(root / "plain" / "1.0.0", root / "plain" / "1.2.0")
  for config in ("large", "small"):
    make(root, "varied", PLAIN, splits, config=config)
  return root


@pytest.mark.parametrize("text, spec", [
    ("cifar10", named.Spec("cifar10")), ("a_b/c-d", named.Spec("a_b", "c-d")),
    ("a/1pct:5.1.0", named.Spec("a", "1pct", "5.1.0")), ("a:3.0.1", named.Spec("a", "", "3.0.1")),
])
def test_names(text: str, spec: named.Spec) -> None:
  assert named.parse(text) == spec and str(spec) == text


@pytest.mark.parametrize("text", ["", "CIFAR-10", "a/b/c", "a:latest", "../a"])
def test_what_is_no_name(text: str) -> None:
  with pytest.raises(ValueError, match="config.data.name is .*: give a name such as cifar10"):
    named.parse(text)


@pytest.mark.parametrize("text, found", [
    ("plain", "plain/1.10.0"), ("plain:1.0.0", "plain/1.0.0"),
    ("varied/small", "varied/small/1.0.0"), ("missing", ""), ("missing:1.0.0", ""),
    ("varied/tiny", ""),
])
def test_the_newest_version_or_the_one_asked_for(
    text: str, found: str, root: pathlib.Path
) -> None:
  assert named.find(named.parse(text), str(root)) == (str(root / found) if found else "")


@pytest.mark.parametrize("text, sentence", [
    ("plain:3.0.0", "not prepared in version 3.0.0 .*: choose from 1.0.0, 1.2.0, 1.10.0"),
    ("varied", "several configs .*: name one, varied/large, varied/small"),
])
def test_what_is_there_is_told(text: str, sentence: str, root: pathlib.Path) -> None:
  with pytest.raises(ValueError, match=sentence):
    sources.load(text, "train", str(root))


def test_the_nearest_name_may_be_of_a_prepared_set(root: pathlib.Path) -> None:
  with pytest.raises(ValueError, match=r"No data set is called 'plian' \(did you mean 'plain'\?\)"):
    sources.load("plian", "train", str(root))


def test_the_only_config_need_not_be_named(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
  shutil.copytree(root / "varied" / "small", tmp_path / "varied" / "small")
  assert named.find(named.parse("varied"), str(tmp_path)) == str(tmp_path / "varied/small/1.0.0")


def test_pixels_are_those_that_were_stored(root: pathlib.Path) -> None:
  split = sources.load("plain", "test", str(root))
  builder = tfds.builder_from_directory(str(root / "plain" / "1.10.0"))
  expected = [example["image"] for example in builder.as_data_source("test")]
  np.testing.assert_array_equal(split.images, np.stack(expected))
  assert sorted(split.labels) == [0, 0, 1, 1, 2] and split.num_classes == 3


def test_a_set_of_one_size_can_be_resized(root: pathlib.Path) -> None:
  split = sources.load("plain", "test", str(root), edge=4)
  assert split.shape is None and split.images.picture(0).shape == (4, 4, 3)
  stored, _ = sources.load_experiment("plain", "test", str(root), edge=4, most_bytes=0)
  assert "1.10.0, resized from 6 x 6 pixels to a shorter side of 4" in survey.line(stored.about)
  assert stored.memory() == 12 * 4 * 4 * 3 and stored.decode(np.arange(2))[0][1].shape == (4, 4, 3)


CASES = {  # features, the pictures of an example, and what is said
    "two": ({"image": KINDS.Image(shape=(4, 4, 3)), "mask": KINDS.Image(shape=(4, 4, 1))},
            "holds 2 pictures .image, mask.: take a set with one"),
    "none": ({"text": KINDS.Text()}, "holds no picture: take a set with one"),
    "deep": ({"image": KINDS.Image(shape=(4, 4, 1), dtype=np.uint16)}, "of uint16: take .* uint8"),
    "sizes": ({"image": KINDS.Image(shape=(None, None, 3))}, "differ in size: state the shorter"),
}


@pytest.mark.parametrize("name", CASES)
def test_sets_that_are_not_of_pictures_of_one_size(name: str, tmp_path: pathlib.Path) -> None:
  features, sentence = CASES[name]
  values = {"image": pictures(1, 4, 4, 3)[0], "mask": pictures(1, 4, 4, 1)[0], "text": "x"}
  if name == "deep":
    values["image"] = Image.fromarray(np.zeros((4, 4), np.uint16))
  make(tmp_path, name, features, {"train": [{key: values[key] for key in features}]})
  with pytest.raises(ValueError, match=sentence):
    sources.load(name, "train", str(tmp_path))


def test_other_names_sizes_and_no_labels(tmp_path: pathlib.Path) -> None:
  features = {"photo": KINDS.Image(shape=(None, None, 3)), "id": KINDS.Text()}
  shapes = [(5, 9, 3), (8, 4, 3), (6, 6, 3)] * 4
  rows = [{"photo": pictures(1, *shape)[0], "id": "x"} for shape in shapes]
  make(tmp_path, "loose", features, {"everything": rows})
  train, judged = sources.load_experiment("loose", "test", str(tmp_path), edge=4)
  assert (train.size, judged.size, train.num_classes) == (10, 2, 0)
  sizes = {train.images.picture(i).shape for i in range(10)}
  assert sizes == {(4, 7, 3), (8, 4, 3), (4, 4, 3)} and train.about.classes == ()


def test_the_only_class_label_may_have_another_name(tmp_path: pathlib.Path) -> None:
  features = {"image": PLAIN["image"], "species": KINDS.ClassLabel(names=["cat", "dog"])}
  rows = [{"image": picture, "species": i % 2} for i, picture in enumerate(pictures(6, 6, 6))]
  make(tmp_path, "zoo", features, {"train": rows, "test": rows[:3]})
  train, judged = sources.load_experiment("zoo", "test", str(tmp_path))
  assert train.about.classes == ("cat", "dog") and sorted(judged.labels) == [0, 0, 1]


@pytest.mark.parametrize("splits, protocol, sizes", [
    ({"train": 12, "test": 5, "validation": 4}, "test", (12, 5)),
    ({"train": 12, "test": 5, "validation": 4}, "validation", (12, 4)),
    ({"train": 12, "validation": 4}, "test", (12, 4)), ({"train": 12, "test": 5}, "test", (12, 5)),
    ({"train": 12, "test": 5}, "validation", (10, 2)), ({"test": 12}, "test", (10, 2)),
])
def test_what_is_judged_by(
    splits: dict[str, int], protocol: str, sizes: tuple[int, int], tmp_path: pathlib.Path
) -> None:
  rows = {name: labelled(pictures(count, 6, 6)) for name, count in splits.items()}
  make(tmp_path, "parts", PLAIN, rows)
  train, judged = sources.load_experiment("parts", protocol, str(tmp_path))
  assert (train.size, judged.size) == sizes


def test_labels_out_of_range_are_told(tmp_path: pathlib.Path) -> None:
  rows = labelled(pictures(3, 6, 6))
  make(tmp_path, "hidden", PLAIN, {"train": rows, "test": [{**rows[0], "label": -1}]})
  with pytest.raises(ValueError, match="has the label -1, but its classes are 0 to 2: take"):
    sources.load_experiment("hidden", "test", str(tmp_path))


def test_another_format_is_told_with_a_command(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
  folder = tmp_path / "plain" / "1.0.0"
  shutil.copytree(root / "plain" / "1.0.0", folder)
  info = folder / "dataset_info.json"
  info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
  with pytest.raises(ValueError, match="tfrecord format.*tfds build plain --file_format=array_rec"):
    prepare.find_or_prepare("plain", str(tmp_path))

"""Tests of the segmentation job from a tiny devkit to its mean IU."""

import collections
import pathlib
import shutil
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from PIL import Image
import pytest

from bigan_jax.data import voc
from bigan_jax.data.batch import Batch
from bigan_jax.settings import downstream
from bigan_jax.transfer import fine_tuning
from bigan_jax.transfer.voc import canvas, dataset, fcn, scorers, segmentation
from bigan_jax.transfer.voc import segmentation_exam as exams
from configs import voc_segmentation as config_file
from tests.run_folders import layers, results, rows, run
from tests.transfer.voc import devkits

VOID = scorers.VOID
COLOURS = {0: (60, 70, 60), 7: (230, 40, 40), 12: (40, 40, 230)}  # car and dog, on a lawn
SIZES = ((44, 32), (32, 44))
SMALL = {
    "crop": 40, "batch_size": 4, "epochs": 10, "eval.every": 10, "init": "plain",
    "equalise": False, "optim.rate": 0.1, "optim.clip": 1.0, "model.hidden": (4, 4),
    "model.dropout": 0.1, "model.kernel": 1, "steps_per_dispatch": 3,
    "model.widths": (8, 4, 4, 4, 4),
}


def make_mask(number: int, width: int, height: int) -> np.ndarray:
  """One half of the picture is a car or a dog, and void lies between."""
  mask = np.zeros((height, width), np.uint8)
  middle = width // 2
  half = slice(0, middle) if number % 2 else slice(middle, None)
  mask[:, half] = 7 if number % 4 < 2 else 12
  mask[:, middle - 1:middle + 1] = VOID
  return mask


def add(root: pathlib.Path, split: str, number: int) -> None:
  """Writes one picture, its boxes and its mask."""
  name, (width, height) = f"{number:06}", SIZES[number % 3 % 2]
  mask = make_mask(number, width, height)
  pixels = np.zeros((height, width, 3), np.uint8)
  for label, colour in COLOURS.items():
    pixels[mask == label] = colour
  label = "car" if number % 4 < 2 else "dog"
  devkits.add(root, split, name, pixels, [(label, 0, *devkits.BOX)], quality=95)
  indexed = Image.fromarray(mask)
  indexed.putpalette(voc.colours().tobytes())
  indexed.save(root / "SegmentationClass" / f"{name}.png")


@pytest.fixture(scope="module")
def devkit(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """Twelve pictures to train on, six to test on."""
  root = tmp_path_factory.mktemp("voc") / "VOCdevkit" / "VOC2007"
  (root / "SegmentationClass").mkdir(parents=True)
  for number in range(18):
    add(root, "trainval" if number < 12 else "test", number)
  shutil.copytree(root / "ImageSets" / "Main", root / "ImageSets" / "Segmentation")
  return root.parent


def small(devkit: pathlib.Path, argument: str = "fcn8s", **fields: object
          ) -> ml_collections.ConfigDict:
  config = config_file.get_config(f"{argument},size=small,source=random")
  config.data.path, config.data_dir = str(devkit), str(devkit.parent / "data_dir")
  config.update_from_flattened_dict({**SMALL, **fields})
  downstream.validate(config)
  return config


@pytest.fixture(scope="module")
def straight(devkit: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run that nothing stops."""
  path = tmp_path_factory.mktemp("straight")
  run(small(devkit), path)
  return path


# Whole runs


def test_it_learns_and_leaves_what_it_should(straight: pathlib.Path) -> None:
  found = results(straight)
  assert found["job"] == "voc_segmentation"
  assert (found["variant"], found["source"]) == ("fcn8s", "random")
  assert (found["train_images"], found["test_images"], found["year"]) == (12, 6, 2007)
  present = [name for name, value in found["IU"].items() if value is not None]
  assert present == ["background", "car", "dog"] and len(found["absent"]) == 18
  np.testing.assert_allclose(found["mIU"], np.mean([found["IU"][name] for name in present]))
  # Half of all pixels that are not void is background.
  np.testing.assert_allclose(found["chance"], 50 / 3)
  np.testing.assert_allclose(found["chance_mean_accuracy"], 100 / 3)
  assert found["mIU"] > 60 > 50 >= found["chance_pixel_accuracy"]
  last = rows(straight)[-1]
  assert (last["mIU"], last["pixel_accuracy"]) == (found["mIU"], found["pixel_accuracy"])
  assert last["train_pixel_accuracy"] > 70
  table = (straight / "classes.md").read_text()
  assert "dog" in table and "cat" not in table


def test_it_starts_with_background_alone(straight: pathlib.Path) -> None:
  """All scores are 0, and of equal ones the first class is taken."""
  found = results(straight)
  assert rows(straight)[0]["mIU"] == found["chance"]


def test_it_draws_pictures_truths_and_predictions(straight: pathlib.Path) -> None:
  (file,) = (straight / "pictures" / "predictions").iterdir()
  assert int(file.stem) == 30
  side = exams.THUMBNAIL + 1
  pixels = np.asarray(Image.open(file))[56:]  # below the title
  assert pixels.shape == (3 * side - 1, 6 * side - 1, 3)
  truth, predicted = pixels[side:2 * side - 1], pixels[2 * side:]
  assert {(128, 128, 128), (64, 0, 128), (0, 0, 0), (224, 224, 192)} <= set(
      map(tuple, truth.reshape(-1, 3).tolist())
  )
  assert np.mean(truth == predicted) > 0.7 and np.any(truth != predicted)


def test_a_stopped_run_continues_bit_for_bit(
    straight: pathlib.Path, devkit: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  assert run(small(devkit, stop_epoch=1), tmp_path)["epoch"] == 1
  run(small(devkit), tmp_path)
  assert rows(tmp_path) == rows(straight)
  assert (tmp_path / "results.json").read_bytes() == (straight / "results.json").read_bytes()
  jax.tree.map(np.testing.assert_array_equal, layers(tmp_path), layers(straight))
  assert set(layers(straight)) == {
      "conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "score", "score_pool1",
      "score_pool2",
  }


def test_the_summary_names_what_is_absent(
    straight: pathlib.Path, devkit: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
  found = run(small(devkit), straight)
  text = capsys.readouterr().out
  assert f"random, fcn8s: mean IU {found['mIU']:.2f} %" in text
  assert "background alone has 16.67 %" in text and "18 classes that test does not hold" in text


def test_a_batch_mirrors_pictures_with_their_masks(devkit: pathlib.Path) -> None:
  pictures = dataset.load(small(devkit), "trainval", "segmentation")
  keys, mirrored = ((1, 2), (3, 4)), 0
  images, masks = canvas.batch(pictures, 44, 9, True, 12, keys, 0)
  chosen = dataset.indices(keys, 0, 12, 12)
  assert sorted(chosen) == list(range(12))
  for i, image, mask in zip(chosen, images, masks):
    own = canvas.place(pictures.pictures[i].mask(), 44, VOID)
    mirrored += not np.array_equal(mask, own)
    for label in set(np.unique(mask)) - {VOID}:
      place = np.argwhere(mask == label).mean(axis=0).astype(int)  # the middle of its half
      np.testing.assert_allclose(image[*place], COLOURS[label], atol=8)
  assert 0 < mirrored < 12
  assert np.all(images[masks == VOID][-44:] == 9)
  again = canvas.batch(pictures, 44, 9, True, 12, keys, 0)
  np.testing.assert_array_equal(again[0], images)
  assert np.any(canvas.batch(pictures, 44, 9, True, 12, keys, 1)[0] != images)


# Loss and scores


def test_void_is_in_no_mean() -> None:
  random = np.random.RandomState(0)
  logits = random.normal(size=(3, 4, 5, 3)).astype(np.float32)
  masks = random.randint(0, 3, (3, 4, 5)).astype(np.uint8)
  masks[0, 1:], masks[1, :, 2], masks[2] = VOID, VOID, VOID
  found = segmentation.cross_entropy(logits, masks)
  losses, right = [0.0], [0.0]  # of the picture that is void
  for n in range(2):
    pairs = [(logits[n, i, j], masks[n, i, j]) for i in range(4) for j in range(5)
             if masks[n, i, j] != VOID]
    losses.append(np.mean([np.log(np.sum(np.exp(l))) - l[m] for l, m in pairs]))
    right.append(100 * np.mean([np.argmax(l) == m for l, m in pairs]))
  np.testing.assert_allclose(found["loss"], np.mean(losses), rtol=1e-5)
  np.testing.assert_allclose(found["pixel_accuracy"], np.mean(right), rtol=1e-5)
  logits[0, 1:], logits[2] = 9, -9
  assert segmentation.cross_entropy(logits, masks)["loss"] == found["loss"]


def test_pixels_are_counted_as_the_scorer_does() -> None:
  random = np.random.RandomState(0)
  truth = random.randint(0, 22, (2, 30, 20)).astype(np.uint8)
  truth[truth == 21] = VOID
  predicted = random.randint(0, 21, truth.shape).astype(np.uint8)
  expected = scorers.confusion(truth, predicted, 21)
  np.testing.assert_array_equal(exams.count(truth, predicted, 21), expected)
  found = exams.report(expected)
  assert found["absent"] == [] and found["mIU"] == 100 * scorers.segmentation(expected).iu.mean


class ByColour(NamedTuple):
  """A network whose classes are the colours of pixels."""

  classes: int = 21

  def apply(self, variables: dict, x: jax.Array, method: str) -> tuple[jax.Array, dict]:
    assert method == "scores"
    known = jnp.stack([jnp.asarray(COLOURS.get(k, (9e3,) * 3)) for k in range(21)])
    return -jnp.abs(x[..., None, :] - known).sum(-1), {}

  def finest(self, side: int) -> fcn.Grid:
    return fcn.Grid(0.0, 1, side)


def as_they_are(images: jax.Array) -> Batch:
  return Batch(images.astype(jnp.float32), images.astype(jnp.float32))


@pytest.mark.parametrize("side, least", [(60, 1.0), (44, 1.0), (22, 0.95)])
def test_predictions_lie_on_the_pictures_own_pixels(
    devkit: pathlib.Path, side: int, least: float
) -> None:
  """A network that sees colours is all right at full size; halved, it misses some of the edge."""
  pictures = dataset.load(small(devkit), "test", "segmentation")
  exam = exams.Examination(ByColour(), as_they_are, pictures, side, 128)
  counts = exam.confusion({})
  known = sum(int(np.sum(p.mask() != VOID)) for p in pictures.pictures)
  assert counts.sum() == known  # Padding and void count for nothing.
  assert np.trace(counts) >= least * known
  for i, found in enumerate(exam.predictions({}, range(6))):
    mask = pictures.pictures[i].mask()
    assert found.shape == mask.shape
    assert np.mean((found == mask)[mask != VOID]) >= least


def test_pictures_that_are_drawn_show_every_class() -> None:
  fake = collections.namedtuple("Fake", "labels")
  pictures = [fake(np.array(labels, int)) for labels in ([3], [3], [], [5, 3], [9], [9])]
  assert exams.varied(pictures, 3) == [0, 3, 4]
  assert exams.varied(pictures, 99) == [0, 1, 2, 3, 4, 5]


# Bad input


@pytest.mark.parametrize("fields, message", [
    ({"crop": 30, "model.padded": False}, "config.crop is 30, of which nothing is left after"),
    ({"data.edge": 64}, "config.data.edge is 64, but pictures are scaled by their longer side"),
    ({"model.family": "mlp"}, "fully connected, but VOC takes convolutions"),
    ({"model.image_shape": (28, 28, 1)}, r"1 channel\(s\), but those of VOC have 3"),
    ({"test_split": "val"}, "no list of 'val' for 'segmentation' but main"),
    ({"batch_size": 13}, "the training set has only 12 images"),
])
def test_what_cannot_be_is_one_sentence(
    devkit: pathlib.Path, tmp_path: pathlib.Path, fields: dict, message: str
) -> None:
  config = small(devkit)
  config.update_from_flattened_dict(fields)
  with pytest.raises(ValueError, match=message):
    fine_tuning.run(segmentation.JOB, config, str(tmp_path))
  assert not (tmp_path / "results.json").exists()

"""Tests of the segmentation job from a tiny devkit to its mean IU."""

import collections
import json
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from PIL import Image

from bigan_jax import checkpoints, jobs, judging
from bigan_jax.data import voc
from bigan_jax.objectives import Batch
from bigan_jax.transfer import canvas, fcn, scorers, voc_pictures, voc_segmentation
from bigan_jax.transfer import segmentation_exam as exams
from configs import voc_segmentation as config_file

VOID = scorers.VOID
COLOURS = {0: (60, 70, 60), 7: (230, 40, 40), 12: (40, 40, 230)}  # car and dog, on a lawn
SIZES = ((44, 32), (32, 44))
OBJECT = (
    "<object><name>{}</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>"
    "<xmax>9</xmax><ymax>9</ymax></bndbox></object>"
)
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


def add(root: pathlib.Path, number: int) -> str:
  """Writes one picture, its boxes and its mask."""
  name, (width, height) = f"{number:06}", SIZES[number % 3 % 2]
  mask = make_mask(number, width, height)
  pixels = np.zeros((height, width, 3), np.uint8)
  for label, colour in COLOURS.items():
    pixels[mask == label] = colour
  Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
  indexed = Image.fromarray(mask)
  indexed.putpalette(voc.colours().tobytes())
  indexed.save(root / "SegmentationClass" / f"{name}.png")
  text = OBJECT.format("car" if number % 4 < 2 else "dog")
  (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{text}</annotation>")
  return name


@pytest.fixture(scope="module")
def devkit(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """Twelve pictures to train on, six to test on."""
  root = tmp_path_factory.mktemp("voc") / "VOCdevkit" / "VOC2007"
  for folder in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Main",
                 "ImageSets/Segmentation"):
    (root / folder).mkdir(parents=True)
  names = [add(root, number) for number in range(18)]
  for task in ("Main", "Segmentation"):
    for split, part in (("trainval", names[:12]), ("test", names[12:])):
      (root / "ImageSets" / task / f"{split}.txt").write_text("\n".join(part))
  return root.parent


def small(devkit: pathlib.Path, argument: str = "fcn8s", **fields: object
          ) -> ml_collections.ConfigDict:
  config = config_file.get_config(f"{argument},size=small,source=random")
  config.data.path, config.data_dir = str(devkit), str(devkit.parent / "data_dir")
  config.update_from_flattened_dict({**SMALL, **fields})
  judging.validate(config)
  return config


def run(config: ml_collections.ConfigDict, path: pathlib.Path) -> dict:
  jobs.JOBS["voc_segmentation"](config, str(path))
  return json.loads((path / "results.json").read_text())


@pytest.fixture(scope="module")
def straight(devkit: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run that nothing stops."""
  path = tmp_path_factory.mktemp("straight")
  run(small(devkit), path)
  return path


def rows(path: pathlib.Path) -> list[dict]:
  found = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
  return [{k: v for k, v in row.items() if k != "evaluation_seconds"} for row in found]


# Whole runs


def test_it_learns_and_leaves_what_it_should(straight: pathlib.Path) -> None:
  found = json.loads((straight / "results.json").read_text())
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
  found = json.loads((straight / "results.json").read_text())
  assert rows(straight)[0]["mIU"] == found["chance"]


def test_it_draws_pictures_truths_and_predictions(straight: pathlib.Path) -> None:
  (file,) = (straight / "pictures" / "predictions").iterdir()
  assert int(file.stem) == 30
  pixels = np.asarray(Image.open(file))
  side = exams.THUMBNAIL + 1
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
  layers = [checkpoints.restore_network(str(p), "head")[0]["params"] for p in (tmp_path, straight)]
  jax.tree.map(np.testing.assert_array_equal, *layers)
  assert set(layers[0]) == {
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


# Canvases


def test_pictures_are_scaled_down_but_never_up() -> None:
  assert canvas.fit(500, 375, 500) == (375, 500) and canvas.fit(500, 20, 30) == (20, 30)
  assert canvas.fit(128, 375, 500) == (96, 128) and canvas.fit(10, 1, 500) == (1, 10)


def test_a_picture_lies_top_left_with_void_around() -> None:
  mask = make_mask(0, 44, 32)
  placed = canvas.place(mask, 50, VOID)
  np.testing.assert_array_equal(placed[:32, :44], mask)
  assert np.all(placed[32:] == VOID) and np.all(placed[:, 44:] == VOID)
  mirrored = canvas.place(mask, 50, VOID, mirror=True)
  np.testing.assert_array_equal(mirrored[:32, :44], mask[:, ::-1])
  image = np.random.RandomState(0).randint(0, 256, (32, 44, 3)).astype(np.uint8)
  np.testing.assert_array_equal(canvas.place(image, 44, 9)[:32], image)


def test_around_pictures_lies_what_is_nearest_to_0() -> None:
  """Of the 256 values that a pixel can have, in the range that the network sees."""
  for ends in ((-1.0, 1.0), (0.0, 1.0), (-2.0, 1.0), (-1.0, 0.0), (0.25, 1.0), (-3.0, -1.0)):
    seen = np.abs(np.linspace(*ends, 256))
    assert seen[canvas.blank(ends)] == pytest.approx(seen.min(), abs=1e-9)
  assert canvas.blank((-1.0, 1.0)) == 128


def test_scaled_masks_hold_classes_alone() -> None:
  placed = canvas.place(make_mask(0, 44, 32), 21, VOID)
  assert set(np.unique(placed)) == {0, 7, VOID}
  assert np.all(placed[:15, :9] == 0) and np.all(placed[:15, 12:] == 7)


def test_places_undo_the_scaling() -> None:
  np.testing.assert_array_equal(canvas.places(5, 5, 7), [0, 1, 2, 3, 4, 4, 4])
  np.testing.assert_allclose(canvas.places(4, 2, 4), [-0.25, 0.25, 0.75, 1.25])


def test_a_batch_mirrors_pictures_with_their_masks(devkit: pathlib.Path) -> None:
  pictures = voc_pictures.load(small(devkit), "trainval", "segmentation")
  keys, mirrored = ((1, 2), (3, 4)), 0
  images, masks = canvas.batch(pictures, 44, 9, True, 12, keys, 0)
  chosen = voc_pictures.indices(keys, 0, 12, 12)
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
  found = voc_segmentation.cross_entropy(logits, masks)
  losses, right = [0.0], [0.0]  # of the picture that is void
  for n in range(2):
    pairs = [(logits[n, i, j], masks[n, i, j]) for i in range(4) for j in range(5)
             if masks[n, i, j] != VOID]
    losses.append(np.mean([np.log(np.sum(np.exp(l))) - l[m] for l, m in pairs]))
    right.append(100 * np.mean([np.argmax(l) == m for l, m in pairs]))
  np.testing.assert_allclose(found["loss"], np.mean(losses), rtol=1e-5)
  np.testing.assert_allclose(found["pixel_accuracy"], np.mean(right), rtol=1e-5)
  logits[0, 1:], logits[2] = 9, -9
  assert voc_segmentation.cross_entropy(logits, masks)["loss"] == found["loss"]


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
  pictures = voc_pictures.load(small(devkit), "test", "segmentation")
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
    voc_segmentation.run(config, str(tmp_path))
  assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("fields, message", [
    ({"stride": 4}, "config.stride is 4, but scores can be 32, 16 or 8 pixels apart"),
    ({"model.kernel": 0}, "config.model.kernel is 0, but must be at least 1"),
    ({"crop": -1}, "config.crop is -1"),
])
def test_fields_out_of_range(fields: dict, message: str) -> None:
  config = config_file.get_config()
  config.update_from_flattened_dict({"encoder": "RUN", **fields})
  with pytest.raises(ValueError, match=message):
    judging.validate(config)


def test_the_variants() -> None:
  full, reduced = config_file.get_config(), config_file.get_config("fcn8s,size=small")
  assert (full.stride, full.crop, full.model.hidden, full.data.year) == (
      32, 500, (4096, 4096), 2012
  )
  assert (reduced.stride, reduced.data.year, reduced.test_split) == (8, 2007, "test")
  assert full.model.padded and reduced.model.padded  # As the encoder.
  score = fcn.grids(full.crop, full.model.kernel, full.model.padded)["score"]
  assert score.first <= 0 and score.first + score.step * (score.count - 1) >= full.crop - 32
  for wrong in ("fcn4s", "size=tiny", "source=mine"):
    with pytest.raises(ValueError, match="choose|did you mean"):
      config_file.get_config(wrong)

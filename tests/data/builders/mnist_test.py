"""Tests of the MNIST and Fashion-MNIST builders, on tiny IDX files served from this machine."""

import gzip
import pathlib
import struct

import numpy as np
import pytest
from tensorflow_datasets.image_classification import mnist as stock

from bigan_jax.data import sources
from bigan_jax.data.builders import mnist

SIZES = {"train": 12, "t10k": 5}


def write_idx(path: pathlib.Path, array: np.ndarray) -> None:
  header = struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape)
  path.write_bytes(gzip.compress(header + array.tobytes()))


def write_files(directory: pathlib.Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Four files as the official ones, smaller; returns (images, labels) by prefix."""
  random, written = np.random.RandomState(0), {}
  for prefix, size in SIZES.items():
    images = random.randint(0, 256, (size, 28, 28)).astype(np.uint8)
    labels = (np.arange(size) % 10).astype(np.uint8)
    write_idx(directory / f"{prefix}-images-idx3-ubyte.gz", images)
    write_idx(directory / f"{prefix}-labels-idx1-ubyte.gz", labels)
    written[prefix] = images, labels
  return written


def pairs(images: np.ndarray, labels: np.ndarray) -> list[tuple[int, bytes]]:
  return sorted((int(label), image.tobytes()) for image, label in zip(images, labels))


@pytest.mark.parametrize("cls", [mnist.Mnist, mnist.FashionMnist])
def test_download_and_prepare(
    cls: type[mnist.Mnist],
    server: tuple[str, pathlib.Path],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
  url, folder = server
  written = write_files(folder)
  monkeypatch.setattr(cls, "URL", url)
  builder = cls(data_dir=tmp_path / "tfds", file_format="array_record")
  builder.download_and_prepare()
  for split, prefix in (("train", "train"), ("test", "t10k")):
    examples = list(builder.as_data_source(split))
    assert examples[0]["image"].shape == (28, 28, 1)
    stored = pairs([e["image"] for e in examples], [e["label"] for e in examples])
    assert stored == pairs(*written[prefix])


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_split_is_that_of_the_files_shuffled_by_the_authors_seed(
    name: str,
    server: tuple[str, pathlib.Path],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
  """Reference section 8. TFDS stores the images in an order of its own."""
  url, folder = server
  images, labels = write_files(folder)["train"]
  cls = {"mnist": mnist.Mnist, "fashion_mnist": mnist.FashionMnist}[name]
  monkeypatch.setattr(cls, "URL", url)
  order = np.random.RandomState(42).permutation(12)
  for splits, used in (("validation", order[:10]), ("test", order)):
    train, judged = sources.load_experiment(name, splits, str(tmp_path))
    np.testing.assert_array_equal(train.images[..., 0], images[used])
    np.testing.assert_array_equal(train.labels, labels[used])
    assert len(judged.labels) == (2 if splits == "validation" else 5)
  assert sources.load(name, "train", str(tmp_path)).images.tobytes() != images.tobytes()


@pytest.mark.parametrize(
    "ours, theirs", [(mnist.Mnist, stock.MNIST), (mnist.FashionMnist, stock.FashionMNIST)]
)
def test_name_version_and_features_are_the_stock_ones(
    ours: type, theirs: type, tmp_path: pathlib.Path
) -> None:
  ours, theirs = ours(data_dir=tmp_path), theirs(data_dir=tmp_path)
  assert ours.info.full_name == theirs.info.full_name
  assert ours.data_dir == theirs.data_dir
  assert ours.URL == theirs.URL
  assert ours.info.features.to_json() == theirs.info.features.to_json()
  assert ours.info.features["label"].names == theirs.info.features["label"].names


def test_counts_must_match(tmp_path: pathlib.Path) -> None:
  write_files(tmp_path)
  builder = mnist.Mnist(data_dir=tmp_path / "tfds")
  paths = tmp_path / mnist.FILES[0], tmp_path / mnist.FILES[3]
  with pytest.raises(ValueError, match="12 images but .* 5 labels"):
    next(builder._generate_examples(*paths))


def test_read_idx_names_a_damaged_file(tmp_path: pathlib.Path) -> None:
  path = tmp_path / "x.gz"
  write_idx(path, np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
  assert mnist.read_idx(path)[1, 2, 3] == 23
  whole = path.read_bytes()
  truncated_inside = gzip.compress(gzip.decompress(whole)[:-5])
  for damaged in (b"", whole[:-12], b"<html>", gzip.compress(b"text"), truncated_inside):
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="x.gz is no gzipped IDX file"):
      mnist.read_idx(path)

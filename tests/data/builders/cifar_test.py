"""Tests of the CIFAR builders, on small archives of the official form."""

import io
import pathlib
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.image_classification import cifar as stock

from bigan_jax.data import sources
from bigan_jax.data.builders import cifar

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def record(image: np.ndarray, *labels: int) -> bytes:
  """As in the official files: labels, then red, green and blue of all pixels."""
  return bytes(labels) + image.transpose(2, 0, 1).tobytes()


def archive(files: dict[str, bytes]) -> bytes:
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
    for name, content in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(content)
      tar.addfile(member, io.BytesIO(content))
  return buffer.getvalue()


@pytest.fixture
def served(server: tuple[str, pathlib.Path], monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
  """The folder that the archives come from."""
  url, folder = server
  for cls in (cifar.Cifar10, cifar.Cifar100):
    monkeypatch.setattr(cls, "URL", url + cls.URL.rpartition("/")[2])
  return folder


def images(count: int) -> np.ndarray:
  return np.random.RandomState(0).randint(0, 256, (count, 32, 32, 3)).astype(np.uint8)


def test_cifar10(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
  drawn = images(6)
  files = {f"data_batch_{i + 1}.bin": record(drawn[i], i) for i in range(5)}
  files |= {"test_batch.bin": record(drawn[5], 9), "batches.meta.txt": "\n".join(NAMES).encode()}
  files = {f"cifar-10-batches-bin/{name}": content for name, content in files.items()}
  (served / "cifar-10-binary.tar.gz").write_bytes(archive(files))
  train, test = sources.load_experiment("cifar10", "test", str(tmp_path))
  assert test.labels.tolist() == [9] and train.about.classes == NAMES
  np.testing.assert_array_equal(test.images[0], drawn[5])
  np.testing.assert_array_equal(train.images[np.argsort(train.labels)], drawn[:5])
  builder = tfds.builder_from_directory(str(tmp_path / "cifar10" / "3.0.2"))
  ids = {example["id"] for example in builder.as_data_source("train")}
  assert ids == {b"train_00000", b"train_00001", b"train_00002", b"train_00003", b"train_00004"}


def test_cifar100_is_judged_by_fine_labels(served: pathlib.Path, tmp_path: pathlib.Path) -> None:
  drawn = images(2)
  files = {
      "train.bin": record(drawn[0], 3, 77), "test.bin": record(drawn[1], 4, 99),
      "coarse_label_names.txt": "\n".join(f"c{i}" for i in range(20)).encode(),
      "fine_label_names.txt": "\n".join(f"f{i}" for i in range(100)).encode(),
  }
  files = {f"cifar-100-binary/{name}": content for name, content in files.items()}
  (served / "cifar-100-binary.tar.gz").write_bytes(archive(files))
  train, test = sources.load_experiment("cifar100", "test", str(tmp_path))
  assert (train.labels.tolist(), test.labels.tolist(), train.num_classes) == ([77], [99], 100)


@pytest.mark.parametrize("content, sentence", [
    (b"no archive", "is not the official archive"),
    (archive({"else": b""}), "is not the official archive .*batches.meta.txt"),
    (archive({"cifar-10-batches-bin/batches.meta.txt": "\n".join(NAMES).encode(),
              "cifar-10-batches-bin/data_batch_1.bin": b"short"}), "holds 5 bytes, no multiple"),
], ids=["junk", "incomplete", "short"])
def test_a_damaged_archive_is_one_sentence(
    content: bytes, sentence: str, served: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  (served / "cifar-10-binary.tar.gz").write_bytes(content)
  with pytest.raises(OSError, match=f"Preparing cifar10 under .* failed: .*{sentence}"):
    sources.load("cifar10", "train", str(tmp_path))


def test_the_official_archive_is_known_by_its_checksum(tmp_path: pathlib.Path) -> None:
  manual = tmp_path / "downloads" / "manual"
  manual.mkdir(parents=True)
  (manual / "cifar-100-binary.tar.gz").write_bytes(b"another")
  with pytest.raises(OSError, match="Preparing cifar100 under .* failed: .*wrong checksum"):
    sources.load("cifar100", "train", str(tmp_path))


@pytest.mark.parametrize("cls, original", [
    (cifar.Cifar10, stock.Cifar10), (cifar.Cifar100, stock.Cifar100),
])
def test_name_and_version_are_the_stock_ones(cls: type, original: type) -> None:
  assert (str(cls.VERSION), cls.name) == (str(original.VERSION), original.name)

"""Tests of the real program: it answers at once, and bad input with one sentence alone."""

from collections.abc import Callable, Iterator
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import jax
import ml_collections
import numpy as np
import pytest

from bigan_jax.settings import program
from bigan_jax.transfer import jobs
from configs import image_folder

Tiny = Callable[..., ml_collections.ConfigDict]
ROOT = pathlib.Path(__file__).parents[1]
DIGITS = "--config=configs/digits.py"


def run(
    *flags: str, cwd: pathlib.Path = ROOT, python: pathlib.Path | str = sys.executable,
    **environment: str,
) -> subprocess.CompletedProcess:
  """The program, as a user starts it."""
  environment = os.environ | environment
  command = [python, "-m", "bigan_jax.main", *flags]
  return subprocess.run(
      command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
  )


def sentence(process: subprocess.CompletedProcess) -> str:
  """The one line that a program which failed leaves on stderr."""
  assert process.returncode == 1 and "Traceback" not in process.stdout + process.stderr
  lines = process.stderr.strip().splitlines()
  assert len(lines) == 1, process.stderr
  found = re.fullmatch(r"main\.py: (\S.*\S)", lines[0])
  assert found and len(found[1]) < 800
  return found[1]


@contextlib.contextmanager
def at_once() -> Iterator[None]:
  """Within it ended child processes take less than 3 seconds of a core, however busy that is."""
  began = sum(os.times()[2:4])
  yield
  assert sum(os.times()[2:4]) - began < 3


def test_help_comes_at_once() -> None:
  with at_once():
    help_text = run("--help").stdout
  for part in ("configs/digits.py", "--config", "--workdir"):
    assert part in help_text


def test_help_lists_the_fields_of_a_config() -> None:
  with at_once():
    process = run("--help", "--config", "mnist:gan")
  assert process.returncode == 0
  for part in ("--coordinator_timeout", "fields of ", "objective='gan'", "optim.rate=0.0002",
               "constant and decaying together"):
    assert part in process.stdout


@pytest.mark.parametrize("words", [["--help"], ["--config=digits", "--help"]])
def test_help_imports_no_jax(words: list[str]) -> None:
  code = (
      f"import sys, runpy; sys.argv = ['main', *{words}]\n"
      "try: runpy.run_module('bigan_jax.main', run_name='__main__')\n"
      "except SystemExit: pass\n"
      "print(sorted({'jax', 'flax', 'tensorflow_datasets', 'numpy'} & set(sys.modules)))"
  )
  printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
  assert printed.stdout.splitlines()[-1] == "[]"


WRONG_FLAGS = {
    "an unknown field": ([DIGITS, "--config.epoch=3"], "field 'epoch': did you mean 'epochs'?"),
    "one within": ([DIGITS, "--config.model.G.widht=3"], "in config.model.G: did you mean 'width'"),
    "a field like no other": ([DIGITS, "--config.zzz=3"], "Unknown config field 'zzz'"),
    "an unknown flag": ([DIGITS, "--confg.epochs=3"], "did you mean --config.epochs?"),
    "an unknown variant": ([DIGITS + ":bigann"], "Unknown variant 'bigann': did you mean 'bigan'?"),
    "an unknown recipe": ([DIGITS + ":recipe=offical"], "did you mean 'official'?"),
    "a recipe as a field": ([DIGITS, "--config.recipe=official"], "after the colon"),
    "an unknown config": (["--config=configs/minst.py"], "did you mean 'mnist'?"),
    "no config": ([], "--config is missing: write --config=VALUE."),
    "epochs below zero": ([DIGITS, "--config.epochs=-1"], "config.epochs is -1, but must be"),
    "epochs that are no number": ([DIGITS, "--config.epochs=many"], "--config.epochs=many"),
    "a rate of zero": ([DIGITS, "--config.optim.rate=0"], "config.optim.rate is 0.0, but must be"),
    "many": (["--config=neighbours", "--config.encoder=R", "--distributed"], "--distributed out"),
    "a rate that is no number": ([DIGITS, "--config.optim.rate=nan"], "optim.rate is nan, but"),
    "no latent": ([DIGITS, "--config.model.latent_dim=0"], "config.model.latent_dim is 0, but"),
    "a tiny batch": ([DIGITS, "--config.batch_size=1"], "config.batch_size is 1, but must be"),
}


@pytest.mark.parametrize("case", WRONG_FLAGS)
def test_a_wrong_flag_is_answered_in_one_sentence(case: str, tmp_path: pathlib.Path) -> None:
  flags, expected = WRONG_FLAGS[case]
  with at_once():
    assert expected in sentence(run(*flags, f"--workdir={tmp_path}/run"))
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("config", ["digits", "linear_probe", "frozen_layers"])
def test_a_workdir_that_is_a_file(tmp_path: pathlib.Path, config: str) -> None:
  """Or lies in one."""
  (tmp_path / "file").write_text("precious")
  place = tmp_path / "file" / ("run" if config == "digits" else "")
  said = sentence(run(f"--workdir={place}", f"--config={config}"))
  assert said == f"--workdir={place}: {tmp_path}/file is a file; name a folder, new or of a run."


def test_a_missing_workdir_is_named() -> None:
  assert "--workdir is missing: write --workdir=VALUE." == sentence(run(DIGITS))


def test_an_argument_that_is_no_flag_is_refused(tmp_path: pathlib.Path) -> None:
  said = sentence(run(DIGITS, f"--workdir={tmp_path}/run", "epochs=3"))
  assert said == "Unexpected argument 'epochs=3': flags begin with --."
  assert not (tmp_path / "run").exists()


def test_a_traceback_is_shown_on_demand(tmp_path: pathlib.Path) -> None:
  process = run(DIGITS, f"--workdir={tmp_path}/run", "--config.epochs=-1", "--traceback")
  assert process.returncode == 1 and "Traceback (most recent call last)" in process.stderr
  assert process.stderr.splitlines()[-1].startswith("ValueError: config.epochs is -1")


# The following need jax; the others of their kind are tested in this process below.


def test_a_batch_that_does_not_divide_over_devices(
    forked_python: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  flags = (DIGITS, f"--workdir={tmp_path}/run", "--config.batch_size=130")
  four = "--xla_force_host_platform_device_count=4"
  process = run(*flags, python=forked_python, XLA_FLAGS=four)
  assert "does not divide over 4 devices: take a multiple of 4" in sentence(process)
  assert not (tmp_path / "run").exists()


def test_a_missing_data_set_offline(forked_python: pathlib.Path, tmp_path: pathlib.Path) -> None:
  """Nothing listens on the port of the proxy: as if there were no network."""
  nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9") | {"no_proxy": ""}
  data = tmp_path / "data"
  flags = ["--config=configs/mnist.py", f"--workdir={tmp_path}/run"]
  began = time.monotonic()
  message = sentence(run(*flags, python=forked_python, TFDS_DATA_DIR=str(data), **nowhere))
  assert time.monotonic() - began < 20
  assert f"mnist is not prepared under {data}" in message and "TFDS_DATA_DIR" in message
  assert "train-images-idx3-ubyte.gz" in message and f"{data}/downloads/manual" in message
  assert not data.exists() and not (tmp_path / "run").exists()


def test_infinity_in_training(
    tiny_flags: list[str], forked_python: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  """The squares of such pixels overflow."""
  variant = f"{DIGITS}:autoencoder_l2"
  process = run(
      variant, *tiny_flags, "--config.model.value_range=(0.,3e38)", f"--workdir={tmp_path}",
      python=forked_python,
  )
  assert process.returncode == 1 and "Traceback" not in process.stderr
  last = process.stderr.strip().splitlines()[-1]
  found = re.search(r"main.py: Training met NaN or infinity in (\S+) at step 0; .* lower", last)
  assert found and found[1].startswith("loss/")
  assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["00000000"]
  rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  assert [row["step"] for row in rows] == [0] and rows[0]["EGr"] is None  # Strict JSON.


def test_a_config_is_found_from_another_folder(tmp_path: pathlib.Path) -> None:
  message = sentence(run(DIGITS, "--workdir=run", "--config.epochs=-1", cwd=tmp_path))
  assert message.startswith("config.epochs is -1")
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [
    ["--config", "sub/a b.py"], ["--config=sub/a b.py"], ["--config", "sub/a b:gan"],
])
def test_a_config_of_one_s_own_is_found_from_where_one_is(
    tmp_path: pathlib.Path, words: list[str]
) -> None:
  (tmp_path / "sub").mkdir()
  own = tmp_path / "sub" / "a b.py"
  text = (ROOT / "configs" / "digits.py").read_text()
  own.write_text(text.replace("config.epochs = 200", "config.epochs = -7"))
  message = sentence(run(*words, "--workdir=run", cwd=tmp_path))
  assert message == "config.epochs is -7, but must be at least 0."


def test_a_batch_beyond_the_set(
    tiny: Tiny, tmp_path: pathlib.Path
) -> None:
  config = tiny()
  config.batch_size = 1251
  with pytest.raises(ValueError, match="is 1251, but the training set has only 1250 images"):
    jobs.train(config, str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()


def test_images_that_G_cannot_make_are_refused_before_pictures_are_read(
    tmp_path: pathlib.Path
) -> None:
  config = image_folder.get_config()
  config.model.image_shape = config.model.encoder_shape = (48, 48, 3)
  with pytest.raises(ValueError, match="cannot make images of 48 x 48 pixels: choose a square of"):
    jobs.train(config, str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()


def test_a_data_set_of_other_images(
    tiny: Tiny, tmp_path: pathlib.Path
) -> None:
  config = tiny()
  config.model.image_shape = config.model.encoder_shape = (28, 28, 1)
  with pytest.raises(ValueError, match=r"but the images of digits are \(8, 8, 1\)"):
    jobs.train(config, str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name, value, expected", [
    ("data.name", "digitz", "No data set is called 'digitz' .did you mean 'digits'"),
    ("data.splits", "training", "splits is 'training': choose from validation, test"),
])
def test_a_wrong_data_section(
    tiny: Tiny, tmp_path: pathlib.Path, name: str, value: str,
    expected: str,
) -> None:
  config = tiny()
  config.update_from_flattened_dict({name: value})
  with pytest.raises(ValueError, match=expected):
    jobs.train(config, str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()


def test_a_workdir_that_cannot_be_written(tiny: Tiny, tmp_path: pathlib.Path) -> None:
  """A file in its place, or above it: not even root can write there."""
  (tmp_path / "file").write_text("precious")
  for place in ("file", "file/run"):
    with pytest.raises(OSError, match=f"cannot write to {tmp_path}/{place} .*another --workdir"):
      jobs.train(tiny(), str(tmp_path / place))
  assert [p.read_text() for p in tmp_path.iterdir()] == ["precious"]


def test_a_workdir_of_something_else(tiny: Tiny, tmp_path: pathlib.Path) -> None:
  (tmp_path / "thesis.tex").write_text("precious")
  with pytest.raises(ValueError, match="not a run folder; choose an empty or new --workdir"):
    jobs.train(tiny(), str(tmp_path))
  assert [p.read_text() for p in tmp_path.iterdir()] == ["precious"]


def test_a_workdir_of_another_experiment(
    tiny: Tiny,
    tmp_path: pathlib.Path,
) -> None:
  saved = tiny()
  saved.epochs = 0  # Only the networks before training.
  jobs.train(saved, str(tmp_path))
  before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
  other = tiny("gan")
  other.epochs, other.optim.rate = 0, 0.001
  with pytest.raises(ValueError) as error:
    jobs.train(other, str(tmp_path))
  for part in ('objective is "bigan" there and "gan" here', "optim.rate is 0.0002 there and 0.001"):
    assert part in str(error.value)
  assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
  jobs.train(saved, str(tmp_path))  # The run itself goes on.
  assert np.isfinite(json.loads((tmp_path / "metrics.jsonl").read_text())["NND"])


@pytest.mark.parametrize("error, expected", [
    (ValueError("x is 3: take 4."), "x is 3: take 4."),
    (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nand more"),
     "Out of memory (RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.): in training low"),
    (MemoryError("Unable to allocate 8 EiB"), "Out of memory (Unable to allocate 8 EiB): in train"),
])
def test_what_a_user_can_mend_is_a_sentence(error: Exception, expected: str) -> None:
  found = program.remedy(error)
  assert found.startswith(expected) and "\n" not in found


def test_what_nobody_can_mend_is_none() -> None:
  assert program.remedy(RuntimeError("generator ignored GeneratorExit")) is None


def test_devices_out_of_memory_are_known() -> None:
  with pytest.raises(RuntimeError) as error:
    jax.numpy.zeros(1 << 50).block_until_ready()
  assert program.remedy(error.value).startswith("Out of memory (RESOURCE_EXHAUSTED")

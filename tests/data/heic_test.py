"""Pictures from telephones, where a stand-in for pillow-heif is installed."""

import os
import pathlib
import subprocess
import sys

from PIL import Image
import pytest

HEADER = b"\0\0\0\x18ftypheic"
STAND_IN = '''
import io
from PIL import Image
import pytest

def register_heif_opener():
  def opened(file, name=None):
    picture = Image.open(io.BytesIO(file.read()[12:]), formats=["PNG"])
    picture.format = "HEIF"
    return picture
  Image.register_open("HEIF", opened, lambda start: start[4:12] == b"ftypheic")
'''
CODE = '''
import sys
from bigan_jax.data import codec, files, folders, sources, survey
folder = sys.argv[1]
train, judged = sources.load_experiment("image_folder", "validation", folder + "-data", folder,
                                        edge=12)
how = files.View(edge=12, shape=(12, 12, 3), value_range=(-1.0, 1.0))
print(files.read(folder + "/a/1.HEIC", how)[0, 0].tolist())
print(survey.line(train.about))
'''


def test_heic_is_read_where_its_reader_is_installed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
  (tmp_path / "pillow_heif.py").write_text(STAND_IN)
  for name in ("a/0.png", "a/1.HEIC", "b/2.heif", "b/3.jpg", "b/4.heic"):
    place = tmp_path / "mine" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), (10, 200, 30)).save(place, "PNG")
    if place.suffix not in (".png", ".jpg"):
      place.write_bytes(HEADER + place.read_bytes())
  done = subprocess.run(
      [sys.executable, "-c", CODE, tmp_path / "mine"], text=True, capture_output=True, check=True,
  )
  pixel, line = done.stdout.splitlines()[-2:]
  assert pixel == "[10, 200, 30]"
  assert line == (
      f"train: 4 pictures of 2 classes, judged by 1 other, from {tmp_path / 'mine'}"
  )

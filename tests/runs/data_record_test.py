"""Going on with a run after its data changed, knowingly or not."""

import json
import pathlib

import pytest

from bigan_jax.runs import data_record, workdir

BEFORE = {"name": "image_folder", "train": 1_800, "judged": 200, "classes": ["cat", "dog"],
          "contents": "a"}


def agree(path: pathlib.Path, found: dict, accept: bool = False) -> None:
  with workdir.open_run(str(path), {"seed": 1}) as run:
    run.agree_on_data(found, accept)


def test_the_same_data_go_on(tmp_path: pathlib.Path) -> None:
  agree(tmp_path, BEFORE)
  agree(tmp_path, BEFORE)
  assert json.loads((tmp_path / data_record.DATA).read_text()) == BEFORE


@pytest.mark.parametrize("change, said", [
    ({"train": 1_900}, "pictures to train on: 1,800 then, 1,900 now"),
    ({"judged": 2}, "pictures to judge by: 200 then, 2 now"),
    ({"classes": ["bird", "cat", "dog"]}, r"1 class new \(bird\)"),
    ({"classes": []}, r"2 classes gone \(cat, dog\)"),
    ({"contents": "b"}, "names, sizes or places of pictures differ"),
])
def test_other_data_are_one_sentence_or_accepted(
    tmp_path: pathlib.Path, change: dict, said: str
) -> None:
  agree(tmp_path, BEFORE)
  with pytest.raises(ValueError, match=f"data changed since .*{said}; .*data.accept_change"):
    agree(tmp_path, BEFORE | change)
  agree(tmp_path, BEFORE | change, accept=True)
  agree(tmp_path, BEFORE | change)


def test_a_run_without_a_record_gets_one_and_a_damaged_one_is_told(tmp_path: pathlib.Path) -> None:
  workdir.open_run(str(tmp_path), {"seed": 1}).close()
  agree(tmp_path, BEFORE)
  (tmp_path / data_record.DATA).write_text("{")
  with pytest.raises(ValueError, match="data.json is damaged"):
    agree(tmp_path, BEFORE)

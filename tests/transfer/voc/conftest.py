"""The encoder that the jobs on PASCAL VOC are tried with."""

from collections.abc import Callable

import pytest

from tests.run_folders import alexnet


@pytest.fixture(scope="module")
def encoder(saved_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> str:
  """A narrow AlexNet's run folder."""
  path = tmp_path_factory.mktemp("encoder")
  saved_run(alexnet(), path, step=7)
  return str(path)

"""Nothing here is held to numbers of programs that were compiled otherwise."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _quick(quick_compilation: None) -> None:
  """Of every file in this folder."""

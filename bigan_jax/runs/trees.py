"""States as arrays by their paths, and back into a structure that must be the same."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

PyTree = Any


def flatten(state: PyTree) -> dict[str, np.ndarray]:
  """{path: array}: orbax would restore a tree of another structure without a word."""
  leaves = jax.tree_util.tree_leaves_with_path(state)
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def unflatten(template: PyTree, arrays: Mapping[str, np.ndarray], source: str) -> PyTree:
  """The arrays in the structure of a template; ValueError names the first that does not fit."""
  leaves, structure = jax.tree_util.tree_flatten_with_path(template)
  expected = {jax.tree_util.keystr(path): describe(leaf) for path, leaf in leaves}
  found = {name: describe(array) for name, array in arrays.items()}
  for name in [*expected, *sorted(found.keys() - expected.keys())]:
    if found.get(name) != expected.get(name):
      raise ValueError(
          f"{source} holds {found.get(name, 'nothing')} as {name}, where this configuration has "
          f"{expected.get(name, 'nothing')}; use another --workdir or the configuration that the "
          "run was started with.")
  return jax.tree.unflatten(structure, [arrays[name] for name in expected])


def describe(leaf: Any) -> str:
  """float32[3, 4]."""
  leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
  return f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"

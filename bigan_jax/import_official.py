"""Maps the arrays of the authors' released weight files to the variables of our networks and back.

A file lists one network's arrays in the order of its layers (reference section 2): linear weight,
projection of z, then the batch norm's count, sum of means, sum of variances, gain and shift.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import chex
import numpy as np

Turn = Callable[[np.ndarray], np.ndarray]


class Layout(NamedTuple):
  """How an array is turned from the authors' layout into ours, and back."""

  ours: Turn
  theirs: Turn


class Row(NamedTuple):
  """One array of a file: its place in our variables, its shape in the file, its layout.

  shape: sizes in the authors' layout; a name stands for any size, the same wherever it is used.
  """

  collection: str
  layer: str
  leaf: str
  shape: tuple[int | str, ...]
  layout: Layout

  def __str__(self) -> str:
    return f"{self.layer}/{self.leaf}"


SAME = Layout(np.asarray, np.asarray)


def linear(layer: str, inputs: int | str, units: int | str, layout: Layout = SAME) -> Row:
  """A linear layer's weights, (in, out) in both layouts."""
  return Row("params", layer, "kernel", (inputs, units), layout)


def norm(layer: str, channels: int | str) -> tuple[Row, ...]:
  """A batch norm's calibration sums: count, means, unbiased variances."""
  return (
      Row("batch_stats", layer, "count", (), SAME),
      Row("batch_stats", layer, "mean", (channels,), SAME),
      Row("batch_stats", layer, "var", (channels,), SAME),
  )


# Sizes: x pixels of an image, z of the latent, g, e and d the hidden layers of each network.
MLP = {
    "G": (
        linear("fc1", "z", "g1"),
        *norm("fc1_bn", "g1"),
        linear("fc2", "g1", "g2"),
        linear("fc2_z", "z", "g2"),
        *norm("fc2_bn", "g2"),
        linear("out", "g2", "x"),
    ),
    "E": (
        linear("fc1", "x", "e1"),
        linear("fc2", "e1", "e2"),
        *norm("fc2_bn", "e2"),
        linear("out", "e2", "z"),
    ),
    "D": (
        linear("fc1", "x", "d1"),
        linear("fc2", "d1", "d2"),
        linear("fc2_z", "z", "d2"),
        *norm("fc2_bn", "d2"),
        linear("out", "d2", 1),
    ),
}
FAMILIES = {"mlp": MLP}


def to_variables(
    arrays: Mapping[str, Sequence[np.ndarray]], family: str
) -> dict[str, chex.ArrayTree]:
  """Our variables from the authors' arrays.

  Args:
    arrays: {player: arrays in the order of its file}, for any of G, E and D; D's number of arrays
      tells a joint discriminator from a plain one.
    family: "mlp".

  Returns:
    {player: {"params": ..., "batch_stats": ...}}, float32, for networks of the official recipe.

  Raises:
    ValueError: the number of a network's arrays, or the shape of one, is not the family's.
  """
  sizes: dict[str, int] = {}
  return {p: _variables(p, arrays[p], _rows(p, len(arrays[p]), family), sizes) for p in arrays}


def to_official(
    variables: Mapping[str, chex.ArrayTree], family: str
) -> dict[str, list[np.ndarray]]:
  """The inverse of `to_variables`: {player: arrays in the order of its file}, float32.

  Raises:
    ValueError: a network has other arrays than the authors' files have a place for, as those of
      the paper's recipe do.
  """
  return {p: _arrays(p, v, family) for p, v in variables.items()}


def _rows(player: str, count: int, family: str) -> tuple[Row, ...]:
  """The table of `player` that has `count` rows."""
  tables = _tables(player, family)
  for rows in tables.values():
    if len(rows) == count:
      return rows
  expected = " or ".join(f"{len(rows)} ({kind})" for kind, rows in tables.items())
  raise ValueError(
      f"{player} of family {family!r} should have {expected} arrays, found {count}: "
      "pass every array of the authors' file, in its order."
  )


def _tables(player: str, family: str) -> dict[str, tuple[Row, ...]]:
  """The tables that a player may follow; a plain D is the joint one without projections of z."""
  rows = FAMILIES[family][player]
  if player != "D":
    return {player: rows}
  return {"joint": rows, "plain": tuple(row for row in rows if not row.layer.endswith("_z"))}


def _variables(
    player: str, arrays: Sequence[np.ndarray], rows: tuple[Row, ...], sizes: dict[str, int]
) -> dict[str, chex.ArrayTree]:
  """One network's variables; `sizes` gathers what the names in shapes stand for."""
  variables: dict[str, chex.ArrayTree] = {"params": {}, "batch_stats": {}}
  for index, (row, array) in enumerate(zip(rows, arrays, strict=True)):
    array = np.asarray(array, np.float32)
    expected = tuple(sizes.get(size, size) for size in row.shape)
    if len(expected) != array.ndim or any(
        isinstance(e, int) and e != found for e, found in zip(expected, array.shape, strict=True)
    ):
      raise ValueError(
          f"array {index} of {player} ({row}) should have shape ({', '.join(map(str, expected))}) "
          f"after the arrays before it, found {array.shape}: "
          "check the family, the order of the file and that the files belong together."
      )
    sizes.update((name, n) for name, n in zip(row.shape, array.shape) if isinstance(name, str))
    variables[row.collection].setdefault(row.layer, {})[row.leaf] = row.layout.ours(array)
  return variables


def _arrays(player: str, variables: chex.ArrayTree, family: str) -> list[np.ndarray]:
  """One network's arrays in the order of its file."""
  places = {
      (collection, layer, leaf)
      for collection, layers in variables.items()
      for layer, leaves in layers.items()
      for leaf in leaves
  }
  for rows in _tables(player, family).values():
    if places == {row[:3] for row in rows}:
      return [
          row.layout.theirs(np.asarray(variables[row.collection][row.layer][row.leaf], np.float32))
          for row in rows
      ]
  differ = sorted("/".join(p) for p in places.symmetric_difference(row[:3] for row in rows))
  raise ValueError(
      f"{player} differs from the authors' network of family {family!r} in {', '.join(differ)}: "
      "only networks of the official recipe fit their files."
  )

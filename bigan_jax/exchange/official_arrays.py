"""Maps the arrays of the authors' released weight files to the variables of our networks and back.

A file lists one network's arrays in the order of its layers (reference section 2): linear weight,
projection of z, then the batch norm's count, sum of means, sum of variances, gain and shift.
"""

from collections.abc import Callable, Mapping, Sequence
import math
from typing import NamedTuple

import chex
import numpy as np

Turn = Callable[[np.ndarray], np.ndarray]
Size = int | str | tuple[int, str]


class Layout(NamedTuple):
  """How an array is turned from the authors' layout into ours, and back."""

  ours: Turn
  theirs: Turn


class Row(NamedTuple):
  """One array of a file: its place in our variables, its shape in the file, its layout.

  shape: in the authors' layout. A name stands for any size, the same wherever it is used; a pair
    (n, name) is n times that size.
  """

  collection: str
  layer: str
  leaf: str
  shape: tuple[Size, ...]
  layout: Layout


def rows_of_maps(side: Callable[[int], int]) -> Layout:
  """Rows for flattened maps: theirs in the order (channel, row, column), ours channel last.

  Args:
    side: of the square maps, from the number of rows.
  """
  def ours(w: np.ndarray) -> np.ndarray:
    s = side(len(w))
    return np.moveaxis(w.reshape(-1, s, s, *w.shape[1:]), 0, 2).reshape(w.shape)
  def theirs(w: np.ndarray) -> np.ndarray:
    s = side(len(w))
    return np.moveaxis(w.reshape(s, s, -1, *w.shape[1:]), 2, 0).reshape(w.shape)
  return Layout(ours, theirs)


SAME = Layout(np.asarray, np.asarray)
# (out, in, k, k), and (in, out, k, k) of a transpose; they convolve, we correlate: flipped.
KERNEL = Layout(
    lambda w: w[:, :, ::-1, ::-1].transpose(2, 3, 1, 0),
    lambda w: w.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1],
)
ROWS_4X4 = rows_of_maps(lambda rows: 4)
ROWS_256 = rows_of_maps(lambda rows: math.isqrt(rows // 256))  # of 256 channels
UNITS_4X4 = Layout(lambda w: ROWS_4X4.ours(w.T).T, lambda w: ROWS_4X4.theirs(w.T).T)


def linear(layer: str, inputs: Size, units: Size, layout: Layout = SAME) -> Row:
  """A linear layer's weights: (in, out) in both layouts."""
  return Row("params", layer, "kernel", (inputs, units), layout)


def conv(layer: str, channels: Size, other_channels: Size, k: int) -> Row:
  """A convolution's kernel: (out, in / groups, k, k); or its transpose's: (in, out, k, k)."""
  return Row("params", layer, "kernel", (channels, other_channels, k, k), KERNEL)


def norm(
    layer: str, channels: Size, affine: bool = False, layout: Layout = SAME
) -> tuple[Row, ...]:
  """A batch norm's count, sum of means and sum of unbiased variances; gain and shift."""
  sums = (
      Row("batch_stats", layer, "count", (), SAME),
      Row("batch_stats", layer, "mean", (channels,), layout),
      Row("batch_stats", layer, "var", (channels,), layout),
  )
  gain_and_shift = (
      Row("params", layer, "scale", (channels,), layout),
      Row("params", layer, "bias", (channels,), layout),
  )
  return sums + gain_and_shift if affine else sums


# Sizes. x: pixels of an image (mlp) or its channels; z: dimensions; g, e, d: units or channels.
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
ALEXNET = (  # of fixed widths
    conv("conv1", 96, "x", 11),
    conv("conv2", 256, 48, 5),
    *norm("conv2_bn", 256, affine=True),
    conv("conv3", 384, 256, 3),
    *norm("conv3_bn", 384, affine=True),
    conv("conv4", 384, 192, 3),
    *norm("conv4_bn", 384, affine=True),
    conv("conv5", 256, 192, 3),
    *norm("conv5_bn", 256, affine=True),
)
DCGAN = {
    "G": (
        linear("fc1", "z", (16, "g1"), UNITS_4X4),
        *norm("fc1_bn", (16, "g1"), affine=True, layout=UNITS_4X4),
        conv("deconv2", "g1", "g2", 5),
        linear("deconv2_z", "z", "g2"),
        *norm("deconv2_bn", "g2", affine=True),
        conv("deconv3", "g2", "g3", 5),
        linear("deconv3_z", "z", "g3"),
        *norm("deconv3_bn", "g3", affine=True),
        conv("deconv4", "g3", "g4", 5),
        linear("deconv4_z", "z", "g4"),
        *norm("deconv4_bn", "g4", affine=True),
        conv("deconv5", "g4", "x", 5),
    ),
    "E": (*ALEXNET, linear("out", (256, "e"), "z", ROWS_256)),
    "D": (
        conv("conv1", "d1", "x", 5),
        conv("conv2", "d2", "d1", 5),
        linear("conv2_z", "z", "d2"),
        *norm("conv2_bn", "d2", affine=True),
        conv("conv3", "d3", "d2", 5),
        linear("conv3_z", "z", "d3"),
        *norm("conv3_bn", "d3", affine=True),
        conv("conv4", "d4", "d3", 5),
        linear("conv4_z", "z", "d4"),
        *norm("conv4_bn", "d4", affine=True),
        linear("out", (16, "d4"), 1, ROWS_4X4),
    ),
}
DCGAN_ALEXNET_D = {**DCGAN, "D": (*ALEXNET, linear("out", (256, "d"), 1, ROWS_256))}
FAMILIES = {"mlp": MLP, "dcgan": DCGAN, "dcgan_alexnet_D": DCGAN_ALEXNET_D}


def to_variables(
    arrays: Mapping[str, Sequence[np.ndarray]], family: str
) -> dict[str, chex.ArrayTree]:
  """Our variables from the authors' arrays.

  Args:
    arrays: {player: arrays in the order of its file}, for any of G, E and D; D's number of arrays
      tells a joint discriminator from a plain one.
    family: "mlp"; or "dcgan" with AlexNet as E, "dcgan_alexnet_D" with AlexNet as D too.

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


def order(player: str, variables: chex.ArrayTree, family: str) -> tuple[Row, ...]:
  """The arrays of a network's file, one row each.

  Raises:
    ValueError: as `to_official`.
  """
  places = {
      (collection, layer, leaf)
      for collection, layers in variables.items()
      for layer, leaves in layers.items()
      for leaf in leaves
  }
  tables = _tables(player, family).values()
  for rows in tables:
    if places == {row[:3] for row in rows}:
      return rows
  differences = (places.symmetric_difference(row[:3] for row in rows) for rows in tables)
  differ = sorted("/".join(place) for place in min(differences, key=len))
  raise ValueError(
      f"{player} differs from the authors' network of family {family!r} in {', '.join(differ)}: "
      "only networks of the official recipe fit their files."
  )


def _rows(player: str, count: int, family: str) -> tuple[Row, ...]:
  """The table of `player` that has `count` rows."""
  tables = _tables(player, family)
  for rows in tables.values():
    if len(rows) == count:
      return rows
  expected = " or ".join(f"{len(rows)}{kind}" for kind, rows in tables.items())
  raise ValueError(
      f"{player} of family {family!r} should have {expected} arrays, found {count}: "
      "pass every array of the authors' file, in its order."
  )


def _tables(player: str, family: str) -> dict[str, tuple[Row, ...]]:
  """The tables that a player may follow; a plain D is the joint one without projections of z.

  AlexNet as D is plain alone.
  """
  rows = FAMILIES[family][player]
  plain = tuple(row for row in rows if not row.layer.endswith("_z"))
  return {"": rows} if player != "D" or plain == rows else {" (joint)": rows, " (plain)": plain}


def _variables(
    player: str, arrays: Sequence[np.ndarray], rows: tuple[Row, ...], sizes: dict[str, int]
) -> dict[str, chex.ArrayTree]:
  """One network's variables; `sizes` gathers what the names in shapes stand for."""
  variables: dict[str, chex.ArrayTree] = {"params": {}, "batch_stats": {}}
  for index, (row, array) in enumerate(zip(rows, arrays, strict=True)):
    array = np.asarray(array, np.float32)
    expected = _shape(row, array.shape, sizes)
    if array.shape != expected:
      raise ValueError(
          f"array {index} of {player} ({row.layer}/{row.leaf}) should have shape {expected} by the "
          f"arrays before it, found {array.shape}: check the family, the order of the arrays, and "
          "that the files belong together."
      )
    variables[row.collection].setdefault(row.layer, {})[row.leaf] = row.layout.ours(array)
  return variables


def _shape(row: Row, found: tuple[int, ...], sizes: dict[str, int]) -> tuple[Size, ...]:
  """The shape that `row` should have; names met for the first time stand for what is found."""
  if len(found) != len(row.shape):
    return row.shape
  expected = []
  for size, n in zip(row.shape, found, strict=True):
    factor, unit = size if isinstance(size, tuple) else (1, size)
    if isinstance(unit, str):
      unit = sizes.setdefault(unit, n // factor)
    expected.append(factor * unit)
  return tuple(expected)


def _arrays(player: str, variables: chex.ArrayTree, family: str) -> list[np.ndarray]:
  """One network's arrays in the order of its file."""
  return [
      row.layout.theirs(np.asarray(variables[row.collection][row.layer][row.leaf], np.float32))
      for row in order(player, variables, family)
  ]

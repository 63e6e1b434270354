"""A config for who calls from Python: by its name, with other values in some fields."""

from collections.abc import Mapping
import os
from typing import Any

import ml_collections

from bigan_jax.settings import arguments, fields, words


def read(config: ml_collections.ConfigDict | str | os.PathLike[str]) -> ml_collections.ConfigDict:
  """A copy of a config, or the one that --config=NAME would give.

  Raises:
    ValueError: no such variant or argument.
    FileNotFoundError: no config of that name.
  """
  if isinstance(config, ml_collections.ConfigDict):
    return config.copy_and_resolve_references()
  return fields.load(words.find_config(os.fspath(config)))


def changed(
    config: ml_collections.ConfigDict, overrides: Mapping[str, Any]
) -> ml_collections.ConfigDict:
  """The config with other values in some fields.

  Raises:
    ValueError: there is no such field, it takes another type, or it stands for other fields.
  """
  arguments.refuse_derived(overrides)
  known = fields.flat(config)
  for field, value in overrides.items():
    if sentence := fields.unknown(field, config):
      raise ValueError(sentence)
    try:
      config.update_from_flattened_dict({field: value})
    except TypeError as error:
      kind = type(known[field]).__name__
      raise ValueError(
          f"config.{field} cannot be {value!r}: give it a value of type {kind}."
      ) from error
  return config

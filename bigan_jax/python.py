"""`bigan_jax.train`: what `python -m bigan_jax.main` does, called from Python."""

from collections.abc import Mapping
import os
import runpy
from typing import Any

from flax import traverse_util
import ml_collections

from bigan_jax import jobs
from bigan_jax.exchange import loaded
from bigan_jax.settings import arguments, rules
from bigan_jax.settings.arguments import nearest


def train(
    config: ml_collections.ConfigDict | str | os.PathLike[str], workdir: str | os.PathLike[str],
    overrides: Mapping[str, Any] | None = None,
) -> loaded.Model:
  """Trains, or goes on where `workdir` holds an unfinished run; the newest networks.

  Args:
    config: as --config takes it: a name such as "digits", or FILE.py, each with :VARIANT,KEY=VALUE
      after it or not; or a config that one of them gave.
    workdir: the run folder.
    overrides: {field: value}, what --config.FIELD=VALUE sets: {"epochs": 3, "optim.rate": 1e-4}.

  Raises:
    ValueError, OSError, ArithmeticError, RuntimeError: as the program says in one sentence.
  """
  config, workdir = changed(read(config), overrides or {}), os.path.expanduser(os.fspath(workdir))
  if config.job != "train":
    raise ValueError(f"config.job is {config.job!r}, which judges networks: let "
                     "python -m bigan_jax.main run it; train takes configs such as 'digits'.")
  rules.validate(config)
  jobs.train(config, workdir)
  return loaded.load(workdir)


def read(config: ml_collections.ConfigDict | str | os.PathLike[str]) -> ml_collections.ConfigDict:
  """The config of a name or a file, or a copy of one; errors as `train`."""
  if isinstance(config, ml_collections.ConfigDict):
    return config.copy_and_resolve_references()
  path, colon, argument = os.fspath(config).partition(":")
  path = path if path.endswith(".py") else f"{path}.py"
  file = arguments.find_file(f"--config={path}").partition("=")[2]
  get_config = runpy.run_path(file)["get_config"]
  return get_config(argument) if colon else get_config()


def changed(
    config: ml_collections.ConfigDict, overrides: Mapping[str, Any]
) -> ml_collections.ConfigDict:
  """The config with other values in some fields.

  Raises:
    ValueError: there is no such field, it takes another type, or it stands for other fields.
  """
  arguments.refuse_derived(overrides)
  known = traverse_util.flatten_dict(config.to_dict(), sep=".")
  for field, value in overrides.items():
    if field not in known:
      raise ValueError(f"Unknown config field {field!r}: {nearest(field, tuple(known))}")
    try:
      config.update_from_flattened_dict({field: value})
    except TypeError as error:
      kind = type(known[field]).__name__
      raise ValueError(f"config.{field} cannot be {value!r}: give it a value of type {kind}."
                       ) from error
  return config

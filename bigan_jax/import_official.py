"""Makes a run folder of the authors' released weights, for every tool that reads one.

  python -m bigan_jax.import_official --params=PREFIX --workdir=RUN \
      --config=configs/imagenet.py:bigan,recipe=official
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()  # The imports below take a while.

from collections.abc import Sequence
import os
import pathlib

from absl import flags
import chex
import jax
import ml_collections
from ml_collections import config_flags
import numpy as np

from bigan_jax import models
from bigan_jax.data import batches
from bigan_jax.evaluation import metrics
from bigan_jax.exchange import exported, official_arrays, official_files
from bigan_jax.machine import devices
from bigan_jax.runs import outputs
from bigan_jax.runs.workdir import open_run
from bigan_jax.settings import arguments, program, rules
from bigan_jax.training.objectives import OBJECTIVES
from bigan_jax.training.state import Snapshot, blank_classifier

Variables = dict[str, chex.ArrayTree]


def define_flags() -> None:
  """The command line's; not for those who import this module."""
  flags.DEFINE_string("params", None, "What precedes _encode_params.jl.", required=True)
  flags.DEFINE_string("workdir", None, "Run folder to write.", required=True)
  flags.DEFINE_bool("evaluate", False, "Judge the networks on the config's data.")
  config_flags.DEFINE_config_file("config", None, "As of bigan_jax.main, of recipe=official.")
  flags.mark_flag_as_required("config")


def import_run(
    params: str, config: ml_collections.ConfigDict, workdir: str, judged: bool = False
) -> None:
  """Writes a run folder that holds the networks of the authors' files, as of step 0.

  Nobody can train in it: config.json has a field `imported`, which no config has.

  Args:
    params: what precedes _encode_params.jl, _gen_params.jl and _joint_discrim_params.jl, or
      _discrim_params.jl under objectives whose D judges images alone.
    config: of the same networks in the official recipe.
    workdir: the folder, which appears whole or not at all.
    judged: evaluate the networks on the config's data, as at the end of training.

  Raises:
    ValueError: the config has no such files; a file is refused, or its arrays are not the config's.
    FileNotFoundError: a file is not there.
    FileExistsError: the workdir is.
  """
  _check_config(config)
  devices.check()
  variables = read(params, config)
  with outputs.new_folder(pathlib.Path(workdir)) as folder:
    row = {"step": 0, "epoch": 0} | (evaluate(config, variables) if judged else {})
    with open_run(str(folder), {**config.to_dict(), "imported": params}) as run:
      if judged:
        run.write_row(row)
      run.save_networks(0, variables, row)


def read(params: str, config: ml_collections.ConfigDict) -> Variables:
  """{player: variables} from the authors' files; errors as `import_run`."""
  family, variables = config.model.family, {}
  for player, path in _paths(params, config).items():
    arrays = official_files.read_arrays(path)
    template = exported.blank(config, player)
    template = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), template)
    expected = official_arrays.to_official({player: template}, family)[player]
    if len(arrays) != len(expected):
      raise ValueError(f"{path} should hold {len(expected)} arrays of {player}, found "
                       f"{len(arrays)}: take the config that it was trained with.")
    rows = official_arrays.order(player, template, family)
    for i, (row, array, like) in enumerate(zip(rows, arrays, expected, strict=True)):
      _check_array(f"{path}: array {i} ({row.layer}/{row.leaf})", row, array, like.shape)
    variables |= official_arrays.to_variables({player: arrays}, family)
  return variables


def evaluate(config: ml_collections.ConfigDict, variables: Variables) -> dict[str, float]:
  """{metric: value} on the config's data, but for the linear classifier, which is not in files."""
  config = ml_collections.ConfigDict(config.to_dict())
  train, images = batches.load(config)
  objective, networks = OBJECTIVES[config.objective], models.build(config.model)
  judge = metrics.judge(config, networks, objective, train, images)
  params = {player: arrays["params"] for player, arrays in variables.items()}
  classifier = blank_classifier(config.model, networks, objective, params, images.num_classes)
  snapshot = Snapshot(0, 0, variables, classifier)
  found = dict(pair for evaluator in judge.evaluators() for pair in evaluator(snapshot))
  return {name: value for name, value in found.items() if not name.startswith("CLS")}


def _check_config(config: ml_collections.ConfigDict) -> None:
  if config.job != "train":
    raise ValueError(f"config.job is {config.job!r}: give the config that the networks were "
                     "trained with, such as configs/imagenet.py:bigan,recipe=official.")
  rules.validate(config)
  if config.objective == "alad":
    raise ValueError("config.objective is 'alad', which the authors' code does not have: give the"
                     " config that the networks were trained with.")
  if config.recipe != "official":
    raise ValueError(f"config.recipe is {config.recipe!r}, but the authors' files hold networks of "
                     f"their own: --config=FILE.py:{config.objective},recipe=official.")
  if config.model.family not in official_arrays.FAMILIES:
    known = arguments.nearest(config.model.family, tuple(official_arrays.FAMILIES))
    raise ValueError(f"Files of family {config.model.family!r} are not known: {known}")


def _paths(params: str, config: ml_collections.ConfigDict) -> dict[str, pathlib.Path]:
  objective = OBJECTIVES[config.objective]
  names = {"E": "encode", "G": "gen", "D": "joint_discrim" if objective.joint else "discrim"}
  prefix = os.path.expanduser(params)
  return {p: pathlib.Path(f"{prefix}_{names[p]}_params.jl") for p in objective.players}


def _check_array(
    name: str, row: official_arrays.Row, array: np.ndarray, shape: tuple[int, ...]
) -> None:
  if array.shape != shape:
    raise ValueError(f"{name} should have shape {shape}, found {array.shape}: take the config that "
                     "the networks were trained with.")
  if not np.isfinite(array).all():
    raise ValueError(f"{name} holds NaN or infinity: take the files of another epoch.")
  if row.leaf == "count" and array <= 0:
    raise ValueError(f"{name} is {array}, so no statistics were gathered for use at test time: "
                     "take files that were saved after a deploy phase.")


def main(argv: Sequence[str]) -> None:
  """Imports as the flags say."""
  values = flags.FLAGS
  del argv
  arguments.refuse_derived(config_flags.get_override_values(values["config"]))
  import_run(values.params, values.config, values.workdir, values.evaluate)
  print(f"Wrote {values.workdir}: a run folder for bigan_jax.export, features and every job.")


if __name__ == "__main__":
  define_flags()
  program.run(main)

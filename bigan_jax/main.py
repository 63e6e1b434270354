"""The program: flags -> config -> job. `python -m bigan_jax.main --config=configs/digits.py`."""

from collections.abc import Sequence

from absl import app
from absl import flags
from ml_collections import config_flags

from bigan_jax import arguments, judging, program
from bigan_jax import config as configs

CONFIG = config_flags.DEFINE_config_file("config", None, "FILE.py[:variant[,key=value...]].")
WORKDIR = flags.DEFINE_string("workdir", None, "Run folder; an old one is continued.")


def main(argv: Sequence[str]) -> None:
  """Runs the job that the config names."""
  if argv[1:]:
    raise app.UsageError(f"Unexpected argument {argv[1]!r}: flags begin with --.")
  arguments.refuse_derived(config_flags.get_override_values(flags.FLAGS["config"]))
  rules = configs if CONFIG.value.job == "train" else judging
  rules.validate(CONFIG.value)
  from bigan_jax import jobs  # Here, so that --help and a bad config are answered at once.

  jobs.JOBS[CONFIG.value.job](CONFIG.value, WORKDIR.value)


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir"])
  program.run(main)

"""The program: flags -> config -> job. `python -m bigan_jax.main --config=configs/digits.py`.

Several processes train as one, on as many machines or one, if each is started by the same command
with, besides, --coordinator=HOST:PORT --processes=N --process=I, or with --distributed where JAX
finds these by itself. Each reads its own share of the pictures; process 0 writes the run folder.
SIGTERM or Ctrl-C to any of them saves and ends all, with status 0 or 130; the same commands, or
others for more or fewer processes, continue there.
"""

if __name__ == "__main__":
  from bigan_jax.settings import interrupts

  interrupts.end_at_once()

from collections.abc import Sequence
import pathlib
import sys

from absl import flags
from ml_collections import config_flags

from bigan_jax.settings import arguments, downstream, interrupts, program, rules

CONFIG = config_flags.DEFINE_config_file("config", None, "FILE.py[:variant[,key=value...]].")
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT at which process 0 listens.")
PROCESSES = flags.DEFINE_integer("processes", None, "How many processes train together.")
PROCESS = flags.DEFINE_integer("process", None, "Which of them this is, from 0.")
DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Let JAX find all three: on TPU pods, SLURM, GKE and Open MPI before 5."
)
JOIN = flags.DEFINE_integer("coordinator_timeout", 300, "Seconds to wait for all of them.", 1)
LOST = flags.DEFINE_integer("lost_timeout", 60, "Seconds until a lost one ends the others.", 1)
STOPPED = flags.DEFINE_integer(
    "stopped_status", 0, "Exit status of a training that SIGTERM ended before its time.", 0, 255
)
WORKDIR = flags.DEFINE_string("workdir", None, "Run folder; an old one is continued.")


def main(argv: Sequence[str]) -> None:
  """Runs the job that the config names."""
  del argv
  arguments.refuse_derived(config_flags.get_override_values(flags.FLAGS["config"]))
  _check_workdir(WORKDIR.value)
  training = CONFIG.value.job == "train"
  (rules if training else downstream).validate(CONFIG.value)
  own = (COORDINATOR.value, PROCESSES.value, PROCESS.value)
  many = [flag.name for flag in (DISTRIBUTED, COORDINATOR, PROCESSES, PROCESS)
          if flag.value is not None and flag.value is not False]
  if many and not training:
    raise ValueError(f"The job {CONFIG.value.job} needs one process: leave --{many[0]} out.")
  with interrupts.nothing_begun():
    from bigan_jax.machine import devices, processes
    from bigan_jax.transfer import jobs

  meeting = processes.Meeting(*own, JOIN.value, LOST.value) if many else None
  with processes.joined(meeting, CONFIG.value.to_dict()):
    devices.check()
    stopped = jobs.JOBS[CONFIG.value.job](CONFIG.value, WORKDIR.value)
  if stopped:
    sys.exit(STOPPED.value)


def _check_workdir(workdir: str) -> None:
  """Raises ValueError for a file in its place, or above it."""
  path = pathlib.Path(workdir).expanduser()
  for place in (path, *path.parents):
    if place.is_file():
      raise ValueError(f"--workdir={workdir}: {place} is a file; name a folder, new or of a run.")


def command() -> None:
  """The program, of which two flags must be given."""
  flags.mark_flags_as_required(["config", "workdir"])
  program.run(main)


if __name__ == "__main__":
  command()

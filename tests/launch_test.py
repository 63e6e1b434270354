"""The launch scripts, with SLURM, gcloud and the program itself replaced by little scripts."""

from collections.abc import Callable
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import time

import pytest
import yaml

LAUNCH = pathlib.Path(__file__).parents[1] / "launch"
# Runs until TERM.
PROGRAM = """
trap 'echo saved >> "$LOG"; exit 0' TERM
echo "program $*" >> "$LOG"
for i in $(seq 100); do sleep 0.05; done
"""
# Runs until scancel asked, and a while longer; STATUS, if given, ends it at once.
SRUN = """
echo "srun $*" >> "$LOG"
[ -z "${STATUS:-}" ] || exit "$STATUS"
for i in $(seq 100); do [ ! -e "$LOG.asked" ] || break; sleep 0.05; done
sleep 0.3
echo saved >> "$LOG"
"""


@pytest.fixture
def log(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
  """Where the replaced programs write; they come first on the path."""
  monkeypatch.setenv("LOG", str(tmp_path / "log"))
  (tmp_path / "bin").mkdir()
  monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
  for name in list(os.environ):
    if name.startswith("SLURM_") or name in ("PYTHON", "GPUS", "PROCESSES", "CUDA_VISIBLE_DEVICES"):
      monkeypatch.delenv(name)
  return tmp_path / "log"


@pytest.fixture
def replace(log: pathlib.Path) -> Callable[[str, str], None]:
  """Puts a shell script in the place of a program."""
  def write(name: str, body: str) -> None:
    path = log.parent / "bin" / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
  return write


@pytest.fixture
def slurm(replace: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> list[str]:
  """The command of a job with 4 processes and 4 GPUs a node."""
  replace("srun", SRUN)
  replace("scancel", 'echo "scancel $*" >> "$LOG"; touch "$LOG.asked"')
  replace("scontrol", 'echo "scontrol $*" >> "$LOG"')
  for name, value in {"JOB_ID": 17, "NTASKS_PER_NODE": 4, "GPUS_ON_NODE": 4}.items():
    monkeypatch.setenv(f"SLURM_{name}", str(value))
  return ["bash", str(LAUNCH / "slurm.sh"), "--workdir=a b"]


def until(log: pathlib.Path, text: str) -> None:
  """Waits for a line."""
  for _ in range(100):
    if log.exists() and text in log.read_text():
      return
    time.sleep(0.05)
  raise AssertionError(f"{text!r} does not come")


def test_a_slurm_job_that_is_warned_saves_and_then_queues_itself_again(
    slurm: list[str], log: pathlib.Path
) -> None:
  job = subprocess.Popen(slurm)
  until(log, "srun")
  job.send_signal(signal.SIGUSR1)
  until(log, "scancel")
  job.send_signal(signal.SIGUSR1)  # Once more, while it saves.
  assert job.wait(timeout=10) == 0
  assert log.read_text().splitlines() == [
      "srun --kill-on-bad-exit=1 --gpu-bind=none python -m bigan_jax.main --distributed"
      " --workdir=a b",
      "scancel --signal=TERM 17", "scancel --signal=TERM 17", "saved", "scontrol requeue 17",
  ]


@pytest.mark.parametrize("status", (0, 3))
def test_a_slurm_job_that_ends_by_itself_is_not_queued_again(
    slurm: list[str], log: pathlib.Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
  monkeypatch.setenv("STATUS", str(status))
  assert subprocess.run(slurm, timeout=10).returncode == status
  assert "scontrol" not in log.read_text()


def test_a_cancelled_slurm_job_is_not_queued_again(slurm: list[str], log: pathlib.Path) -> None:
  job = subprocess.Popen(slurm)
  until(log, "srun")
  job.send_signal(signal.SIGTERM)
  assert job.wait(timeout=10) == -signal.SIGTERM
  assert "scontrol" not in log.read_text()


def test_a_slurm_job_wants_a_process_for_each_gpu(
    slurm: list[str], log: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
  ended = subprocess.run(slurm, capture_output=True, text=True, timeout=10)
  assert ended.returncode == 1 and not log.exists()
  assert "A node has 4 GPUs, but --ntasks-per-node is 1: give it 4." in ended.stderr


def test_slurm_signals_the_batch_shell() -> None:
  assert "\n#SBATCH --signal=B:USR1@120\n" in (LAUNCH / "slurm.sh").read_text()


@pytest.fixture
def pod(replace: Callable[[str, str], None]) -> list[str]:
  """The command of a pod, whose python is PROGRAM."""
  replace("python", PROGRAM)
  document = yaml.safe_load((LAUNCH / "gke.yaml").read_text())
  job = document["spec"]["replicatedJobs"][0]["template"]["spec"]
  pod = job["template"]["spec"]
  assert pod["restartPolicy"] == "Never" and job["backoffLimit"] == 0  # So a 75 fails the job,
  assert document["spec"]["failurePolicy"]["maxRestarts"] > 0  # and that restarts the job set.
  assert job["parallelism"] == job["completions"]
  container = pod["containers"][0]
  return container["command"] + container["args"]


def test_an_evicted_pod_saves_and_fails(pod: list[str], log: pathlib.Path) -> None:
  running = subprocess.Popen(pod)
  until(log, "program -m bigan_jax.main --distributed --config=configs/imagenet.py")
  running.send_signal(signal.SIGTERM)
  assert running.wait(timeout=10) == 75
  assert log.read_text().endswith("saved\n")


@pytest.mark.parametrize("status", (0, 3))
def test_a_pod_that_ends_by_itself_has_the_status_of_the_run(
    pod: list[str], replace: Callable[[str, str], None], status: int
) -> None:
  replace("python", f"exit {status}")
  assert subprocess.run(pod, timeout=10).returncode == status


@pytest.mark.parametrize("gpus, visible, given", [
    ("", "", ["none", "none"]), ("1", "", ["0", "1"]), ("1", "6,3,5", ["6", "3"]),
    ("2", "", ["0,1", "2,3"]),
])
def test_local_processes_have_gpus_of_their_own(
    log: pathlib.Path, replace: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch,
    gpus: str, visible: str, given: list[str],
) -> None:
  replace("python", 'echo "${CUDA_VISIBLE_DEVICES:-none} given $*" >> "$LOG"')
  for name, value in {"GPUS": gpus, "CUDA_VISIBLE_DEVICES": visible}.items():
    if value:
      monkeypatch.setenv(name, value)
  command = ["bash", str(LAUNCH / "local.sh"), "--workdir=a b"]
  assert subprocess.run(command, timeout=10).returncode == 0
  lines = sorted(log.read_text().splitlines(), key=lambda line: line.partition(" --process=")[2])
  assert [line.partition(" given")[0] for line in lines] == given
  for i, line in enumerate(lines):
    assert line.endswith(f"--processes=2 --process={i} --workdir=a b")


def test_local_processes_cannot_have_more_gpus_than_there_are(
    log: pathlib.Path, replace: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
  replace("python", PROGRAM)
  monkeypatch.setenv("GPUS", "1")
  monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
  ended = subprocess.run(
      ["bash", LAUNCH / "local.sh"], capture_output=True, text=True, timeout=10
  )
  assert ended.returncode == 1 and not log.exists()
  assert "PROCESSES=2 with GPUS=1 each want more than CUDA_VISIBLE_DEVICES=4" in ended.stderr


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_local_processes_all_get_a_signal(
    log: pathlib.Path, replace: Callable[[str, str], None], number: int, status: int
) -> None:
  replace("python", PROGRAM)
  running = subprocess.Popen(["bash", str(LAUNCH / "local.sh")])
  for i in range(2):
    until(log, f"--process={i}")
  running.send_signal(number)
  assert running.wait(timeout=10) == status
  assert log.read_text().count("saved") == 2


TABLES = {"table1": ["OUT"], "table2": ["OUT", "RUN"], "table3": ["OUT", "RUN"],
          "photos": ["OUT", "cifar10"], "anomaly": ["OUT", "mnist"]}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("body, status", [
    ("trap 'sleep 0.1; exit 130' INT; kill -INT 0; sleep 1", 130),  # Ctrl-C comes to all.
    ("trap 'sleep 0.1; exit 0' INT; kill -INT 0; sleep 1", 130),
    ("exit 143", 143),  # SIGTERM stopped the training alone.
    ("exit 3", 3),
])
def test_a_table_ends_with_the_training_that_was_stopped(
    log: pathlib.Path, replace: Callable[[str, str], None], name: str, body: str, status: int
) -> None:
  replace("python", f'echo "$*" >> "$LOG"; {body}')
  command = ["bash", LAUNCH / f"{name}.sh", *TABLES[name]]
  ended = subprocess.run(command, cwd=log.parent, start_new_session=True, timeout=10)
  assert ended.returncode == status
  [line] = log.read_text().splitlines()
  assert line.startswith("-m bigan_jax.main --stopped_status=143 --config=")


def test_large_memory_pages_are_asked_for(log: pathlib.Path, replace: Callable) -> None:
  replace("python", 'echo "$GLIBC_TUNABLES" >> "$LOG"')
  for own in ([], ["GLIBC_TUNABLES=a=b"]):
    subprocess.run(["env", "-u", "GLIBC_TUNABLES", *own, "bash", LAUNCH / "report.sh", "a", "b"])
  assert log.read_text() == "glibc.malloc.hugetlb=1\na=b\n"


@pytest.mark.parametrize("name", [*TABLES, "report", "local", "tpu_vm", "slurm"])
@pytest.mark.parametrize("words", [["--help"], ["-h"], ["OUT", "RUN", "--help"]])
def test_help_is_the_usage_and_starts_nothing(
    log: pathlib.Path, replace: Callable[[str, str], None], name: str, words: list[str]
) -> None:
  for program in ("python", "gcloud", "srun"):
    replace(program, 'echo "$*" >> "$LOG"')
  ended = subprocess.run(
      ["bash", LAUNCH / f"{name}.sh", *words], cwd=log.parent, capture_output=True, text=True,
      timeout=10,
  )
  assert ended.returncode == 0 and not log.exists()
  assert f"launch/{name}.sh " in ended.stdout and "#" not in ended.stdout
  assert [path.name for path in log.parent.iterdir()] == ["bin"]


@pytest.mark.parametrize("name, words, missing", [
    *((name, [], "OUT is missing: launch/") for name in TABLES),
    ("table1", ["--config.epochs=3"], "OUT is missing before --config.epochs=3: launch/table1.sh"),
    ("table2", ["OUT"], "RUN is missing: launch/table2.sh OUT RUN"),
    ("table3", ["OUT", "--", "--config.epochs=3"], "RUN is missing: launch/table3.sh OUT RUN"),
    ("photos", ["OUT", "--config.epochs=3"], "DATASET is missing before --config.epochs=3: launch"),
    ("report", [], "FILE.html is missing: launch/report.sh FILE.html RUN"),
    ("tpu_vm", ["name"], "--config is missing: ZONE=ZONE launch/tpu_vm.sh NAME --config="),
    ("tpu_vm", ["name", "--config=c.py"], "ZONE is missing: ZONE=ZONE launch/tpu_vm.sh NAME"),
])
def test_what_is_missing_is_named(
    log: pathlib.Path, replace: Callable[[str, str], None], name: str, words: list[str],
    missing: str,
) -> None:
  replace("python", 'echo "$*" >> "$LOG"')
  ended = subprocess.run(
      ["bash", LAUNCH / f"{name}.sh", *words], capture_output=True, text=True, timeout=10
  )
  assert ended.returncode == 1 and not log.exists()
  assert ended.stderr.startswith(f"{name}.sh: {missing}") and ended.stderr.count("\n") == 1


def test_a_tpu_host_gets_the_checkout_as_it_is(
    log: pathlib.Path, replace: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
  home, checkout = log.parent / "home", log.parent / "checkout"
  home.mkdir()
  for folder in ("launch", "configs", "bigan_jax/__pycache__"):
    (checkout / folder).mkdir(parents=True)
  for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE", "bigan_jax/new.py"):
    (checkout / name).write_text(name)
  for name in ("tpu_vm.sh", "common.sh"):
    shutil.copy(LAUNCH / name, checkout / "launch")
  replace("gcloud", """
eval "last=\\${$#}"  # scp's files are words 5 and 6; ssh's command is the last.
case "$4" in
  scp) cp "$5" "$HOME/${6#*:}" ;;
  ssh) cd "$HOME" && sh -c "${last#--command=}" ;;
esac
""")
  replace("sudo", 'echo "sudo $*" >> "$LOG"')
  replace("python3.11", """
[ "$1 $2" = "-m venv" ] || exit 1  # No ensurepip.
mkdir -p "$3/bin"
for name in pip python; do
  printf '#!/bin/sh\\necho "%s $*" >> "$LOG"\\n' $name > "$3/bin/$name"
  chmod +x "$3/bin/$name"
done
""")
  monkeypatch.setenv("HOME", str(home))
  monkeypatch.setenv("ZONE", "here")
  command = ["bash", checkout / "launch" / "tpu_vm.sh", "name", "--config=c.py", "--workdir=a b"]
  assert subprocess.run(command, timeout=10).returncode == 0
  assert log.read_text().splitlines() == [
      "sudo apt-get update -q", "sudo apt-get install -yq python3.11-venv",
      f"pip install -q {home}/bigan/source[tpu]",
      "python -m bigan_jax.main --distributed --config=c.py --workdir=a b",
  ]
  assert (home / "bigan" / "source" / "bigan_jax" / "new.py").exists()
  assert not (home / "bigan" / "source" / "bigan_jax" / "__pycache__").exists()

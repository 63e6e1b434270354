#!/usr/bin/env bash
# A run on the nodes of a SLURM cluster: one process a node, which trains on all its GPUs.
#
#   sbatch --nodes=2 --gpus-per-node=8 launch/slurm.sh --config=configs/imagenet.py --workdir=DIR
#
# DIR and the prepared data sets must be seen by all nodes (TFDS_DATA_DIR or --config.data_dir).
# Two minutes before its time is over, or when preempted, the job saves and puts itself back into
# the queue, where it continues. JAX finds the nodes by SLURM's variables.
#SBATCH --job-name=bigan
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail
asked=
trap 'asked=yes' TERM  # srun passes it on to the processes, which save and end with status 0

srun --kill-on-bad-exit=1 "${PYTHON:-python}" -m bigan_jax.main --distributed "$@" &
wait $!
status=$?
if [[ -n $asked ]]; then
  wait
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
fi
exit "$status"

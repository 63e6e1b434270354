#!/usr/bin/env bash
# A run on the nodes of a SLURM cluster: one process a GPU.
#
#   sbatch --nodes=2 --gpus-per-node=8 --ntasks-per-node=8 launch/slurm.sh \
#     --config=configs/imagenet.py --workdir=DIR
#
# The two numbers must be the same: under SLURM, JAX gives each process one GPU of its node, that of
# the process's number there. DIR and the prepared data sets must be seen by all nodes
# (TFDS_DATA_DIR or --config.data_dir).
#
# About two minutes before its time is over, the job saves and puts itself back into the queue,
# where it continues. When it is preempted it does so too, if the cluster has send_user_signal among
# its PreemptParameters and a GraceTime long enough to save in. Elsewhere, whether it is queued
# again is the cluster's affair; submitted again, it continues from the newest checkpoint.
# `scancel --signal=TERM JOB` saves and ends the job for good, `scancel JOB` without saving.
#SBATCH --job-name=bigan
#SBATCH --ntasks-per-node=1
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail
for word in "$@"; do  # As in common.sh, which does not lie beside the copy that SLURM runs.
  if [[ $word == -h || $word == --help ]]; then
    awk 'NR > 1 { if (!/^#/ || /^#SBATCH/) exit; sub(/^# ?/, ""); print }' "$0"
    exit
  fi
done
tasks=${SLURM_NTASKS_PER_NODE:-1}
gpus=${SLURM_GPUS_ON_NODE:-}
if [[ -n $gpus && $gpus != "$tasks" ]]; then
  echo "slurm.sh: A node has $gpus GPUs, but --ntasks-per-node is $tasks: give it $gpus." >&2
  exit 1
fi

asked=
ask_to_save() {
  asked=yes
  scancel --signal=TERM "$SLURM_JOB_ID"  # To the processes; srun itself would kill them at a TERM.
}
trap ask_to_save USR1  # Which SLURM sends to this shell alone, and never for scancel.

# Each process must see all GPUs of its node, to take the one of its number.
srun --kill-on-bad-exit=1 ${gpus:+--gpu-bind=none} \
  "${PYTHON:-python}" -m bigan_jax.main --distributed "$@" &
wait $!
status=$?
while kill -0 $! 2>/dev/null; do  # A signal ended the wait, not srun.
  wait $!
  status=$?
done
if [[ -n $asked ]]; then
  exec scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"

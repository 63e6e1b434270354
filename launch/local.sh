#!/usr/bin/env bash
# Several processes on this machine that train as one; usually one process with all devices is best.
#
#   PROCESSES=2 GPUS=1 launch/local.sh --config=configs/mnist.py --workdir=runs/mnist
#
# GPUS, needed where JAX has GPUs, is how many each process is given, in order and none to two, of
# those in CUDA_VISIBLE_DEVICES (default: 0, 1, ...). PORT is where process 0 listens. SIGTERM and
# Ctrl-C save and end all, the latter with status 130. Else the status is the first that is not 0.
set -uo pipefail
source "$(dirname "$0")/common.sh"
processes=${PROCESSES:-2}
gpus=${GPUS:-0}
port=${PORT:-12355}

IFS=, read -ra devices <<< "${CUDA_VISIBLE_DEVICES:-$(seq -s, 0 $((processes * gpus - 1)))}"
if ((processes * gpus > ${#devices[@]})); then
  echo "local.sh: PROCESSES=$processes with GPUS=$gpus each want more than" \
    "CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES: lower one of the two." >&2
  exit 1
fi

pids=()
interrupted=
trap 'kill -TERM $(jobs -p) 2>/dev/null' TERM
trap 'interrupted=yes; kill -TERM $(jobs -p) 2>/dev/null' INT
for ((i = 0; i < processes; i++)); do
  if ((gpus > 0)); then
    own=("${devices[@]:i*gpus:gpus}")
    export CUDA_VISIBLE_DEVICES=$(IFS=,; echo "${own[*]}")
  fi
  "$python" -m bigan_jax.main --coordinator="localhost:$port" --processes="$processes" \
    --process="$i" "$@" &
  pids+=($!)
done

status=0
for pid in "${pids[@]}"; do
  wait "$pid"
  code=$?
  while kill -0 "$pid" 2>/dev/null; do  # A signal ended the wait, not the process.
    wait "$pid"
    code=$?
  done
  ((status == 0)) && status=$code
done
[[ -z $interrupted ]] || status=130
exit "$status"

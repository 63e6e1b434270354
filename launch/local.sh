#!/usr/bin/env bash
# Several processes on this machine that train as one; usually one process with all devices is best.
#
#   PROCESSES=2 launch/local.sh --config=configs/mnist.py --workdir=runs/mnist
#
# With GPUS=1 process I is given GPU I alone; PORT is where process 0 listens. Ctrl-C and SIGTERM
# save and end all. The exit status is the first that is not 0.
set -uo pipefail
processes=${PROCESSES:-2}
port=${PORT:-12355}
python=${PYTHON:-python}

pids=()
for ((i = 0; i < processes; i++)); do
  if [[ -n ${GPUS:-} ]]; then
    export CUDA_VISIBLE_DEVICES=$i
  fi
  "$python" -m bigan_jax.main --coordinator="localhost:$port" --processes="$processes" \
    --process="$i" "$@" &
  pids+=($!)
done
trap 'kill -TERM "${pids[@]}" 2>/dev/null' INT TERM

status=0
for pid in "${pids[@]}"; do
  wait "$pid"
  code=$?
  while kill -0 "$pid" 2>/dev/null; do  # a signal ended the wait, not the process
    wait "$pid"
    code=$?
  done
  ((status == 0)) && status=$code
done
exit "$status"

#!/usr/bin/env bash
# The paper's Table 3: transfers every encoder given to PASCAL VOC's classification (by what is
# trained: fc8, fc6 to fc8, all layers), detection and segmentation; besides, untrained encoders in
# the shape of the first one (random and k-means).
#
#   launch/table3.sh OUT RUN [RUN ...] [-- flags of bigan_jax.main ...]
#   launch/table3.sh runs/table3 runs/bigan runs/gan -- --config.data.path=VOCdevkit
#   SEEDS="0 1 2" SIZE=small TASKS=fc6_8 launch/table3.sh runs/table3 runs/bigan
#
# RUNs are run folders, also of networks trained with labels (configs/frozen_layers.py:supervised).
# ROWS="pretrained random kmeans" and TASKS="fc8 fc6_8 all detection segmentation" choose; flags go
# to all tasks that are chosen, so those of one task want a call of their own. NET=fcn32s, fcn16s or
# fcn8s is the network of segmentation. OUT/NAME-TASK-SEED are run folders of their own; finished
# ones are not trained again, and interrupted ones continue. OUT/table3.md and .csv hold the table.
set -euo pipefail
usage="usage: launch/table3.sh OUT RUN [RUN ...] [-- flags]"
out=${1:?$usage}
shift
runs=()
while [[ $# -gt 0 && $1 != -- ]]; do
  runs+=("$1")
  shift
done
[[ ${1:-} == -- ]] && shift
first=${runs[0]:?$usage}
net=${NET:-fcn32s}
size=${SIZE:-full}
python=${PYTHON:-python}

train() {  # NAME SOURCE ENCODER TASK SEED, and the flags
  local name=$1 source=$2 encoder=$3 task=$4 seed=$5 config
  shift 5
  case $task in
    fc8 | fc6_8 | all) config=voc_classification.py:$task ;;
    detection) config=voc_detection.py:all ;;
    segmentation) config=voc_segmentation.py:$net task=$net ;;
    *)
      echo "TASKS has $task: choose from fc8, fc6_8, all, detection and segmentation." >&2
      exit 1 ;;
  esac
  "$python" -m bigan_jax.main --config="configs/$config,source=$source,size=$size" \
    --workdir="$out/$name-$task-$seed" --config.encoder="$encoder" --config.seed="$seed" "$@"
}

for seed in ${SEEDS:-0}; do
  for task in ${TASKS:-fc8 fc6_8 all detection segmentation}; do
    for row in ${ROWS:-pretrained random kmeans}; do
      case $row in
        pretrained)
          for i in "${!runs[@]}"; do
            train "run$i" pretrained "${runs[$i]}" "$task" "$seed" "$@"
          done ;;
        random | kmeans)
          train "$row" "$row" "$first" "$task" "$seed" "$@" ;;
        *)
          echo "ROWS has $row: choose from pretrained, random and kmeans." >&2
          exit 1 ;;
      esac
    done
  done
done
"$python" -m bigan_jax.table3 "$out"

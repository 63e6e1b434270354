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
source "$(dirname "$0")/rows.sh"
rows=${ROWS:-pretrained random kmeans}
tasks=${TASKS:-fc8 fc6_8 all detection segmentation}
net=${NET:-fcn32s}
check_words ROWS "pretrained random kmeans" "$rows"
check_words TASKS "fc8 fc6_8 all detection segmentation" "$tasks"

train() {  # NAME SOURCE ENCODER TASK SEED
  local task=$4 config
  case $task in
    detection) config=voc_detection.py:all ;;
    segmentation) config=voc_segmentation.py:$net task=$net ;;
    *) config=voc_classification.py:$task ;;
  esac
  bigan --config="configs/$config,source=$2,size=$size" \
    --workdir="$out/$1-$task-$5" --config.encoder="$3" --config.seed="$5" ${flags[@]+"${flags[@]}"}
}

for seed in ${SEEDS:-0}; do
  for task in $tasks; do
    every_row "$task" "$seed"
  done
done
"$python" -m bigan_jax.evaluation.tables.table3 "$out"

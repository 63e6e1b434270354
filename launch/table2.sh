#!/usr/bin/env bash
# The paper's Table 2: freezes the first 1, 2, ... layers of every encoder given and trains the rest
# with labels; besides, of untrained encoders (random and k-means) and of one trained with labels,
# all in the shape and on the data of the first encoder.
#
#   launch/table2.sh OUT RUN [RUN ...] [-- flags of bigan_jax.main ...]
#   SEEDS="0 1 2" SIZE=small launch/table2.sh runs/table2 runs/bigan runs/gan -- --config.epochs=30
#
# RUNs are run folders. ROWS="pretrained random kmeans labels" and LAYERS="1 2 3 4 5" choose.
# OUT/NAME-N-SEED are run folders of their own; finished ones are not trained again, and interrupted
# ones continue. OUT/table2.md and .csv hold the table.
set -euo pipefail
source "$(dirname "$0")/rows.sh"
layers="1 2 3 4 5"
if grep -qs '"family": "mlp"' "$first/config.json"; then
  layers="1 2"
fi
layers=${LAYERS:-$layers}
rows=${ROWS:-pretrained random kmeans labels}
config=${CONFIG:-configs/frozen_layers.py}
check_words ROWS "pretrained random kmeans labels" "$rows"

train() {  # NAME SOURCE ENCODER FROZEN SEED
  bigan --config="$config:$2,size=$size" --workdir="$out/$1-$4-$5" \
    --config.encoder="$3" --config.frozen="$4" --config.seed="$5" ${flags[@]+"${flags[@]}"}
}

for seed in ${SEEDS:-0}; do
  for n in $layers; do
    every_row "$n" "$seed"
  done
  if [[ " $rows " == *" labels "* ]]; then
    train labels supervised "$first" 0 "$seed"
    for n in $layers; do
      train labels pretrained "$out/labels-0-$seed" "$n" "$seed"
    done
  fi
done
"$python" -m bigan_jax.evaluation.tables.table2 "$out"

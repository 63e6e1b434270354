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
usage="usage: launch/table2.sh OUT RUN [RUN ...] [-- flags]"
out=${1:?$usage}
shift
runs=()
while [[ $# -gt 0 && $1 != -- ]]; do
  runs+=("$1")
  shift
done
[[ ${1:-} == -- ]] && shift
first=${runs[0]:?$usage}
layers="1 2 3 4 5"
if grep -qs '"family": "mlp"' "$first/config.json"; then
  layers="1 2"
fi
layers=${LAYERS:-$layers}
rows=${ROWS:-pretrained random kmeans labels}
config=${CONFIG:-configs/frozen_layers.py}
size=${SIZE:-full}
python=${PYTHON:-python}

train() {  # NAME SOURCE ENCODER FROZEN SEED, and the flags
  local name=$1 source=$2 encoder=$3 frozen=$4 seed=$5
  shift 5
  "$python" -m bigan_jax.main --config="$config:$source,size=$size" \
    --workdir="$out/$name-$frozen-$seed" --config.encoder="$encoder" --config.frozen="$frozen" \
    --config.seed="$seed" "$@"
}

for seed in ${SEEDS:-0}; do
  for row in $rows; do
    case $row in
      pretrained)
        for i in "${!runs[@]}"; do
          for n in $layers; do
            train "run$i" pretrained "${runs[$i]}" "$n" "$seed" "$@"
          done
        done ;;
      random | kmeans)
        for n in $layers; do
          train "$row" "$row" "$first" "$n" "$seed" "$@"
        done ;;
      labels)
        train labels supervised "$first" 0 "$seed" "$@"
        for n in $layers; do
          train labels pretrained "$out/labels-0-$seed" "$n" "$seed" "$@"
        done ;;
      *)
        echo "ROWS has $row: choose from pretrained, random, kmeans and labels." >&2
        exit 1 ;;
    esac
  done
done
"$python" -m bigan_jax.table2 "$out"

#!/usr/bin/env bash
# The paper's Table 1: trains all six feature learners on MNIST and prints their 1-NN accuracies.
#
#   launch/table1.sh OUT [flags of bigan_jax.main ...]
#   SEEDS="0 1 2" RECIPE=official launch/table1.sh runs/table1 --config.data_dir=DIR
#
# OUT/RECIPE/OBJECTIVE-SEED are the run folders; finished ones are not trained again, interrupted
# ones continue. OUT/RECIPE/table1.md and .csv hold the table.
set -euo pipefail
source "$(dirname "$0")/common.sh"
out=${1:-}
need OUT "$out" "launch/table1.sh OUT [flags of bigan_jax.main ...]."
shift
seeds=${SEEDS:-0}
recipe=${RECIPE:-paper}
config=${CONFIG:-configs/mnist.py}

for seed in $seeds; do
  for objective in bigan gan latent_regressor joint_latent_regressor autoencoder_l2 autoencoder_l1
  do
    bigan --config="$config:$objective,recipe=$recipe" \
      --workdir="$out/$recipe/$objective-$seed" --config.seed="$seed" \
      --config.data.splits=test --config.eval.references=0 "$@"
  done
done
"$python" -m bigan_jax.evaluation.tables.table1 "$out/$recipe"

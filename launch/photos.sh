#!/usr/bin/env bash
# How good are features of photos: trains BiGAN and the five baselines on a set of photos, judges
# them and the untrained network, and prints all of it beside published numbers.
#
#   launch/photos.sh OUT DATASET [flags of bigan_jax.main ...]
#   SEEDS="0 1 2" EPOCHS=30 METHODS="bigan gan" launch/photos.sh runs/photos cifar10
#
# DATASET is cifar10 or tiny_imagenet, the name of a config; CONFIG is another file. The flags are
# the training's, as --config.data.path=DIR. LAYERS="conv3 fc e" are those of E that are judged
# (all); UNTRAINED="0 1 2" are the seeds of the untrained network, which has the shape of the first
# method; RECIPE is paper; SIZE=small is for a config that has it, then without the two regressors.
#
# OUT/DATASET/RECIPE/METHOD-SEED are the run folders, linear/METHOD-SEED and mlp/METHOD-SEED beside
# them what linear_probe.py found: logistic regression and neighbours, and one hidden layer. What
# is finished is not done again; delete a folder to judge anew. photos.md and .csv hold the table.
set -euo pipefail
source "$(dirname "$0")/common.sh"
out=${1:-}
usage="launch/photos.sh OUT DATASET [flags of bigan_jax.main ...]."
need OUT "$out" "$usage"
dataset=${2:-}
need DATASET "$dataset" "$usage"
shift 2
recipe=${RECIPE:-paper}
config=${CONFIG:-configs/$dataset.py}
regressors="latent_regressor joint_latent_regressor"
if [[ ${SIZE:-} == small ]]; then
  regressors=  # E sees larger pictures than G makes.
fi
methods=${METHODS:-bigan gan $regressors autoencoder_l2 autoencoder_l1}
check_words METHODS \
  "bigan gan latent_regressor joint_latent_regressor autoencoder_l2 autoencoder_l1" "$methods"
untrained=${UNTRAINED:-0 1 2}
folder=$out/$dataset/$recipe

# judge KIND METHOD SEED FLAGS ...: into KIND/METHOD-SEED, unless it has judged the run as it is now.
judge() {
  local kind=$1 method=$2 run=$2-$3 layer
  shift 3
  if [[ $folder/$kind/$run/results.json -nt $folder/$run/metrics.jsonl ]]; then
    return
  fi
  if [[ $method != gan ]]; then  # Whose D has layers of its own.
    for layer in ${LAYERS:-}; do
      set -- "$@" --config.layers="$layer"
    done
  fi
  if [[ $run == "$first" ]]; then
    set -- "$@" --config.baseline=random --config.baseline_seeds="(${untrained// /,},)"
  fi
  bigan --config=configs/linear_probe.py --config.encoder="$folder/$run" \
    --workdir="$folder/$kind/$run" --config.discriminator=True "$@"
}

first=
for seed in ${SEEDS:-0}; do
  for method in $methods; do
    first=${first:-$method-$seed}
    bigan --config="$config:$method,recipe=$recipe${SIZE:+,size=$SIZE}" \
      --workdir="$folder/$method-$seed" --config.seed="$seed" \
      --config.data.splits=test ${EPOCHS:+--config.epochs="$EPOCHS"} "$@"
    judge linear "$method" "$seed" --config.pca=64
    judge mlp "$method" "$seed" --config.classifier=mlp
  done
done
"$python" -m bigan_jax.evaluation.tables.photos "$folder"

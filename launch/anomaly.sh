#!/usr/bin/env bash
# Which pictures do not belong: trains without some classes, scores the test set, and prints how
# well each score finds those classes, beside published numbers.
#
#   launch/anomaly.sh OUT DATASET [flags of bigan_jax.main ...]
#   SEEDS="0 1 2" LABELS="1 4 5 7 9" EPOCHS=20 launch/anomaly.sh runs/anomaly mnist
#   LABELS="0 1 7 8" RECIPE=modern launch/anomaly.sh runs/anomaly cifar10 --config.model.E.width=32
#
# DATASET is mnist, of which each of LABELS is left out in turn and is the anomaly (AUPR), or
# cifar10, of which each is trained on alone and all others are anomalies (AUROC). LABELS are
# numbers, all ten by default; METHODS="bigan untrained" are objectives, such as alad, and BiGAN's
# networks as they are before training; RECIPE is one of the config's, whose runs are METHOD-RECIPE
# below; CONFIG is another file. Training is judged by few samples, since that is not what this is
# about. Each class is also judged without any network.
#
# OUT/DATASET/METHOD/LABEL-SEED are the run folders, scores/METHOD/LABEL-SEED beside them what
# bigan_jax.anomaly wrote: a list, a page. What is finished is not done again; delete a folder to
# judge anew. OUT/DATASET/anomaly.md and .csv hold the table.
set -euo pipefail
source "$(dirname "$0")/common.sh"
out=${1:-}
usage="launch/anomaly.sh OUT DATASET [flags of bigan_jax.main ...]."
need OUT "$out" "$usage"
dataset=${2:-}
need DATASET "$dataset" "$usage"
shift 2
config=${CONFIG:-configs/$dataset.py}
folder=$out/$dataset
case $dataset in
  mnist) field=without_labels ;;
  cifar10) field=only_labels ;;
  *)
    echo "$script: DATASET is $dataset: choose from mnist, cifar10." >&2
    exit 1 ;;
esac

# judge METHOD LABEL-SEED: into scores/, unless it has judged the run as it is now.
judge() {
  local run=$folder/$1/$2 scores=$folder/scores/$1/$2
  if [[ $scores/scores.csv -nt $run/metrics.jsonl ]]; then
    return
  fi
  "$python" -m bigan_jax.anomaly --model="$run" --out="$scores" --force
}

for seed in ${SEEDS:-0}; do
  for label in ${LABELS:-0 1 2 3 4 5 6 7 8 9}; do
    for method in ${METHODS:-bigan untrained}; do
      own=() name=$method${RECIPE:+-$RECIPE}
      [[ $method != untrained ]] || own=(--config.epochs=0)
      bigan --config="$config:${method/untrained/bigan}${RECIPE:+,recipe=$RECIPE}" \
        --workdir="$folder/$name/$label-$seed" \
        --config.seed="$seed" --config.data.splits=test --config.data.$field="$label" \
        --config.eval.samples=1000 --config.calibration_steps=100 \
        ${EPOCHS:+--config.epochs="$EPOCHS"} "$@" ${own[@]+"${own[@]}"}
      judge "$name" "$label-$seed"
    done
  done
done
"$python" -m bigan_jax.evaluation.tables.no_network "$folder"
"$python" -m bigan_jax.evaluation.tables.anomaly "$folder"

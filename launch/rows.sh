# What launch/table2.sh and launch/table3.sh share; sourced by them, with their arguments.
#
# Reads OUT RUN [RUN ...] [-- flags of bigan_jax.main ...] into out, runs, first and flags, and
# offers a loop over the rows of a table.
source "$(dirname "$0")/common.sh"
usage="launch/$script OUT RUN [RUN ...] [-- flags of bigan_jax.main ...]."
out=${1:-}
need OUT "$out" "$usage"
shift
runs=()
while [[ $# -gt 0 && $1 != -- ]]; do
  runs+=("$1")
  shift
done
[[ ${1:-} == -- ]] && shift
flags=("$@")  # given on as ${flags[@]+"${flags[@]}"}: bash 3 takes an empty list for unset
first=${runs[0]:-}
need RUN "$first" "$usage"
size=${SIZE:-full}

# every_row COLUMN SEED: calls `train NAME SOURCE ENCODER COLUMN SEED` for each row in ROWS, of which
# "pretrained" is all RUNs, and the others are untrained layers in the shape of the first.
every_row() {
  local row i
  for row in $rows; do
    case $row in
      pretrained)
        for i in "${!runs[@]}"; do
          train "run$i" pretrained "${runs[$i]}" "$@"
        done ;;
      random | kmeans)
        train "$row" "$row" "$first" "$@" ;;
      labels) ;;  # of table2.sh alone
    esac
  done
}

#!/usr/bin/env bash
# One self-contained HTML page about any number of run folders, of training and of jobs. Jobs beside
# a run that judged it are found: linear/RUN, and folders whose config.encoder is RUN.
#
#   launch/report.sh report.html RUN [RUN ...]
set -euo pipefail
source "$(dirname "$0")/common.sh"
out=${1:-}
need FILE.html "$out" "launch/report.sh FILE.html RUN [RUN ...]."
shift
"$python" -m bigan_jax.evaluation.tables.report --out="$out" "$@"

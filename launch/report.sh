#!/usr/bin/env bash
# One self-contained HTML page about any number of run folders, of training and of jobs.
#
#   launch/report.sh report.html RUN [RUN ...]
set -euo pipefail
out=${1:?usage: launch/report.sh FILE.html RUN [RUN ...]}
shift
"${PYTHON:-python}" -m bigan_jax.evaluation.tables.report --out="$out" "$@"

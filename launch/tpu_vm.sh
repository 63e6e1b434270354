#!/usr/bin/env bash
# A run on a Cloud TPU, of one host or a slice of many: installs this checkout there, and trains.
#
#   ZONE=us-central2-b launch/tpu_vm.sh NAME --config=configs/imagenet.py --workdir=/mnt/runs/NAME
#
# NAME is a TPU VM that exists (gcloud compute tpus tpu-vm create). The package and its configs go
# to all its hosts as they lie here, committed or not. PYTHON (default: python3.11) is the hosts'
# Python; where it is missing, Ubuntu's package of that name is installed: the usual images, of
# Ubuntu 22.04, have 3.10 alone, which is too old.
# --workdir and data sets must be seen by all hosts: a mounted disk, such as Filestore, or gcsfuse.
# On a slice that was preempted, create it again and repeat the command: it continues.
set -euo pipefail
source "$(dirname "$0")/common.sh"
usage="ZONE=ZONE launch/tpu_vm.sh NAME --config=FILE.py --workdir=DIR [more flags of bigan_jax.main ...]."
name=${1:-} zone=${ZONE:-} python=${PYTHON:-python3.11}
need NAME "$name" "$usage"
(($# > 1)) || need --config "" "$usage"
need ZONE "$zone" "$usage"
shift
root=$(cd "$(dirname "$0")/.." && pwd)

archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
tar -czf "$archive" -C "$root" --exclude=__pycache__ \
  pyproject.toml setup.cfg README.md LICENSE bigan_jax configs
gcloud compute tpus tpu-vm scp "$archive" "$name:bigan_jax.tar.gz" --zone="$zone" --worker=all
on_all() {
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$1"
}
on_all "$python -c 'import ensurepip' 2>/dev/null \
  || { sudo apt-get update -q && sudo apt-get install -yq $python-venv; }"
on_all "rm -rf ~/bigan/source && mkdir -p ~/bigan/source \
  && tar -xzf bigan_jax.tar.gz -C ~/bigan/source \
  && $python -m venv ~/bigan && ~/bigan/bin/pip install -q ~/bigan/source'[tpu]'"
# One host or many, each with its own chips: JAX finds the others by itself.
on_all "~/bigan/bin/python -m bigan_jax.main --distributed $(printf '%q ' "$@")"

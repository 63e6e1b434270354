#!/usr/bin/env bash
# A run on a Cloud TPU, of one host or a slice of many: installs this checkout there, and trains.
#
#   ZONE=us-central2-b launch/tpu_vm.sh NAME --config=configs/imagenet.py --workdir=/mnt/runs/imagenet
#
# NAME is a TPU VM that exists (gcloud compute tpus tpu-vm create). The checkout is copied to all its
# hosts. --workdir and data sets must be seen by all hosts: a mounted disk, such as Filestore, or
# gcsfuse. On a slice that was preempted, create it again and repeat the command: it continues.
set -euo pipefail
usage="usage: ZONE=ZONE launch/tpu_vm.sh NAME [flags of bigan_jax.main]"
name=${1:?$usage}
zone=${ZONE:?$usage}
shift
root=$(cd "$(dirname "$0")/.." && pwd)

archive=$(mktemp --suffix=.tar.gz)
trap 'rm -f "$archive"' EXIT
git -C "$root" archive --format=tar.gz --prefix=bigan_jax/ -o "$archive" HEAD
gcloud compute tpus tpu-vm scp "$archive" "$name:bigan_jax.tar.gz" --zone="$zone" --worker=all
on_all() {
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$1"
}
on_all "tar xzf bigan_jax.tar.gz && python3 -m venv ~/bigan \
  && ~/bigan/bin/pip install -q './bigan_jax[tpu]'"
# One host or many, each with its own chips: JAX finds the others by itself.
on_all "~/bigan/bin/python -m bigan_jax.main --distributed $(printf '%q ' "$@")"

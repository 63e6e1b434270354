# What the scripts here share; sourced by them, with their arguments.
#
# Prints the comment at their head for -h and --help. Ctrl-C, which the program that is running
# gets too, ends the script when that one has ended, with status 130; what comes next is not begun.
python=${PYTHON:-python}
# Memory in pages of 2 MiB: a step of configs/cifar10.py takes 5 % less (docs/roofline.md).
export GLIBC_TUNABLES=${GLIBC_TUNABLES-glibc.malloc.hugetlb=1}
script=$(basename "$0")
for word in "$@"; do
  if [[ $word == -h || $word == --help ]]; then
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"
    exit
  fi
done
trap 'exit 130' INT

# need WHAT VALUE USAGE: ends with a sentence if the value is empty or a flag.
need() {
  if [[ -z $2 || $2 == -* ]]; then
    echo "$script: $1 is missing${2:+ before $2}: $3" >&2
    exit 1
  fi
}

# bigan FLAGS ...: runs the program; one that SIGTERM stopped before its end ends the script too.
bigan() {
  "$python" -m bigan_jax.main --stopped_status=143 "$@"
}

# check_words NAME "ALLOWED ..." "GIVEN ...": ends with a sentence at the first that is not allowed.
check_words() {
  local word
  for word in $3; do
    if [[ " $2 " != *" $word "* ]]; then
      echo "$1 has $word: choose from ${2// /, }." >&2
      exit 1
    fi
  done
}

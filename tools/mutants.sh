#!/usr/bin/env bash
# Makes small changes to the kernel's code, one at a time, and lists those that no test detects. See usage below.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'END'
tools/mutants.sh [OPTION...] [GLOB...]

Make mutants of the files (by default those of ports, messages, tasks, threads and time in the kernel's core), run the
kernel's host tests on each and list the mutants that pass. Needs `cargo install --locked cargo-mutants cargo-nextest`.

  --sample N   test N mutants, chosen at random; 300 by default, 0 for all of them
  --seed S     choose another sample; 1 by default
  --shard K/N  test the K-th of N parts of the sample, K from 0
  --jobs N     test N mutants at a time; 2 by default
  --list       list the mutants without testing them
  --help       show this help

The mutants that no test detects are listed in target/mutants/mutants.out/missed.txt, beside the results of all others.
END
}

# Folders and files of the core where a mistake shows in what a program sees.
files=('kernel/src/'{ipc,msg,sched,task}'/**' 'kernel/src/'{lifetime,step,work}.rs)
sample=300 seed=1 shard=0/1 jobs=2 list=
while [[ "${1:-}" == -* ]]; do
  case "$1" in
    --sample) sample=$2; shift ;;
    --seed) seed=$2; shift ;;
    --shard) shard=$2; shift ;;
    --jobs) jobs=$2; shift ;;
    --list) list=yes ;;
    --help | -h) usage; exit ;;
    *) echo "tools/mutants.sh: unknown option $1 (run tools/mutants.sh --help for usage)" >&2; exit 64 ;;
  esac
  shift
done
(($# == 0)) || files=("$@")

for command in mutants nextest; do
  cargo "$command" --version >/dev/null 2>&1 || {
    echo "tools/mutants.sh: missing: cargo install --locked cargo-$command" >&2
    exit 69
  }
done

# Reads names and prints those that seed, sample and shard choose.
sampled() {
  awk -v seed="$seed" 'BEGIN { srand(seed) } { printf "%.9f\t%s\n", rand(), $0 }' | sort | cut -f 2- |
    awk -v sample="$sample" -v shard="$shard" '
      BEGIN { split(shard, part, "/") }
      (sample == 0 || NR <= sample) && (NR - 1) % part[2] == part[1]'
}

place=target/mutants
mkdir -p "$place"
arguments=(--package kernel)
for file in "${files[@]}"; do arguments+=(--file "$file"); done
cargo mutants --list "${arguments[@]}" | sampled >"$place/sample.txt"
[[ -s "$place/sample.txt" ]] || { echo "tools/mutants.sh: no mutants found" >&2; exit 64; }
[[ -z $list ]] || { cat "$place/sample.txt"; exit; }

# The names go into a configuration file, as regular expressions, because a command line is too short. cargo-mutants 27
# also tests the few mutants that delete a field, even if they are not in the sample.
{
  echo "examine_re = ["
  sed -e 's/[][\.*^$+?(){}|&~#-]/\\&/g' -e "s/.*/  '''^&\$''',/" "$place/sample.txt"
  echo "]"
} >"$place/sample.toml"

# Fewer random steps, and one test at a time, because several mutants are tested at once. nextest ends tests that hang.
export TALLY_STEPS=${TALLY_STEPS:-50} NEXTEST_PROFILE=mutants NEXTEST_TEST_THREADS=1
nice -n 10 cargo mutants "${arguments[@]}" --config "$place/sample.toml" --output "$place" --jobs "$jobs" \
  --profile mutants --test-tool nextest --cap-lints true --timeout 900

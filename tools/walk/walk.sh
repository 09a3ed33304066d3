#!/usr/bin/env bash
# Builds the random walks through Mach IPC, runs them in QEMU and compares them with recorded ones. See usage below.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'END'
tools/walk/walk.sh [KIND [FIRST COUNT STEPS]]

Run COUNT walks from number FIRST on, each with STEPS operations, and compare them with the recorded answers of XNU's
code. Without numbers, run all that are recorded: walks 1 to 100, with 100 operations each.

  plain    one task acts, on its own names and on those of a second task (the default)
  pair     both tasks act, in turn
  voucher  both act, with vouchers and importance

tools/walk/README.md explains the output. The status is 0 if all walks agree, 1 if one differs.
END
}

kind=plain
case "${1:-}" in
  --help | -h) usage; exit ;;
  plain | pair | voucher) kind=$1; shift ;;
  [0-9]* | '') ;;
  *) echo "tools/walk/walk.sh: unknown kind of walk $1 (run tools/walk/walk.sh --help for usage)" >&2; exit 64 ;;
esac
numbers=("$@")
if ((${#numbers[@]} == 0)); then numbers=(1 100 100); fi
if ((${#numbers[@]} != 3)); then
  echo "tools/walk/walk.sh: expected FIRST COUNT STEPS, got ${numbers[*]} (run tools/walk/walk.sh --help for usage)" >&2
  exit 64
fi

# Each kind has a directory, so that both can run at the same time.
place=$PWD/target/walk/$kind
mkdir -p "$place"
export TALLY_OUTPUT=$place
gcc -O2 -static -nostdlib -ffreestanding -fno-stack-protector -fno-pie -no-pie -fcf-protection=none -mno-red-zone \
  -o "$place/ipcwalk.elf" tools/walk/ipcwalk.c
arguments=("${numbers[@]}")
[[ $kind == plain ]] || arguments=("$kind" "${numbers[@]}")
./run-qemu.sh --timeout 600 run "$place/ipcwalk.elf" "${arguments[@]}" >"$place/walks.txt"
python3 tools/walk/compare.py "tools/walk/$kind.txt.xz" "$place/walks.txt"

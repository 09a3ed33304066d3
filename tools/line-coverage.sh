#!/usr/bin/env bash
# Tells which lines of a package its tests run: line-coverage.sh [PACKAGE]. Lines of tests themselves do not count.
#
# The compiler has its own instrumentation; what reads it are LLVM's tools, of the same major version as the compiler's
# LLVM. Debian has them as llvm-N.
set -euo pipefail
cd "$(dirname "$0")/.."

here=$PWD
package=${1:-voucher}
. tools/setup.sh

version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=/usr/lib/llvm-$version/bin
[[ -x $tools/llvm-cov ]] || need "LLVM's coverage tools" "llvm-$version"
install_missing

directory=$here/target/line-coverage
mkdir -p "$directory"
rm -f "$directory"/*.profraw
export RUSTFLAGS="-C instrument-coverage" CARGO_TARGET_DIR=$directory LLVM_PROFILE_FILE=$directory/%p-%m.profraw
cargo test --quiet -p "$package" --lib --tests >"$directory/tests.txt" || { cat "$directory/tests.txt" >&2; exit 1; }

# The programs that cargo ran are those it says it would run.
objects=()
while read -r program; do objects+=(-object "$program"); done < <(
  cargo test -p "$package" --lib --tests --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p'
)
"$tools/llvm-profdata" merge -sparse "$directory"/*.profraw -o "$directory/tests.profdata"
sources=$(cargo metadata --no-deps --format-version 1 |
  python3 -c 'import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == sys.argv[1]: print(os.path.dirname(package["manifest_path"]))' "$package")/src
"$tools/llvm-cov" export -format=lcov -instr-profile "$directory/tests.profdata" "${objects[@]}" -sources "$sources" \
  >"$directory/lines.lcov"

# Unit tests stand at the end of their file.
awk -F'[:,]' -v here="$here/" '
  /^SF:/ {
    path = $2; tests = 0; number = 0; sub(here, "", path)
    while ((getline text < $2) > 0) { number++; if (text ~ /^#\[cfg\(test\)\]$/) { tests = number; break } }
    close($2)
  }
  /^DA:/ && (!tests || $2 < tests) {
    lines++; of[path]++
    if ($3 > 0) { run++; ran[path]++ } else missed[path] = missed[path] " " $2
  }
  END {
    for (path in of)
      if (ran[path] < of[path]) printf "%s: %d of %d, not:%s\n", path, ran[path], of[path], missed[path] | "sort"
    close("sort")
    printf "%d of %d lines: %.1f %%\n", run, lines, 100 * run / lines
  }' "$directory/lines.lcov"

#!/usr/bin/env bash
# Reports which lines of a package its tests run: line-coverage.sh [PACKAGE [OPTION...]].
# Options are those of `cargo llvm-cov`, for example `--html`. Needs `cargo install --locked cargo-llvm-cov`.
set -euo pipefail
cd "$(dirname "$0")/.."

here=$PWD
. tools/setup.sh

cargo llvm-cov --version >/dev/null 2>&1 || give_up "missing: cargo install --locked cargo-llvm-cov"

# LLVM's tools are of the same major version as the compiler's LLVM. rustup has them as `llvm-tools`, Debian as llvm-N.
if ! compgen -G "$(rustc --print sysroot)/lib/rustlib/*/bin/llvm-cov" >/dev/null; then
  version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
  tools=/usr/lib/llvm-$version/bin
  [[ -x $tools/llvm-cov ]] || need "LLVM's coverage tools" "llvm-$version"
  install_missing
  export LLVM_COV=$tools/llvm-cov LLVM_PROFDATA=$tools/llvm-profdata
fi

cargo llvm-cov --package "${1:-voucher}" --lib --tests --show-missing-lines "${@:2}" -- --quiet

#!/usr/bin/env bash
# Runs clippy for both machines with the given arguments. Editors pass `--message-format=json`: .vscode/settings.json.
set -uo pipefail
cd "$(dirname "$0")/.."

status=0
cargo clippy --workspace --all-targets --quiet "$@" || status=$?
cargo clippy --target x86_64-unknown-none -p boot -p kernel -p runtime -p dispatch -p user -p xpc --quiet "$@" || status=$?
exit "$status"

#!/usr/bin/env bash
# Runs clippy for both machines with the given arguments. Editors pass `--message-format=json`: .vscode/settings.json.
set -uo pipefail
cd "$(dirname "$0")/.."

status=0
cargo clippy --workspace --all-targets --quiet "$@" || status=$?
bare=(-p boot -p kernel -p runtime -p dispatch -p dispatch-c -p user -p xpc)
cargo clippy --target x86_64-unknown-none "${bare[@]}" --quiet "$@" || status=$?
exit "$status"

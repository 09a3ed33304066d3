#!/usr/bin/env bash
# Runs clippy for both machines with the given arguments. Editors pass `--message-format=json`: .vscode/settings.json.
set -uo pipefail
cd "$(dirname "$0")/.."

status=0
cargo clippy --workspace --all-targets --quiet "$@" || status=$?
cargo bare --quiet "$@" || status=$?
exit "$status"

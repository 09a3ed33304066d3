#!/usr/bin/env bash
# Clippy for both machines, with what the caller adds. Editors ask for `--message-format=json`: .vscode/settings.json.
set -uo pipefail
cd "$(dirname "$0")/.."

status=0
cargo clippy --workspace --all-targets --quiet "$@" || status=$?
cargo clippy --target x86_64-unknown-none -p boot -p kernel -p user --quiet "$@" || status=$?
exit "$status"

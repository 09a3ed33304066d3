# Tells what goes on while something takes long. Sourced by setup.sh.

# Succeeds if somebody watches what goes on.
is_watched() { [[ -t 2 && ${TERM:-dumb} != dumb ]]; }

# say TEXT: tells a stage of the work. A file is told only by calls that have no program's output on standard error, as
# `run` has.
say() {
  if [[ -t 2 || ${command:-} =~ ^(harness|test|build)$ ]]; then echo "$1" >&2; fi
}

# with_log FILE COMMAND...: runs a command with its output in the file. Somebody who watches sees it, too, with the
# progress that cargo shows on a terminal.
with_log() {
  local file=$1 columns
  shift
  if is_watched; then
    columns=$(stty size <&2 2>/dev/null | cut -d ' ' -f 2)
    ((${columns:-0} > 0)) || columns=80
    CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=$columns CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-always} \
      "$@" 2>&1 | tee "$file" >&2
  else
    "$@" >"$file" 2>&1
  fi
}

# show_log FILE: shows the output of a command that has failed, unless it was seen already.
show_log() {
  is_watched || cat "$1" >&2
}

# with_lock FILE COMMAND...: runs a command while no other process has the lock, and says so if it has to wait. Most
# waits are too short to be worth a word.
with_lock() {
  local file=$1 status=0
  shift
  exec 9>"$file"
  flock -w 1 9 || { say "waiting for another run that builds or copies the images ..."; flock 9; }
  "$@" || status=$?
  exec 9>&-
  return "$status"
}

# Ends the script, and all that it has started, when a signal asks for it. Sourced by setup.sh.

# Lets the signals that ask for an end have it at once. Without this the machine would live on when the script ends.
trap_signals() {
  trap 'end_by INT 130' INT
  trap 'end_by TERM 143' TERM
  trap 'end_by HUP 129' HUP
}

# end_by SIGNAL STATUS: ends everything. Ctrl-C needs no report, because who typed it knows.
end_by() {
  trap '' INT TERM HUP
  kill_descendants
  if [[ $1 == INT ]]; then echo >&2; else echo "run-qemu.sh: ended by SIG$1" >&2; fi
  exit "$2"
}

# attend COMMAND...: runs a command, or a function in a shell of its own, with the standard input of the script. The
# shell runs traps only between commands and while it waits, so it must not run what takes long itself.
attend() {
  local input status=0
  exec {input}<&0
  "$@" <&"$input" {input}<&- &
  exec {input}<&-
  # The shell would report a command that was killed.
  wait "$!" 2>/dev/null || status=$?
  return "$status"
}

# Kills all processes that the script has started, and theirs. They are stopped first, so that none starts another one
# unseen.
kill_descendants() {
  local -A stopped=()
  local more=yes process
  while [[ -n $more ]]; do
    more=
    while read -r process; do
      [[ -z ${stopped[$process]:-} ]] || continue
      kill -STOP "$process" 2>/dev/null || continue
      stopped[$process]=yes more=yes
    done < <(descendants $$)
  done
  ((${#stopped[@]} == 0)) || kill -KILL "${!stopped[@]}" 2>/dev/null || true
}

# descendants PROCESS: prints the processes that this one has started, and theirs, but not the shell that prints it.
descendants() {
  local file line process fields self=$BASHPID
  local -A parent=()
  for file in /proc/[0-9]*/stat; do
    # A process may have ended, and a name may have any characters.
    line=
    { IFS= read -r -d '' line <"$file"; } 2>/dev/null || [[ -n $line ]] || continue
    process=${line%% *}
    read -r -a fields <<<"${line##*) }"
    parent[$process]=${fields[1]}
  done
  local found=("$1") next=0
  while ((next < ${#found[@]})); do
    for process in "${!parent[@]}"; do
      if [[ ${parent[$process]} == "${found[next]}" && $process != "$self" ]]; then
        found+=("$process")
        echo "$process"
      fi
    done
    ((++next))
  done
}

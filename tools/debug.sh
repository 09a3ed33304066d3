# Boots and waits for a debugger. Sourced by run-qemu.sh.

# The load address of position-independent programs: `PIE_BASE` in kernel/src/task/program.rs.
pie_base=0x10000000

debugger_port=${TALLY_GDB_PORT:-1234}
# More options of the machine.
debugged=()

# wait_for_debugger [PROGRAM ...]: boots and waits for a debugger, which gets the symbols of the kernel, of the bundle's
# programs and of this program, and the commands `tally`.
wait_for_debugger() {
  local attach=(-ex "set confirm off" -ex "file '$images/kernel'") program
  attach+=(-ex "source $here/tools/gdb/tally.py")
  for program in "${programs[@]}"; do attach+=(-ex "add-symbol-file '$images/$program'"); done
  if (($# > 0)); then attach+=(-ex "$(symbols_of "$1")"); fi
  attach+=(-ex "target remote localhost:$debugger_port")
  local command=("${qemu[@]}" -m "$memory" -kernel "$output/boot" -initrd "$bundle")
  command+=("${debugged[@]}" -gdb "tcp:localhost:$debugger_port" -S)
  : >"$log"
  if [[ -t 0 && -t 1 ]] && command -v gdb >/dev/null; then
    debug_here "${attach[@]}"
  else
    echo "waiting for a debugger at localhost:$debugger_port; attach with:" >&2
    printf '  gdb' >&2
    printf ' %q' "${attach[@]}" >&2
    printf '\n' >&2
    local status=0
    attend run_debugged || status=$?
    outcome "$status"
  fi
}

run_debugged() {
  local status=0
  "${command[@]}" -serial stdio -serial "file:$log" </dev/null | tee "$console" || status=${PIPESTATUS[0]}
  return "$status"
}

# Prints gdb's command for the symbols of a program. A position-independent program has them at its load address.
symbols_of() {
  local path
  path=$(realpath -- "$1")
  # The type of an ELF file is at offset 16; 3 means shared or position-independent.
  if [[ $(od -An -tu2 -j16 -N2 -- "$path") -eq 3 ]]; then
    echo "add-symbol-file -o $pie_base '$path'"
  else
    echo "add-symbol-file '$path'"
  fi
}

# Runs the debugger in this terminal and the machine in another session, so that Ctrl-C reaches only the debugger.
debug_here() {
  : >"$console"
  echo "the console is written to $console" >&2
  setsid "${command[@]}" -serial "file:$console" -serial "file:$log" </dev/null &
  trap "kill $! 2>/dev/null || true" EXIT
  gdb "$@" || true
}

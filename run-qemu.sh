#!/usr/bin/env bash
# Installs missing tools, builds Tally, boots it in QEMU and reports the outcome. See usage below.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/tools/setup.sh"
. "$here/tools/boot.sh"
. "$here/tools/debug.sh"

usage() {
  cat <<'EOF'
Build Tally, a tiny Mach-style kernel, and boot it in QEMU.

  ./run-qemu.sh                         boot and run the user-mode tests; on a terminal, then stay at the monitor
  ./run-qemu.sh test [FILTER]           run the host tests too; FILTER selects tests by a part of their name
  ./run-qemu.sh run PROGRAM [ARG...]    boot and run a program: a static ELF file, see docs/abi.md
  ./run-qemu.sh demo                    boot and watch how importance travels with messages
  ./run-qemu.sh monitor [PROGRAM [ARG...]]
                                        boot and look around: who runs, who is boosted, and why
  ./run-qemu.sh trace OUT [PROGRAM [ARG...]]
                                        boot and write a timeline: OUT.html, and OUT.pftrace for Perfetto
  ./run-qemu.sh bench                   count the instructions of common operations
  ./run-qemu.sh gdb [PROGRAM [ARG...]]  boot and wait for a debugger
  ./run-qemu.sh build                   build only

Options, before the command:
  --debug, --release   choose the build profile; the default is release, and debug for gdb
  --mem MIB            set the memory of the machine; 128 by default, the tests need 48
  --timeout S          stop a boot after S seconds; 120 by default
  --deliberate KIND    make a test go wrong to show the report: fail, slow, hang or panic
  --dump-on-panic      if the kernel panics, report too what each thread waited for
  --help               show this help

Missing tools are installed if the script runs as root or may use sudo. Otherwise the script names them.

Exit status:
  0    all tests passed, or the demo has told its story
  1    a test failed, or something in the demo is not as its story expects
  64   the command line is invalid
  65   the build failed
  69   a required tool is missing
  70   the kernel panicked
  71   QEMU did not boot the kernel
  124  the boot took too long
  130  interrupted by Ctrl-C
With `run` it is the exit status of the program: 127 if the program does not start, 128 plus the kind of exception if
one ended it.
EOF
}

usage_error() {
  echo "run-qemu.sh: $1 (run ./run-qemu.sh --help for usage)" >&2
  exit 64
}

# Options stand before the command, because those behind it belong to the program.
misplaced_option() {
  case "$1" in
    --debug | --release | --mem | --timeout | --deliberate | --dump-on-panic | --help)
      echo "; put options before the command" ;;
  esac
}

# expect_program COMMAND [PROGRAM [ARG...]]: checks that the program can be read and its arguments fit.
expect_program() {
  (($# > 1)) || usage_error "$1 needs a program"
  [[ ! -d "$2" ]] || usage_error "$2 is a directory, not a program"
  [[ -f "$2" ]] || usage_error "file not found: $2$(misplaced_option "$2")"
  [[ -r "$2" ]] || usage_error "cannot read the file $2"
  expect_arguments "${starting[@]}" run "program-${2##*/}" "${@:3}"
}

# The limits of a program's arguments in bytes (docs/abi.md, "Limits"): the strings with a zero byte each; and strings
# and pointers together, which have half of the first stack except what the kernel itself puts there.
arguments_max=32768
arguments_and_pointers_max=$((64 * 4096 / 2 - 256))

# expect_arguments ARG...: checks that the arguments fit the limits of `init`.
expect_arguments() {
  local size max=$arguments_max
  size=$(printf '%s\0' init "$@" | wc -c)
  ((size <= max)) || usage_error "the arguments take $size bytes, the limit is $max"
  ((size += 8 * ($# + 1), max = arguments_and_pointers_max))
  ((size <= max)) || usage_error "the arguments and their pointers take $size bytes, the limit is $max"
}

is_number() { [[ "$1" =~ ^[1-9][0-9]{0,5}$ ]]; }

# With less memory the bundle overlaps the boot loader in QEMU, which then cannot report an error.
memory_min=8

# Ctrl-C ends the machine without a report.
trap 'echo >&2; exit 130' INT

profile= memory=128 time_limit=120 deliberate=() filter=
while [[ "${1:-}" == -* ]]; do
  case "$1" in
    --debug) profile=debug ;;
    --release) profile=release ;;
    --mem)
      is_number "${2:-}" && (($2 >= memory_min)) || usage_error "--mem needs a number of MiB, at least $memory_min"
      memory=$2; shift ;;
    --timeout) is_number "${2:-}" || usage_error "--timeout needs a number of seconds"; time_limit=$2; shift ;;
    --deliberate)
      case "${2:-}" in
        fail | slow | hang | panic) deliberate=(--deliberate "$2"); shift ;;
        *) usage_error "--deliberate needs fail, slow, hang or panic" ;;
      esac ;;
    # The kernel finds it among the arguments of `init`.
    --dump-on-panic) starting+=(--dump-on-panic) ;;
    --help | -h) usage; exit ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done

run_harness() {
  local options=()
  [[ -t 1 ]] && options+=(--colour)
  if [[ $command == harness && -t 0 && -t 1 ]]; then
    make_bundle harness "${options[@]}" --stay "${deliberate[@]}"
    boot_and_stay
  else
    make_bundle harness ${filter:+"$filter"} "${options[@]}" "${deliberate[@]}"
    boot
  fi
}

# Runs the tests of all crates on the host and shows only failures. Sets `passed` and `failed`.
run_host_tests() {
  local log=$output/host-tests.txt status=0
  echo "running the host tests ..."
  (cd "$here" && host_cargo test --workspace --no-fail-fast ${filter:+"$filter"}) >"$log" 2>&1 || status=$?
  read -r passed failed < <(awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$log")
  if ((status != 0)); then
    if ((failed == 0)); then
      cat "$log" >&2
      echo "run-qemu.sh: the host tests do not build" >&2
      exit 65
    fi
    sed -n '/^failures:$/,/^test result:/p' "$log"
  fi
  echo "$passed passed, $failed failed"
  echo
}

command_test() {
  local passed failed status=0
  filter=${1:-}
  run_host_tests
  run_harness || status=$?
  # Status 1 may also mean that no user-mode test matches the filter. That is no failure if host tests match it.
  ((status > 1)) && return "$status"
  local summary='s/^([0-9]+) passed, ([0-9]+) failed\r?$/\1 \2/p' in_qemu_passed in_qemu_failed
  read -r in_qemu_passed in_qemu_failed < <(sed -nE "$summary" "$console" | tail -n 1)
  echo
  echo "host and QEMU together:"
  echo "$((passed + in_qemu_passed)) passed, $((failed + in_qemu_failed)) failed"
  ((failed + in_qemu_failed == 0 && passed + in_qemu_passed > 0))
}

command_run() {
  local status=0 limit=(--limit "$time_limit")
  # `init` knows who waits for what. The machine is ended if it does not come to tell.
  if (expect_arguments "${starting[@]}" "${limit[@]}" run "program-${1##*/}" "${@:2}") 2>/dev/null; then
    starting+=("${limit[@]}")
    machine_limit=$((time_limit + 10))
  fi
  make_bundle_with "$@"
  boot || status=$?
  if ((status == 124)) && grep -q '^init: not finished after ' "$console"; then
    echo "run-qemu.sh: timed out after $time_limit s" >&2
  fi
  grep -vE '^tally: ([0-9]+ MiB free|shutdown)' "$log" >&2 || true
  return "$status"
}

command_monitor() {
  local starter=monitor
  if (($# > 0)); then make_bundle_with "$@"; else make_bundle monitor; fi
  boot_at_console
}

command_trace() {
  local out=$1 status=0 events=$output/events.bin
  shift
  starting+=(--trace)
  if (($# > 0)); then make_bundle_with "$@"; else make_bundle demo; fi
  : >"$events"
  boot -icount shift=0,sleep=off -chardev "file,id=trace,path=$events" -device isa-debugcon,iobase=0xe9,chardev=trace ||
    status=$?
  (cd "$here" && host_cargo run --release --quiet -p tools --bin timeline -- "$events" "$out" "Tally: ${1:-demo}")
  return "$status"
}

# Prints the versions on which the figures depend, as docs/benchmarks.md has them below its own.
versions() {
  local rustc_version qemu_version
  rustc_version=$(cd "$here" && "$bare_rustc" --version | awk '{ print $2 }')
  qemu_version=$("${qemu[0]}" --version | sed -nE 's/^QEMU emulator version ([0-9.]+).*/\1/p')
  echo "measured with rustc $rustc_version and QEMU $qemu_version"
}

command_bench() {
  local status=0 now
  make_bundle bench
  boot -icount shift=0,sleep=off -seed 1 || status=$?
  now=$(versions)
  echo "$now"
  grep -qxF -- "$now" "$here/docs/benchmarks.md" ||
    echo "run-qemu.sh: the figures in docs/benchmarks.md were measured with other versions" >&2
  return "$status"
}

# The clock counts instructions, so that each boot shows the same story.
command_demo() {
  local colour=()
  [[ -t 1 ]] && colour=(--colour)
  make_bundle demo "${colour[@]}"
  boot -icount shift=0,sleep=off -seed 1
}

command_gdb() {
  if (($# > 0)); then make_bundle_with "$@"; else make_bundle harness "${deliberate[@]}"; fi
  wait_for_debugger "$@"
}

command=${1-harness}
(($# > 0)) && shift
case "$command" in
  harness | demo | bench | build) (($# == 0)) || usage_error "$command takes no argument: $1$(misplaced_option "$1")" ;;
  test)
    (($# <= 1)) || usage_error "test takes only one filter$(misplaced_option "$2")"
    expect_arguments "${starting[@]}" harness "$@" --colour "${deliberate[@]}" ;;
  run) expect_program run "$@" ;;
  trace)
    (($# > 0)) || usage_error "trace needs the name of the timeline to write"
    [[ -d $(dirname -- "$1") && -w $(dirname -- "$1") ]] || usage_error "cannot write to the directory of $1"
    (($# == 1)) || expect_program trace "${@:2}" ;;
  gdb | monitor) (($# == 0)) || expect_program "$command" "$@" ;;
  *) usage_error "unknown command '$command'" ;;
esac
# In a release build most functions are inlined, so a debugger finds few of them.
[[ -n $profile ]] || { [[ $command == gdb ]] && profile=debug || profile=release; }

set_up
build
case "$command" in
  harness) run_harness ;;
  test) command_test "$@" ;;
  run) command_run "$@" ;;
  demo) command_demo ;;
  bench) command_bench ;;
  trace) command_trace "$@" ;;
  monitor) command_monitor "$@" ;;
  build) ;;
  gdb) command_gdb "$@" ;;
esac

#!/usr/bin/env bash
# Tally's one command line: sets up what is missing, builds, boots in QEMU, reports. See usage below.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/tools/setup.sh"
. "$here/tools/boot.sh"
. "$here/tools/debug.sh"

usage() {
  cat <<'EOF'
Tally, a tiny Mach-style kernel, in QEMU.

  ./run-qemu.sh                        boot and run the tests that run in user mode
  ./run-qemu.sh test [FILTER]          the host's tests too; FILTER is part of a test's name
  ./run-qemu.sh run PROGRAM [ARG...]   boot and run a program: a static ELF file, see docs/abi.md
  ./run-qemu.sh bench                  how many instructions things take
  ./run-qemu.sh gdb [PROGRAM [ARG...]] boot, but wait for a debugger
  ./run-qemu.sh build                  only build

Options, before the call:
  --debug, --release   how to build; release is the default, but for gdb
  --mem MIB            memory of the machine, 128 by default; the tests need 16
  --timeout S          seconds that a boot may take, 120 by default
  --deliberate KIND    let the tests go wrong, to see how that looks: fail, slow, hang or panic
  --help               this

What is missing is installed if that is allowed (as root, or with sudo), otherwise named.

Exit status:
  0    all tests passed
  1    some tests failed
  64   the command line is not understood
  65   the build failed
  69   something that is needed is missing
  70   the kernel panicked
  71   the kernel was not booted
  124  it took too long
  130  Ctrl-C
With `run` it is the program's own status, or 128 and the kind of exception that ended it.
EOF
}

usage_error() {
  echo "run-qemu.sh: $1 (./run-qemu.sh --help lists what there is)" >&2
  exit 64
}

# Options stand before the call, because behind it they are the program's.
misplaced_option() {
  case "$1" in
    --debug | --release | --mem | --timeout | --deliberate | --help) echo "; options stand before the call" ;;
  esac
}

# expect_program CALL [PROGRAM [ARG...]]: there must be such a file.
expect_program() {
  (($# > 1)) || usage_error "$1 wants a program"
  [[ ! -d "$2" ]] || usage_error "$2 is a directory, not a program"
  [[ -f "$2" ]] || usage_error "there is no file $2$(misplaced_option "$2")"
  [[ -r "$2" ]] || usage_error "the file $2 cannot be read"
  expect_arguments run "program-${2##*/}" "${@:3}"
}

# What a program's arguments may take (docs/abi.md, "Limits"): so many bytes, with a zero byte each; and with their
# pointers and what else the kernel puts there half of the first stack.
arguments_most=32768
arguments_and_pointers_most=$((64 * 4096 / 2 - 256))

# expect_arguments ARG...: they must not be too long for `init`.
expect_arguments() {
  local size most=$arguments_most
  size=$(printf '%s\0' init "$@" | wc -c)
  ((size <= most)) || usage_error "the arguments take $size bytes, $most is the most"
  ((size += 8 * ($# + 1), most = arguments_and_pointers_most))
  ((size <= most)) || usage_error "the arguments and their pointers take $size bytes, $most is the most"
}

is_number() { [[ "$1" =~ ^[1-9][0-9]{0,5}$ ]]; }

# Below this the bundle lies where QEMU puts the boot loader, and nothing can say so.
memory_least=8

# Ctrl-C ends the machine, and then there is nothing to report.
trap 'echo >&2; exit 130' INT

profile= memory=128 time_limit=120 deliberate=() filter=
while [[ "${1:-}" == -* ]]; do
  case "$1" in
    --debug) profile=debug ;;
    --release) profile=release ;;
    --mem)
      is_number "${2:-}" && (($2 >= memory_least)) || usage_error "--mem wants a number of MiB, $memory_least or more"
      memory=$2; shift ;;
    --timeout) is_number "${2:-}" || usage_error "--timeout wants a number of seconds"; time_limit=$2; shift ;;
    --deliberate)
      case "${2:-}" in
        fail | slow | hang | panic) deliberate=(--deliberate "$2"); shift ;;
        *) usage_error "--deliberate wants fail, slow, hang or panic" ;;
      esac ;;
    --help | -h) usage; exit ;;
    *) usage_error "there is no option $1" ;;
  esac
  shift
done

run_harness() {
  local colour=()
  [[ -t 1 ]] && colour=(--colour)
  make_bundle harness ${filter:+"$filter"} "${colour[@]}" "${deliberate[@]}"
  boot
}

# Runs the tests of all crates on the host, quietly unless one fails. Sets `passed` and `failed`.
run_host_tests() {
  local log=$output/host-tests.txt status=0
  echo "tests on this machine ..."
  (cd "$here" && host_cargo test --workspace --no-fail-fast ${filter:+"$filter"}) >"$log" 2>&1 || status=$?
  read -r passed failed < <(awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$log")
  if ((status != 0)); then
    if ((failed == 0)); then
      cat "$log" >&2
      echo "run-qemu.sh: the host's tests do not build" >&2
      exit 65
    fi
    sed -n '/^failures:$/,/^test result:/p' "$log"
  fi
  echo "$passed passed, $failed failed"
  echo
}

call_test() {
  local passed failed status=0
  filter=${1:-}
  run_host_tests
  run_harness || status=$?
  # No test has the filter in its name here: that is no failure if the host had some.
  ((status > 1)) && return "$status"
  local summary='s/^([0-9]+) passed, ([0-9]+) failed\r?$/\1 \2/p' in_qemu_passed in_qemu_failed
  read -r in_qemu_passed in_qemu_failed < <(sed -nE "$summary" "$console" | tail -n 1)
  echo
  echo "on this machine and in QEMU together:"
  echo "$((passed + in_qemu_passed)) passed, $((failed + in_qemu_failed)) failed"
  ((failed + in_qemu_failed == 0 && passed + in_qemu_passed > 0))
}

call_run() {
  make_bundle_with "$@"
  local status=0
  boot || status=$?
  grep -vE '^tally: ([0-9]+ MiB free|shutdown)' "$log" >&2 || true
  return "$status"
}

# The versions on which the figures depend, as docs/benchmarks.md has them beside its own.
versions() {
  local rustc_version qemu_version
  rustc_version=$(cd "$here" && "$bare_rustc" --version | awk '{ print $2 }')
  qemu_version=$("${qemu[0]}" --version | sed -nE 's/^QEMU emulator version ([0-9.]+).*/\1/p')
  echo "measured with rustc $rustc_version and QEMU $qemu_version"
}

call_bench() {
  local status=0 now
  make_bundle bench
  boot -icount shift=0,sleep=off -seed 1 || status=$?
  now=$(versions)
  echo "$now"
  grep -qxF -- "$now" "$here/docs/benchmarks.md" ||
    echo "run-qemu.sh: the figures in docs/benchmarks.md were measured with other versions" >&2
  return "$status"
}

call_gdb() {
  if (($# > 0)); then make_bundle_with "$@"; else make_bundle harness "${deliberate[@]}"; fi
  wait_for_debugger "$@"
}

call=${1-harness}
(($# > 0)) && shift
case "$call" in
  harness | bench | build) (($# == 0)) || usage_error "$call takes no $1$(misplaced_option "$1")" ;;
  test)
    (($# <= 1)) || usage_error "test takes one filter$(misplaced_option "$2")"
    expect_arguments harness "$@" --colour "${deliberate[@]}" ;;
  run) expect_program run "$@" ;;
  gdb) (($# == 0)) || expect_program gdb "$@" ;;
  *) usage_error "there is no call '$call'" ;;
esac
# In a release build most functions are part of others, and a debugger finds few.
[[ -n $profile ]] || { [[ $call == gdb ]] && profile=debug || profile=release; }

set_up
build
case "$call" in
  harness) run_harness ;;
  test) call_test "$@" ;;
  run) call_run "$@" ;;
  bench) call_bench ;;
  build) ;;
  gdb) call_gdb "$@" ;;
esac

#!/usr/bin/env bash
# Installs missing tools, builds Tally, boots it in QEMU and reports the outcome. See usage below.
set -euo pipefail

# A link to the script may stand anywhere. CDPATH would send `cd` elsewhere, and have it print where.
unset CDPATH
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
. "$here/tools/setup.sh"
. "$here/tools/boot.sh"
. "$here/tools/debug.sh"
. "$here/tools/fuzz.sh"
. "$here/tools/host.sh"
. "$here/tools/names.sh"

usage() {
  cat <<'EOF'
Build Tally, a tiny Mach-style kernel, and boot it in QEMU.

  ./run-qemu.sh                         boot and run the user-mode tests; on a terminal, then stay at the monitor
  ./run-qemu.sh FILTER                  run those user-mode tests that have FILTER in their names
  ./run-qemu.sh test [FILTER]           run the host tests too; FILTER selects tests by a part of their name
  ./run-qemu.sh run PROGRAM [ARG...] [--also FILE...]
                                        boot and run a program: a static ELF file, see docs/programs.md; with the other
                                        files in the bundle, so that it can start them by their names
  ./run-qemu.sh demo [xpc]              boot and watch how importance travels with messages; with xpc, how it follows
                                        the work of programs that are written with the libraries
  ./run-qemu.sh monitor [PROGRAM [ARG...] [--also FILE...]]
                                        boot and look around: who runs, who is boosted, and why
  ./run-qemu.sh trace OUT [demo [xpc] | PROGRAM [ARG...] [--also FILE...]]
                                        boot, the demo by default, and write a timeline of what happened:
                                        OUT.html for a browser, and OUT.pftrace for Perfetto
  ./run-qemu.sh bench                   count the instructions of common operations
  ./run-qemu.sh fuzz [SECONDS]          let tasks make random calls, for 60 seconds by default, and check the kernel
  ./run-qemu.sh gdb [demo [xpc] | PROGRAM [ARG...] [--also FILE...]]
                                        boot and wait for a debugger, which gets the commands `tally`
  ./run-qemu.sh build [PROJECT]         build only; or build a Rust project for Tally and print where its programs are

Options, before the command:
  --debug, --release   choose the build profile; the default is release, and debug for gdb
  --mem MIB            set the memory of the machine; 128 by default, 14 at least; all tests need 96, the demo 24,
                       bench 128
  --timeout S          stop a boot after S seconds; 120 by default, 600 for bench, 900 with --traced
  --strict-reply       check that replies come from the context of their requests, see docs/abi.md
  --deliberate KIND    make a test go wrong to show the report: fail, leave, slow, hang or panic
  --dump-on-panic      if the kernel panics, report too what each thread waited for
  --repeat N           run the user-mode tests N times, until one fails
  --seed N             make what is random in the tests from N, and with --repeat from N, N + 1 and so on; the first
                       seed of fuzz, which has another one each time without it
  --list               list the user-mode tests; with test, the host tests too
  --real-time          let the machine's clock go as the host's while the tests run; else it counts instructions, so
                       that no test depends on how busy the host is
  --traced             record the kernel's events while the tests or a program run, in target/boot/events.bin
  --help               show this help

Missing tools are installed if the script runs as root or may use sudo. Otherwise the script names them.

Exit status:
  0    all tests passed, or the demo has told its story
  1    a test failed, something in the demo is not as its story expects, or the fuzzer has found a fault
  64   the command line is invalid
  65   the build failed
  69   a required tool is missing
  70   the kernel panicked
  71   QEMU did not boot the kernel
  73   a folder cannot be written to, or another run has it
  124  the boot took too long
  129  ended by SIGHUP
  130  interrupted by Ctrl-C
  143  ended by SIGTERM
With `run` it is the exit status of the program: 127 if the program does not start, 128 plus the kind of exception if
one ended it. A line on standard error tells which it is if the program's own status is one of those above.

Examples:
  ./run-qemu.sh ports                              the tests of ports
  ./run-qemu.sh --repeat 10 --seed 1 random        tests with random calls, ten times, each time with other calls
  ./run-qemu.sh --list test voucher                the names of all tests with "voucher" in them
  ./run-qemu.sh test voucher                       run these
  ./run-qemu.sh --debug run hello.elf one two      a program with two arguments, in a debug build of the kernel
  ./run-qemu.sh run client.elf --also server.elf   a program that starts another one
  ./run-qemu.sh demo                               how importance travels
  ./run-qemu.sh demo xpc                           how it follows the work
  ./run-qemu.sh monitor client.elf                 look around while a program runs
  ./run-qemu.sh trace demo                         write demo.html and demo.pftrace
  ./run-qemu.sh --mem 256 bench                    instructions counted on a larger machine
  ./run-qemu.sh --deliberate panic gdb             a panic of the kernel in the debugger
  ./run-qemu.sh --debug --mem 14 fuzz 600          ten minutes of random calls on a small machine
  ./run-qemu.sh build docs/examples/rust           build the Rust project of the examples

Environment:
  TALLY_OUTPUT      the directory for bundle, console and logs; by default target/boot, or target/boot-2 and so on
                    while other runs have those before it
  TALLY_TARGET      the directory for what is built; target by default. For a checkout that is read-only
  TALLY_TOOLCHAIN   debian: build with Debian's packages, although rustup has the target
  TALLY_SEED        the same as --seed
  TALLY_GDB_PORT    the port for the debugger; 1234 by default
Host tests also read:
  TALLY_STEPS       how many steps a random test takes with each seed
  FUZZ_INPUTS       how many changed inputs the tests of parsers try
  TALLY_CASES       how many sequences of calls the model of vouchers tries with each seed
  TALLY_FIRST_SEED  the first of the seeds of the simulation
  TALLY_SHORTCUTS   off: those of the kernel take no shortcut, such as the fast path of mach_msg
  TALLY_UPDATE      1: write what the demo prints into the documents that show it
EOF
}

usage_error() {
  echo "run-qemu.sh: $1 (run ./run-qemu.sh --help for usage)" >&2
  exit 64
}

# Options stand before the command, because those behind it belong to the program.
misplaced_option() {
  case "$1" in
    --debug | --release | --mem | --timeout | --strict-reply | --deliberate | --dump-on-panic | --repeat | --seed | \
      --list | --real-time | --traced | --help)
      echo "; put options before the command" ;;
  esac
}

# The program to run with its arguments, and the files that go into the bundle too.
program=() also=()

# split_program [PROGRAM [ARG...] [--also FILE...]]: sets the variables above. The first --also behind the program ends
# its arguments.
split_program() {
  local file
  (($# == 0)) || { program=("$1"); shift; }
  while (($# > 0)) && [[ "$1" != --also ]]; do program+=("$1"); shift; done
  for file in "${@:2}"; do [[ "$file" == --also ]] || also+=("$file"); done
  (($# == 0 || ${#also[@]} > 0)) || usage_error "--also needs a file"
}

# expect_program COMMAND: checks that the files can be read, that their names differ and that the arguments fit.
expect_program() {
  ((${#program[@]} > 0)) || usage_error "$1 needs a program"
  [[ "${program[0]}" != --also || -e "${program[0]}" ]] || usage_error "$1 needs a program before --also"
  expect_file "${program[0]}"
  expect_arguments "${starting[@]}" run "program-${program[0]##*/}" "${program[@]:1}"
  local file name
  local -A names=(["/$(bundle_name "${program[0]}")"]=taken)
  for file in "${also[@]}"; do
    expect_file "$file"
    name=${file##*/}
    (($(bytes_of "$name") <= name_max)) || usage_error "the name of $file is longer than $name_max bytes"
    is_text "$name" || usage_error "the name of $file is no text in UTF-8, by which a program could start it"
    [[ -z ${names[/$name]:-} ]] && ! is_taken "$name" ||
      usage_error "--also $file: the bundle has a file $name already"
    names[/$name]=taken
  done
}

expect_file() {
  [[ ! -d "$1" ]] || usage_error "$1 is a directory, not a program"
  [[ -f "$1" ]] || usage_error "file not found: $1$(misplaced_option "$1")"
  [[ -r "$1" ]] || usage_error "cannot read the file $1"
}

# The limits of a program's arguments (docs/abi.md, "Limits"): bytes with a zero byte each, and their number.
arguments_max=32768 strings_max=2048

# expect_arguments ARG...: checks that the arguments fit the limits of `init`.
expect_arguments() {
  local size count=$(($# + 1))
  size=$(printf '%s\0' init "$@" | wc -c)
  ((size <= arguments_max)) || usage_error "the arguments take $size bytes, the limit is $arguments_max"
  ((count <= strings_max)) || usage_error "there are $count arguments with those of init, the limit is $strings_max"
}

# The demo is in the bundle already, so its name is enough, unless there is a file of that name.
is_demo() { [[ "$*" == demo || "$*" == "demo xpc" ]] && [[ ! -e demo ]]; }

is_seed() { [[ "$1" =~ ^(0|[1-9][0-9]{0,17})$ ]]; }

is_number() { [[ "$1" =~ ^[1-9][0-9]{0,5}$ ]]; }

# With less memory no program has room beside the bundle. With less than 8 MiB the bundle overlaps the boot loader in
# QEMU, which then cannot report an error.
memory_min=14

trap_signals

profile='' memory=128 time_limit='' settings='' deliberate=() traced=''
real_time='' act=() filter='' repeat=1 seed=${TALLY_SEED:-} list='' for_tests=''
is_seed "${seed:-0}" || usage_error "TALLY_SEED needs a number of at most 18 digits"
# It reads well in this order, too.
[[ "${1:-} ${2:-}" != "test --list" ]] || set -- --list test "${@:3}"
while [[ "${1:-}" == -* ]]; do
  case "$1" in
    --debug) profile=debug ;;
    --release) profile=release ;;
    --mem)
      is_number "${2:-}" && (($2 >= memory_min)) || usage_error "--mem needs a number of MiB, at least $memory_min"
      memory=$2; shift ;;
    --timeout) is_number "${2:-}" || usage_error "--timeout needs a number of seconds"; time_limit=$2; shift ;;
    --strict-reply) settings=strict-reply ;;
    --deliberate)
      case "${2:-}" in
        fail | leave | slow | hang | panic) deliberate=(--deliberate "$2"); shift ;;
        *) usage_error "--deliberate needs fail, leave, slow, hang or panic" ;;
      esac ;;
    # The kernel finds it among the arguments of `init`.
    --dump-on-panic) starting+=(--dump-on-panic) ;;
    --repeat) is_number "${2:-}" || usage_error "--repeat needs a number of runs"; repeat=$2 for_tests=$1; shift ;;
    --seed)
      is_seed "${2:-}" || usage_error "--seed needs a number of at most 18 digits"
      seed=$2 for_tests=$1; shift ;;
    --list) list=yes for_tests=$1 ;;
    --real-time) real_time=yes for_tests=$1 ;;
    --traced) traced=yes ;;
    --help | -h) usage; exit ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done

# Runs the user-mode tests as often as wanted, until one fails. With a seed, each run after the first has the next one.
run_harness() {
  local options=() run status
  [[ -z $traced ]] || record_events
  [[ -t 1 ]] && options+=(--colour)
  [[ -t 1 || $command == test ]] && options+=(--slowest)
  if [[ $command == harness && -t 0 && -t 1 && -z $filter$traced ]] && ((repeat == 1)); then
    # Whoever stays at the monitor may wait there.
    [[ -n $real_time ]] || count_instructions on
    make_bundle harness "${options[@]}" --stay ${seed:+--seed "$seed"} "${deliberate[@]}"
    boot_and_stay
    return
  fi
  [[ -n $traced$real_time ]] || count_instructions off
  for ((run = 1; run <= repeat; run++)); do
    ((run == 1)) || echo
    ((repeat == 1)) || echo "run $run of $repeat${seed:+ with seed $seed}"
    make_bundle harness ${filter:+"$filter"} "${options[@]}" ${seed:+--seed "$seed"} "${deliberate[@]}"
    status=0
    boot ${seed:+-seed "$seed"} || status=$?
    ((status == 0)) || { tell_how_to_repeat; return "$status"; }
    [[ -z $seed ]] || ((++seed))
  done
}

tell_how_to_repeat() {
  local test
  test=$(failed_test)
  [[ -z $test || ${#deliberate[@]} -gt 0 ]] ||
    echo "run-qemu.sh: to run it again: ./run-qemu.sh ${seed:+--seed $seed }$test" >&2
}

suggest() { echo "try next: ./run-qemu.sh demo | monitor | trace OUT | bench | --help"; }

command_harness() {
  run_harness || return
  [[ ! -t 1 ]] || { echo; suggest; }
}

command_test() {
  local passed failed status=0
  run_host_tests "$filter"
  run_harness || status=$?
  # Status 1 may also mean that no user-mode test matches the filter. That is no failure if host tests match it.
  ((status > 1)) && return "$status"
  local summary='s/^([0-9]+) passed, ([0-9]+) failed\r?$/\1 \2/p' in_qemu_passed in_qemu_failed
  read -r in_qemu_passed in_qemu_failed < <(sed -nE "$summary" "$console" | tail -n 1)
  echo
  slowest_of_all
  echo
  suggest
  echo
  echo "host and QEMU together:"
  echo "$((passed + in_qemu_passed)) passed, $((failed + in_qemu_failed)) failed"
  ((failed + in_qemu_failed == 0 && passed + in_qemu_passed > 0))
}

list_tests() {
  if [[ $command == test ]]; then
    take_output
    set_up
    list_host_tests "$filter"
  fi
  ring3_tests "$filter"
}

command_run() {
  [[ -z $traced ]] || record_events
  local status=0 limit=(--limit "$time_limit")
  # `init` knows who waits for what. The machine is ended if it does not come to tell.
  local words=("${starting[@]}" "${limit[@]}" run "program-${program[0]##*/}" "${program[@]:1}")
  if (expect_arguments "${words[@]}") 2>/dev/null; then
    starting+=("${limit[@]}")
    machine_limit=$((time_limit + 10))
  fi
  make_bundle_with "${program[@]}"
  boot || status=$?
  if ((status == 124)) && grep -q '^init: not finished after ' "$console"; then
    echo "run-qemu.sh: timed out after $time_limit s" >&2
  elif is_ambiguous "$status"; then
    echo "run-qemu.sh: the exit status $status is the program's own" >&2
  fi
  grep -vE '^tally: ([0-9]+ MiB free|shutdown)' "$log" >&2 || true
  return "$status"
}

# is_ambiguous STATUS: succeeds if the program itself has ended with a status that the script gives for something else.
is_ambiguous() {
  [[ -n $ended && " 64 65 69 70 71 73 124 127 129 130 143 " == *" $1 "* ]] &&
    ! grep -q '^tally: the program `init` does not start' "$log" &&
    ! grep -qE '^init: the program (does not start|ended): ' "$console"
}

command_monitor() {
  local starter=monitor
  if ((${#program[@]} > 0)); then make_bundle_with "${program[@]}"; else make_bundle monitor; fi
  boot_at_console
}

command_trace() {
  local out=$1 status=0 title=demo
  [[ $out == /* ]] || out=$PWD/$out
  ((${#program[@]} == 0)) || title=${program[0]##*/}
  if is_demo "${program[@]}"; then title=${program[*]}; fi
  # Before the boot, so that the story and the files that tell it are seen together.
  timeline_tool build
  record_events
  if ((${#program[@]} == 0)); then
    make_bundle demo
  elif is_demo "${program[@]}"; then
    make_bundle "${program[@]}"
  else
    make_bundle_with "${program[@]}"
  fi
  boot -seed 1 || status=$?
  echo
  timeline_tool run -- "$events" "$out" "Tally: $title" || { ((status != 0)) || status=1; }
  return "$status"
}

# timeline_tool CARGO-COMMAND [ARG...]: builds or runs the program that makes timelines, with the profile of the tests,
# whose crates are often built already.
timeline_tool() {
  local command=$1 quiet=()
  shift
  [[ $command == build && -t 2 ]] || quiet=(--quiet)
  attend host_cargo_here "$command" "${quiet[@]}" --profile test -p tools --bin timeline "$@"
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

# The clock counts instructions, so that each boot shows the same story, also when a debugger stops it.
clock=(-icount "shift=0,sleep=off" -seed 1)

command_demo() {
  local colour=()
  [[ -t 1 ]] && colour=(--colour)
  make_bundle demo "${act[@]}" "${colour[@]}"
  boot "${clock[@]}"
}

command_fuzz() {
  seed=${seed:-$((RANDOM << 15 | RANDOM))}
  fuzz "$1"
}

command_gdb() {
  if is_demo "${program[@]}"; then
    make_bundle "${program[@]}"
    debugged=("${clock[@]}")
    program=()
  elif ((${#program[@]} > 0)); then
    make_bundle_with "${program[@]}"
  else
    make_bundle harness "${deliberate[@]}"
  fi
  wait_for_debugger "${program[@]}"
}

command=${1-harness}
(($# > 0)) && shift
case "$command" in
  help) usage; exit ;;
  demo)
    [[ $# -eq 0 || "$*" == xpc ]] || usage_error "demo takes only xpc as its argument: $1$(misplaced_option "$1")"
    act=("$@") ;;
  harness | bench) (($# == 0)) || usage_error "$command takes no argument: $1$(misplaced_option "$1")" ;;
  fuzz)
    (($# <= 1)) || usage_error "fuzz takes only a number of seconds$(misplaced_option "$2")"
    [[ ${1-60} == 0 ]] || is_number "${1-60}" ||
      usage_error "fuzz needs a number of seconds: '$1'$(misplaced_option "$1")"
    programs=(init fuzz) ;;
  test)
    (($# <= 1)) || usage_error "test takes only one filter$(misplaced_option "$2")"
    [[ "${1:-}" != --* ]] || usage_error "test takes no option: $1$(misplaced_option "$1")"
    expect_arguments "${starting[@]}" harness "$@" --colour --slowest --seed "$seed" "${deliberate[@]}"
    filter=${1:-} ;;
  build)
    (($# <= 1)) || usage_error "build takes only one project$(misplaced_option "$2")"
    (($# == 0)) || [[ -f "$1/Cargo.toml" ]] || usage_error "$1 has no file Cargo.toml$(misplaced_option "$1")" ;;
  run) split_program "$@"; expect_program run ;;
  trace)
    (($# > 0)) || usage_error "trace needs the name of the timeline to write"
    [[ -n $1 && $1 != */ ]] || usage_error "trace needs the name of a file to write, without its ending: '$1'"
    [[ -d $(dirname -- "$1") ]] || usage_error "there is no directory $(dirname -- "$1")"
    for ending in html pftrace; do
      [[ ! -d $1.$ending ]] || usage_error "$1.$ending is a directory"
      if [[ -e $1.$ending ]]; then place=$1.$ending; else place=$(dirname -- "$1"); fi
      [[ -w $place ]] || usage_error "cannot write $1.$ending"
    done
    split_program "${@:2}"
    (($# == 1)) || is_demo "${@:2}" || expect_program trace ;;
  gdb) split_program "$@"; (($# == 0)) || is_demo "$@" || expect_program gdb ;;
  monitor) split_program "$@"; (($# == 0)) || expect_program monitor ;;
  *)
    [[ $command =~ ^[A-Za-z0-9_:]+$ ]] || usage_error "unknown command '$command'$(did_you_mean "$command")"
    (($# == 0)) || usage_error "a filter takes no argument: $1$(misplaced_option "$1")"
    [[ -n $(ring3_tests "$command") ]] ||
      usage_error "no test's name contains '$command'$(did_you_mean "$command" "./run-qemu.sh --list has all names")"
    filter=$command command=harness ;;
esac
# All tests take a minute when the host is idle, and some minutes while their events are written.
[[ -n $time_limit || $command != fuzz ]] || time_limit=$((${1-60} + fuzz_grace))
[[ -n $time_limit || $command != bench ]] || time_limit=600
[[ -n $time_limit ]] || time_limit=${traced:+900}
time_limit=${time_limit:-120}
[[ -z $traced || " harness test run " == *" $command "* ]] || usage_error "--traced is for the tests and run"
[[ -z $for_tests || $command == harness || $command == test || "$for_tests $command" == "--seed fuzz" ]] ||
  usage_error "$for_tests is for tests, not for $command"
# They start many tasks, or tasks with much memory, at the same time. What a filter selects may need less.
demo_memory=24 tests_memory=96 bench_memory=128
case "$command $*" in
  "harness " | "test ") [[ -n $filter$list || ${#deliberate[@]} -gt 0 ]] && least=$memory_min || least=$tests_memory ;;
  demo* | "gdb demo"* | "trace ${1:-}" | "trace ${1:-} demo"*) least=$demo_memory ;;
  bench*) least=$bench_memory ;;
  *) least=$memory_min ;;
esac
((memory >= least)) || usage_error "${command/harness/the suite} needs --mem $least or more"
[[ -z $seed ]] || export TALLY_SEED=$seed
[[ -z $list ]] || { list_tests; exit; }
# In a release build most functions are inlined, so a debugger finds few of them.
[[ -n $profile ]] || { [[ $command == gdb ]] && profile=debug || profile=release; }

take_output
set_up
[[ $command == build && $# == 1 ]] || build
case "$command" in
  harness) command_harness ;;
  test) command_test ;;
  run) command_run ;;
  demo) command_demo ;;
  bench) command_bench ;;
  fuzz) command_fuzz "${1-60}" ;;
  trace) command_trace "$1" ;;
  monitor) command_monitor ;;
  build) (($# == 0)) || attend build_project "$1" ;;
  gdb) command_gdb ;;
esac

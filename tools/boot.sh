# Builds the images, makes the bundle and boots it. Sourced by run-qemu.sh.

# name_output DIRECTORY: lets a boot have its bundle and its output in this directory.
name_output() {
  output=$1
  [[ $output == /* ]] || output=$PWD/$output
  bundle=$output/bundle.tar
  console=$output/console.txt
  log=$output/log.txt
  events=$output/events.bin
}

name_output "${TALLY_OUTPUT:-${build_folder:-$here/target}/boot}"

# Takes the directory for the bundle and the output, which no other run has at the time: that of TALLY_OUTPUT, or the
# first one that is free. It is given back when this script and its machine have ended, however they end.
take_output() {
  local number=1
  until take_directory; do
    if [[ -n ${TALLY_OUTPUT:-} ]]; then
      echo "run-qemu.sh: another run has its files in $output; choose another folder with TALLY_OUTPUT" >&2
      exit 73
    fi
    name_output "$build_folder/boot-$((++number))"
  done
  ((number == 1)) || say "another run has its files in target/boot; those of this one are in $output"
}

take_directory() {
  local lock
  make_folder "$output"
  exec {lock}>"$output/lock"
  flock -n "$lock" || { exec {lock}>&-; return 1; }
}

# Arguments of `init` before its command.
starting=()
# Not empty if the last boot has ended with the first task.
ended=
# Seconds after which a machine is ended, if not those of --timeout.
machine_limit=
programs=(init tests bench demo monitor relay)

build() {
  local flags=() status=0
  [[ $profile == release ]] && flags=(--release)
  images=$build_folder/$target/$profile
  [[ -d $build_folder/$target ]] || say "building; the first time takes about 3 minutes and 300 MB ..."
  # A build may replace the images while another run copies them, so they are copied before the next build.
  attend with_lock "$build_folder/images-$profile.lock" build_and_copy "${flags[@]}" || status=$?
  if ((status != 0)); then
    show_log "$output/build.txt"
    echo "run-qemu.sh: the build failed" >&2
    exit 65
  fi
}

build_and_copy() {
  (cd "$here" && with_log "$output/build.txt" bare_cargo build "$@" -p boot -p kernel -p user) && copy_images
}

copy_images() {
  local file to=$output/images
  rm -rf "$to"
  mkdir -p "$to"
  cp "$images/boot" "$output/boot"
  # Debuggers read debug information from the images themselves. In the bundle it would take the machine's memory.
  for file in kernel "${programs[@]}"; do
    strip -g -o "$to/$file" "$images/$file" 2>/dev/null || cp "$images/$file" "$to/$file"
  done
}

# make_bundle ARG...: bundles the images and these arguments of `init`.
make_bundle() {
  collect "$@"
  pack
}

collect() {
  rm -rf "$output/files"
  cp -r "$output/images" "$output/files"
  printf '%s\0' "${starting[@]}" "$@" >"$output/files/cmdline"
  if [[ -n $settings ]]; then printf '%s\n' "$settings" >"$output/files/settings"; fi
}

# The bytes that a name in the archive may have.
name_max=90

# bytes_of TEXT: prints the number of its bytes.
bytes_of() {
  local LC_ALL=C
  echo "${#1}"
}

is_text() { printf '%s' "$1" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1; }

# bundle_name PROGRAM: prints the name of a program in the bundle: as much of its own as fits and is text. It must not
# replace a file that is there.
bundle_name() {
  local name
  name=$(printf '%s' "${1##*/}" | head -c "$name_max" | iconv -c -f UTF-8 -t UTF-8) || true
  is_taken "${name:=program}" && name=program-$name
  printf '%s' "$name"
}

# is_taken NAME: succeeds if the bundle has a file of this name, whatever is run.
is_taken() { [[ -n $1 && " kernel cmdline settings ${programs[*]} " == *" $1 "* && $1 != *' '* ]]; }

# make_bundle_with PROGRAM ARG...: bundles the program too, which `init` runs with these arguments, and the files of the
# array `also`.
make_bundle_with() {
  local path=$1 name file
  name=$(bundle_name "$1")
  shift
  collect "${starter:-run}" "$name" "$@"
  cp -- "$path" "$output/files/$name"
  for file in "${also[@]}"; do cp -- "$file" "$output/files/${file##*/}"; done
  pack
}

# build_project DIRECTORY: builds a Rust project for Tally and prints the paths of its programs.
build_project() {
  local flags=() built
  [[ $profile == release ]] && flags=(--release)
  cd "$1"
  # The toolchain that has the target, wherever the project is.
  if command -v rustup >/dev/null && [[ -z ${RUSTUP_TOOLCHAIN:-} ]]; then
    RUSTUP_TOOLCHAIN=$(cd "$here" && rustup show active-toolchain | cut -d' ' -f1)
    export RUSTUP_TOOLCHAIN
  fi
  export CARGO_TARGET_DIR=$PWD/target
  built=$(bare_cargo build "${flags[@]}" --message-format=json-render-diagnostics) || exit 65
  sed -nE 's/.*"executable":"([^"]+)".*/\1/p' <<<"$built"
}

pack() {
  shopt -s dotglob
  (cd "$output/files" && tar --format=ustar --sort=name --owner=0 --group=0 --mtime=@0 -cf "$bundle" -- *)
}

qemu=(qemu-system-x86_64 -accel tcg -cpu max -display none -no-reboot -nodefaults
  -device "isa-debug-exit,iobase=0xf4")

# boot QEMU-OPTION...: boots the bundle. Writes the console to standard output and the log to a file; returns the exit
# status of the script.
boot() {
  local status=0
  : >"$log"
  attend run_machine "$@" </dev/null || status=$?
  outcome "$status"
}

run_machine() {
  local status=0
  # In the foreground, so that Ctrl-C reaches QEMU. SIGKILL, because QEMU reports other signals on the terminal.
  timeout --foreground --signal=KILL "${machine_limit:-$time_limit}" "${qemu[@]}" -m "$memory" \
    -kernel "$output/boot" -initrd "$bundle" -serial stdio -serial "file:$log" "$@" | tee "$console" ||
    status=${PIPESTATUS[0]}
  return "$status"
}

# boot_at_console: boots the bundle with the console at the terminal, without a time limit; or, if the input is no
# terminal, with that as what is typed.
boot_at_console() {
  local status=0 console_device=(-chardev "stdio,id=console,signal=off" -serial chardev:console)
  : >"$log"
  if [[ -t 0 ]]; then
    attend "${qemu[@]}" -m "$memory" -kernel "$output/boot" -initrd "$bundle" \
      "${console_device[@]}" -serial "file:$log" "$@" || status=$?
  else
    # What is typed before the kernel has set the line up is lost, so the first thing is an empty line. At the end of
    # the input stands ^D. Nobody waits for `cat`: the machine may end before the input does.
    attend timeout --foreground --signal=KILL "$time_limit" "${qemu[@]}" -m "$memory" -kernel "$output/boot" \
      -initrd "$bundle" "${console_device[@]}" -serial "file:$log" "$@" \
      3<&0 < <(printf '\n\n'; cat <&3; printf '\004') || status=$?
  fi
  outcome "$status"
}

# count_instructions on|off: lets the clock of the next boot count instructions, so that tests measure what the machine
# does, however busy the host is. With `off` the machine does not sleep while it waits.
count_instructions() { qemu+=(-icount "shift=0,sleep=$1"); }

# Lets the next boot record the kernel's events. The clock counts instructions, so that the time for which the machine
# writes events counts little.
record_events() {
  starting+=(--trace)
  : >"$events"
  qemu+=(-icount shift=0,sleep=off
    -chardev "file,id=trace,path=${events//,/,,}" -device "isa-debugcon,iobase=0xe9,chardev=trace")
}

# boot_and_stay: boots the bundle with the console at the terminal. The time limit counts until the tests have ended.
boot_and_stay() {
  local status=0 watchdog terminal
  : >"$log"
  : >"$console"
  terminal=$(stty -g)
  trap "stty '$terminal'" EXIT
  end_at_time_limit &
  watchdog=$!
  # Ctrl-C reaches QEMU, which ends.
  attend "${qemu[@]}" -pidfile "$output/qemu.pid" -m "$memory" -kernel "$output/boot" -initrd "$bundle" \
    -chardev "stdio,id=console,signal=on,logfile=${console//,/,,}" -serial chardev:console -serial "file:$log" ||
    status=$?
  stty "$terminal"
  kill "$watchdog" 2>/dev/null || true
  # QEMU ends with 0 only when a signal ends it. The shell does not always get the signal too.
  ((status != 0)) || { echo >&2; exit 130; }
  outcome "$status"
}

# Ends the machine unless the tests come to their end in time, or the script does.
end_at_time_limit() {
  local second
  for ((second = 0; second < time_limit; second++)); do
    sleep 1
    kill -0 $$ || return
    ! grep -qE '^[0-9]+ passed, [0-9]+ failed' "$console" || return
  done
  kill -KILL "$(cat "$output/qemu.pid")"
} </dev/null >/dev/null 2>&1

# outcome STATUS: reports the outcome of a boot and returns the exit status of the script. STATUS is QEMU's. The device
# isa-debug-exit turns a value into the status (value << 1) | 1.
outcome() {
  ended=
  case "$1" in
    33) # The first task has ended.
      ended=yes
      return "$(sed -nE 's/^tally: shutdown, status ([0-9]+)\r?$/\1/p' "$log")" ;;
    35)
      printf '\n' >&2
      cat "$log" >&2
      name_last_test "the kernel panicked"
      return 70 ;;
    124 | 137)
      printf '\n' >&2
      name_last_test "timed out after $time_limit s"
      return 124 ;;
    *)
      cat "$log" >&2
      echo "run-qemu.sh: QEMU did not boot the kernel (its exit status is $1)" >&2
      return 71 ;;
  esac
}

# Prints the first test that has failed, or the one that has not ended.
failed_test() {
  sed -nE '/^test /h; /^  (\x1b\[31m)?FAILED/ { x; s/^test ([a-z0-9_:]+) \.\.\..*/\1/p; q }
    $ { x; /ok(\x1b\[0m)?\r?$/!s/^test ([a-z0-9_:]+) \.\.\..*/\1/p }' "$console"
}

# Reports an event, with the test in which it happened, if there is one.
name_last_test() {
  local last
  last=$(tail -n 1 "$console" | sed -nE 's/^test (.*) \.\.\..*/\1/p')
  echo "run-qemu.sh: $1${last:+ in the test $last}" >&2
}

# Builds the images, makes the bundle and boots it. Sourced by run-qemu.sh.

# The directory for the bundle and the output of a boot. Two boots at the same time need two, chosen by TALLY_OUTPUT.
output=${TALLY_OUTPUT:-$here/target/boot}
bundle=$output/bundle.tar
console=$output/console.txt
log=$output/log.txt
events=$output/events.bin
# Arguments of `init` before its command.
starting=()
# Seconds after which a machine is ended, if not those of --timeout.
machine_limit=
programs=(init tests bench demo monitor relay)

build() {
  local flags=() status=0
  [[ $profile == release ]] && flags=(--release)
  images=$here/target/$target/$profile
  [[ -d $here/target/$target ]] || say "building; the first time takes about 3 minutes and 300 MB ..."
  mkdir -p "$output" "$here/target"
  with_images_locked build_images "${flags[@]}" || status=$?
  if ((status != 0)); then
    show_log "$output/build.txt"
    echo "run-qemu.sh: the build failed" >&2
    exit 65
  fi
}

build_images() {
  (cd "$here" && with_log "$output/build.txt" bare_cargo build "$@" -p boot -p kernel -p user)
}

# A build may replace the images while another boot copies them.
with_images_locked() { with_lock "$here/target/images.lock" "$@"; }

# make_bundle ARG...: bundles the images and these arguments of `init`.
make_bundle() {
  collect "$@"
  pack
}

collect() {
  rm -rf "$output/files"
  mkdir -p "$output/files"
  with_images_locked copy_images
  printf '%s\0' "${starting[@]}" "$@" >"$output/files/cmdline"
  if [[ -n $settings ]]; then printf '%s\n' "$settings" >"$output/files/settings"; fi
}

copy_images() {
  local file
  cp "$images/boot" "$output/boot"
  # Debuggers read debug information from the images themselves. In the bundle it would take the machine's memory.
  for file in kernel "${programs[@]}"; do
    strip -g -o "$output/files/$file" "$images/$file" 2>/dev/null || cp "$images/$file" "$output/files/$file"
  done
}

# The archive's format limits the length of names.
name_max=90

# bundle_name PROGRAM: prints the name of a program in the bundle. It must not replace a file that is there.
bundle_name() {
  local name=${1##*/}
  name=${name:0:name_max}
  [[ " kernel cmdline settings ${programs[*]} " != *" $name "* ]] || name=program-$name
  printf '%s' "$name"
}

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
  # In the foreground, so that Ctrl-C reaches QEMU. SIGKILL, because QEMU reports other signals on the terminal.
  timeout --foreground --signal=KILL "${machine_limit:-$time_limit}" "${qemu[@]}" -m "$memory" \
    -kernel "$output/boot" -initrd "$bundle" -serial stdio -serial "file:$log" "$@" </dev/null | tee "$console" ||
    status=${PIPESTATUS[0]}
  outcome "$status"
}

# boot_at_console: boots the bundle with the console at the terminal, without a time limit; or, if the input is no
# terminal, with that as what is typed.
boot_at_console() {
  local status=0 console_device=(-chardev "stdio,id=console,signal=off" -serial chardev:console)
  : >"$log"
  if [[ -t 0 ]]; then
    "${qemu[@]}" -m "$memory" -kernel "$output/boot" -initrd "$bundle" \
      "${console_device[@]}" -serial "file:$log" "$@" || status=$?
  else
    # What is typed before the kernel has set the line up is lost, so the first thing is an empty line. At the end of
    # the input stands ^D. Nobody waits for `cat`: the machine may end before the input does.
    timeout --foreground --signal=KILL "$time_limit" "${qemu[@]}" -m "$memory" -kernel "$output/boot" \
      -initrd "$bundle" "${console_device[@]}" -serial "file:$log" "$@" \
      3<&0 < <(printf '\n\n'; cat <&3; printf '\004') || status=$?
  fi
  outcome "$status"
}

# Lets the next boot record the kernel's events. The clock counts instructions, so that the time for which the machine
# writes events counts little.
record_events() {
  starting+=(--trace)
  : >"$events"
  qemu+=(-icount shift=0,sleep=off
    -chardev "file,id=trace,path=$events" -device "isa-debugcon,iobase=0xe9,chardev=trace")
}

# boot_and_stay: boots the bundle with the console at the terminal. The time limit counts until the tests have ended.
boot_and_stay() {
  local status=0 watchdog terminal
  : >"$log"
  : >"$console"
  terminal=$(stty -g)
  end_at_time_limit &
  watchdog=$!
  # Ctrl-C reaches QEMU, which ends.
  "${qemu[@]}" -pidfile "$output/qemu.pid" -m "$memory" -kernel "$output/boot" -initrd "$bundle" \
    -chardev "stdio,id=console,signal=on,logfile=$console" -serial chardev:console -serial "file:$log" || status=$?
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
  case "$1" in
    33) # The first task has ended.
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

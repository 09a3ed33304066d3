# Builds the images, makes the bundle and boots it. Sourced by run-qemu.sh.

# The directory for the bundle and the output of a boot. Two boots at the same time need two, chosen by TALLY_OUTPUT.
output=${TALLY_OUTPUT:-$here/target/boot}
bundle=$output/bundle.tar
console=$output/console.txt
log=$output/log.txt
# Arguments of `init` before its command.
starting=()
# Seconds after which a machine is ended, if not those of --timeout.
machine_limit=
programs=(init tests bench demo monitor)

build() {
  local flags=() status=0
  [[ $profile == release ]] && flags=(--release)
  images=$here/target/$target/$profile
  mkdir -p "$output" "$here/target"
  lock_images
  (cd "$here" && bare_cargo build "${flags[@]}" -p boot -p kernel -p user) >"$output/build.txt" 2>&1 || status=$?
  unlock_images
  if ((status != 0)); then
    cat "$output/build.txt" >&2
    echo "run-qemu.sh: the build failed" >&2
    exit 65
  fi
}

# A build may replace the images while another boot copies them.
lock_images() {
  exec 9>"$here/target/images.lock"
  flock 9
}

unlock_images() { exec 9>&-; }

# make_bundle ARG...: bundles the images and these arguments of `init`.
make_bundle() {
  collect "$@"
  pack
}

collect() {
  rm -rf "$output/files"
  mkdir -p "$output/files"
  lock_images
  cp "$images/boot" "$output/boot"
  for file in kernel "${programs[@]}"; do cp "$images/$file" "$output/files/$file"; done
  unlock_images
  printf '%s\0' "${starting[@]}" "$@" >"$output/files/cmdline"
}

# make_bundle_with PROGRAM ARG...: bundles the program too, which `init` runs with these arguments.
make_bundle_with() {
  local path=$1 name=${1##*/}
  shift
  # The archive's format limits the length of names.
  [[ ${#name} -le 90 ]] || name=${name:0:90}
  # The program must not replace a file of the bundle.
  [[ " kernel cmdline ${programs[*]} " == *" $name "* ]] && name=program-$name
  collect "${starter:-run}" "$name" "$@"
  cp -- "$path" "$output/files/$name"
  pack
}

pack() {
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

# Reports an event, with the test in which it happened, if there is one.
name_last_test() {
  local last
  last=$(tail -n 1 "$console" | sed -nE 's/^test (.*) \.\.\..*/\1/p')
  echo "run-qemu.sh: $1${last:+ in the test $last}" >&2
}

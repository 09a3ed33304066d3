# Builds the images, makes the bundle, boots it. Sourced by run-qemu.sh.

# What is made for a boot, and what comes of it. Two boots at the same time need two places: TALLY_OUTPUT says where.
output=${TALLY_OUTPUT:-$here/target/boot}
bundle=$output/bundle.tar
console=$output/console.txt
log=$output/log.txt
programs=(init tests bench)

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

# make_bundle ARG...: the images, and these arguments for `init`.
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
  printf '%s\0' "$@" >"$output/files/cmdline"
}

# make_bundle_with PROGRAM ARG...: that program too, for `init` to run.
make_bundle_with() {
  local path=$1 name=${1##*/}
  shift
  # The archive's format has room for so many bytes.
  [[ ${#name} -le 90 ]] || name=${name:0:90}
  # Names of files that are there already are taken.
  [[ " kernel cmdline ${programs[*]} " == *" $name "* ]] && name=program-$name
  collect run "$name" "$@"
  cp -- "$path" "$output/files/$name"
  pack
}

pack() {
  (cd "$output/files" && tar --format=ustar --sort=name --owner=0 --group=0 --mtime=@0 -cf "$bundle" -- *)
}

qemu=(qemu-system-x86_64 -accel tcg -cpu max -display none -no-reboot -nodefaults
  -device "isa-debug-exit,iobase=0xf4")

# boot QEMU-OPTION...: boots the bundle; the console goes to standard output, the log to a file. Returns the status.
boot() {
  local status=0
  : >"$log"
  # In the foreground, so that Ctrl-C reaches QEMU; by a signal that QEMU does not talk about.
  timeout --foreground --signal=KILL "$time_limit" "${qemu[@]}" -m "$memory" -kernel "$output/boot" -initrd "$bundle" \
    -serial stdio -serial "file:$log" "$@" </dev/null | tee "$console" || status=${PIPESTATUS[0]}
  outcome "$status"
}

# What QEMU's exit status means: isa-debug-exit makes (value << 1) | 1 of the value that it is given.
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
      name_last_test "not finished after $time_limit s"
      return 124 ;;
    *)
      cat "$log" >&2
      echo "run-qemu.sh: the kernel was not booted (QEMU's status is $1)" >&2
      return 71 ;;
  esac
}

# Says what happened, and in which test, if it was one.
name_last_test() {
  local last
  last=$(tail -n 1 "$console" | sed -nE 's/^test (.*) \.\.\..*/\1/p')
  echo "run-qemu.sh: $1${last:+ in the test $last}" >&2
}

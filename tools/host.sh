# Runs the tests of all crates on the host. Sourced by run-qemu.sh.

# crate_of FILE: prints the name of the crate with this file of tests, which cargo names by its path in the crate.
crate_of() {
  local folder crates="boot kernel kernel/abi kernel/store tools user user/c/dispatch user/dispatch"
  for folder in $crates user/runtime user/xpc voucher; do
    [[ ! -e $here/$folder/$1 ]] || { echo "${folder##*/}"; return; }
  done
}

# Reads what `cargo test` prints and prints one line for each file of tests with their number and the seconds they took,
# as soon as they have ended. The same goes to the file, with hundredths of seconds first, to be sorted.
one_line_each() {
  local line name='' count width=30 result='^test result:.* ([0-9]+) passed; ([0-9]+) failed'
  result+='.*finished in ([0-9]+)\.([0-9][0-9])s'
  : >"$1"
  while IFS= read -r line; do
    if [[ $line =~ Running\ unittests\ .*/([a-z0-9_]+)-[0-9a-f]+\) ]]; then
      name=${BASH_REMATCH[1]}
    elif [[ $line =~ Running\ (tests/([a-z0-9_]+)[^ ]*)\ \( ]]; then
      name="$(crate_of "${BASH_REMATCH[1]}")/${BASH_REMATCH[2]}"
    elif [[ $line =~ Doc-tests\ ([a-z0-9_]+) ]]; then
      name="${BASH_REMATCH[1]}, documents"
    elif [[ $line =~ $result ]]; then
      count="${BASH_REMATCH[1]} passed"
      ((BASH_REMATCH[2] == 0)) || count+=", ${BASH_REMATCH[2]} failed"
      ((BASH_REMATCH[1] + BASH_REMATCH[2] > 0)) || continue
      printf "  %-${width}s %-24s %4d.%s s\n" "$name" "$count" "${BASH_REMATCH[3]}" "${BASH_REMATCH[4]}"
      printf '%d%s\t%s\n' "${BASH_REMATCH[3]}" "${BASH_REMATCH[4]}" "$name" >>"$1"
    fi
  done
}

# list_host_tests [FILTER]: prints the names of the host tests.
list_host_tests() {
  local file=$output/host-build.txt
  build_host_tests
  (cd "$here" && host_cargo test --workspace ${1:+"$1"} -- --list 2>"$file") | sed -nE 's/: test$//p' ||
    { cat "$file" >&2; exit 65; }
}

build_host_tests() {
  local status=0
  attend with_log "$output/host-build.txt" host_cargo_here test --workspace --no-run || status=$?
  ((status == 0)) || {
    show_log "$output/host-build.txt"
    echo "run-qemu.sh: the host tests do not build" >&2
    exit 65
  }
}

host_cargo_here() { (cd "$here" && host_cargo "$@"); }

# host_tests_told FILE [FILTER]: runs the host tests with their output in the file, and tells about each crate.
host_tests_told() {
  host_cargo_here test --workspace --no-fail-fast ${2:+"$2"} 2>&1 | tee "$1" |
    one_line_each "$output/host-times.txt"
}

# run_host_tests [FILTER]: runs the host tests and shows what fails. Sets `passed` and `failed`, and leaves the times in
# the file host-times.txt.
run_host_tests() {
  local log=$output/host-tests.txt status=0
  [[ -d $build_folder/debug/deps ]] || say "building the host tests; the first time takes some minutes and 1 GB"
  build_host_tests
  echo "running the host tests ..."
  attend host_tests_told "$log" ${1:+"$1"} || status=$?
  read -r passed failed < <(awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$log")
  if ((status != 0)); then
    if ((failed == 0)); then
      cat "$log" >&2
      echo "run-qemu.sh: the host tests end without a result" >&2
      exit 65
    fi
    sed -n '/^failures:$/,/^test result:/p' "$log"
    [[ -z ${TALLY_SEED:-} ]] || echo "the seed was $TALLY_SEED"
  fi
  echo "$passed passed, $failed failed"
  echo
}

# Prints the slowest five of what ran, on the host and in QEMU.
slowest_of_all() {
  echo "the slowest:"
  {
    cat "$output/host-times.txt"
    sed -nE 's/^ +([0-9]+)\.([0-9]{2}) s  ([a-z0-9_:]+)\r?$/\1\2\t\3/p' "$console"
  } | sort -rn | head -n 5 | awk -F '\t' '{ printf "%6d.%02d s  %s\n", $1 / 100, $1 % 100, $2 }'
}

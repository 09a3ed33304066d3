# The names of tests and commands. Sourced by run-qemu.sh.

# ring3_tests [FILTER]: prints the full names of the tests that run in user mode and have the filter in them. It reads
# the lists of user/src/suite, so that nothing need be built. Tests that fail deliberately run by --deliberate alone.
ring3_tests() {
  sed -nE '/^tests! \{/,/^\}/ {
    s/^tests! \{ "([a-z0-9_]+)":.*/group \1/p
    s/^    ([a-z0-9_]+)( *\..*)?,?$/test \1/p
  }' "$here"/user/src/suite/*.rs "$here"/user/src/suite/*/*.rs |
    awk -v filter="${1:-}" '
      $1 == "group" { group = $2 }
      $1 == "test" && group != "deliberate" && index(group "::" $2, filter) { print group "::" $2 }'
}

# similar_to WORD CANDIDATE...: prints the candidate that is at most two slips away: a letter that is wrong, missing,
# superfluous or changed places with its neighbour. Prints nothing if there is none.
similar_to() {
  printf '%s\n' "$@" | awk '
    function least(a, b) { return a < b ? a : b }
    function slips(a, b,   i, j, d, same) {
      for (i = 0; i <= length(a); i++) d[i, 0] = i
      for (j = 0; j <= length(b); j++) d[0, j] = j
      for (i = 1; i <= length(a); i++)
        for (j = 1; j <= length(b); j++) {
          same = substr(a, i, 1) == substr(b, j, 1)
          d[i, j] = least(d[i - 1, j - 1] + !same, least(d[i - 1, j], d[i, j - 1]) + 1)
          if (i > 1 && j > 1 && substr(a, i, 1) == substr(b, j - 1, 1) && substr(a, i - 1, 1) == substr(b, j, 1))
            d[i, j] = least(d[i, j], d[i - 2, j - 2] + 1)
        }
      return d[length(a), length(b)]
    }
    NR == 1 { word = $0; best = 3; next }
    { n = slips(word, $0); if (n < best && n < length(word)) { best = n; found = $0 } }
    END { if (found != "") print found }'
}

commands=(test run demo monitor trace bench fuzz gdb build)

# did_you_mean WORD [ELSE]: prints the question whether a similar command is meant, if there is one, and else the text.
did_you_mean() {
  local found
  found=$(similar_to "$1" "${commands[@]}")
  if [[ -n $found ]]; then printf '; did you mean %s?' "$found"; elif (($# > 1)); then printf '; %s' "$2"; fi
}

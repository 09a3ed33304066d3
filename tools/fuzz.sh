# Boots the fuzzer and tells what it has found. Sourced by run-qemu.sh.

# Seconds that a round may take longer than was asked for, on a busy machine.
fuzz_grace=600

# fuzz SECONDS: runs rounds for so long, or one round if that is 0. The bundle has nothing else, so that it fits a small
# machine.
fuzz() {
  local status=0 rounds=() typed='' typist start=$SECONDS
  (($1 > 0)) || rounds=(--rounds 1)
  make_bundle run fuzz --seed "$seed" "${rounds[@]}"
  : >"$log"
  # What is typed when the time is over makes the round that runs the last one.
  exec {typed}< <(wait_and_type "$1" 2>/dev/null)
  typist=$!
  # The clock counts instructions, so that a seed always leads to the same calls.
  attend run_machine -icount shift=0,sleep=off -seed "$seed" <&"$typed" || status=$?
  exec {typed}<&-
  kill "$typist" 2>/dev/null || true
  status_of_fuzz "$status" $((SECONDS - start))
}

wait_and_type() {
  sleep "$1" &
  trap "kill $!; exit" TERM
  wait
  echo
}

# status_of_fuzz STATUS SECONDS: tells how fast it was and how to run it again, and returns the exit status.
status_of_fuzz() {
  local status=0 steps failed
  outcome "$1" || status=$?
  steps=$(sed -nE 's/^([0-9]+) steps of [0-9]+ tasks in [0-9]+ rounds.*/\1/p' "$console")
  [[ -z $steps ]] || echo "$((steps / ($2 > 0 ? $2 : 1))) steps per second"
  ((status > 0)) || return 0
  failed=$(sed -nE 's/^seed ([0-9]+) \.\.\. .*/\1/p' "$console" | tail -n 1)
  [[ -z $failed ]] || {
    echo "run-qemu.sh: the round of seed $failed went wrong"
    echo "run-qemu.sh: to run it alone: ./run-qemu.sh $(settings_of_fuzz "$failed") 0"
    [[ $failed == "$seed" ]] || echo "run-qemu.sh: with those before it: ./run-qemu.sh $(settings_of_fuzz "$seed") $2"
  } >&2
  return "$status"
}

# settings_of_fuzz SEED: prints the call that fuzzes with this seed on this machine.
settings_of_fuzz() {
  local words=(--seed "$1")
  [[ $profile == release ]] || words+=("--$profile")
  ((memory == 128)) || words+=(--mem "$memory")
  echo "${words[*]} fuzz"
}

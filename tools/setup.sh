# Finds a Rust toolchain that builds for the bare machine, and QEMU; installs them if need be. Sourced by run-qemu.sh.
#
# There are two ways to a toolchain. With rustup the target comes ready made. Where it cannot be had, Debian's packages
# have a compiler with the source of its library, of which cargo then builds what is needed. Nothing of the project
# needs an unstable feature: that the compiler builds its own library is what takes one.

target=x86_64-unknown-none
# The images are looked for here, wherever else a user's builds go.
export CARGO_TARGET_DIR=$here/target
debian_packages=(rustc-web cargo-web rust-web-src lld)
debian_rustc=/usr/bin/rustc
debian_cargo=/usr/bin/cargo

give_up() {
  echo "${0##*/}: $1" >&2
  exit 69
}

# Runs as root.
as_root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

may_install() {
  command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }
}

# What is missing, and the Debian packages that have it.
missing=() packages=()

# need WHAT PACKAGE...: notes that it is missing.
need() {
  missing+=("$1")
  packages+=("${@:2}")
}

# Installs all that was noted, or says what is missing and how to install it.
install_missing() {
  ((${#packages[@]} > 0)) || return 0
  local what
  printf -v what '%s, ' "${missing[@]}"
  what=${what%, }
  may_install || give_up "missing: $what; on Debian, as root:
  apt-get update && apt-get install --no-install-recommends ${packages[*]}"
  echo "installing $what (${packages[*]}) ..." >&2
  mkdir -p "$here/target"
  local log=$here/target/install.txt
  {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
  } >"$log" 2>&1 || { tail -n 20 "$log" >&2; give_up "cannot be installed: $what"; }
  missing=() packages=()
}

# Whether the `rustc` of the path has the target. TALLY_TOOLCHAIN=debian says not to look.
rustup_has_target() {
  local directory
  [[ ${TALLY_TOOLCHAIN:-} != debian ]] || return 1
  command -v rustc >/dev/null && command -v cargo >/dev/null || return 1
  directory=$(cd "$here" && rustc --print target-libdir --target "$target" 2>/dev/null) || return 1
  compgen -G "$directory/libcore-*" >/dev/null
}

debian_has_all() {
  [[ -x $debian_rustc && -x $debian_cargo ]] && command -v ld.lld >/dev/null &&
    [[ -d $("$debian_rustc" --print sysroot)/lib/rustlib/src/rust/library/core ]]
}

# With rustup the target may be had.
add_target() {
  [[ ${TALLY_TOOLCHAIN:-} != debian ]] && command -v rustup >/dev/null || return 0
  # Where there is no way to the target's files this fails soon.
  (cd "$here" && timeout 60 rustup target add "$target") >/dev/null 2>&1 || true
}

# Sets two functions and a variable. `bare_cargo COMMAND ARG...`: cargo for the bare machine. `host_cargo`: cargo for
# this one. `bare_rustc`: the compiler for the bare machine.
# The target stands before the arguments: behind a `--` it would be no option of cargo's.
choose_toolchain() {
  if rustup_has_target; then
    bare_rustc=rustc
    bare_cargo() { cargo "$1" --target "$target" "${@:2}"; }
  else
    debian_has_all || give_up "the packages ${debian_packages[*]} do not hold what they should"
    bare_rustc=$debian_rustc
    bare_cargo() {
      # With this directory first cargo also finds its own subcommands.
      PATH=${debian_cargo%/*}:$PATH RUSTC=$debian_rustc RUSTC_BOOTSTRAP=1 \
        CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER=ld.lld "$debian_cargo" "$1" --target "$target" \
        -Zbuild-std=core,alloc,compiler_builtins -Zbuild-std-features=compiler-builtins-mem "${@:2}"
    }
  fi
  if command -v cargo >/dev/null; then
    host_cargo() { cargo "$@"; }
  else
    host_cargo() { RUSTC=$debian_rustc "$debian_cargo" "$@"; }
  fi
}

set_up() {
  rustup_has_target || debian_has_all || add_target
  rustup_has_target || debian_has_all || need "a Rust compiler for $target" "${debian_packages[@]}"
  # The host's tests link with the system's C compiler.
  command -v cc >/dev/null || need "a C compiler" gcc libc6-dev
  command -v qemu-system-x86_64 >/dev/null || need QEMU qemu-system-x86
  install_missing
  choose_toolchain
}

# Finds a Rust toolchain that builds for the bare machine, and QEMU; installs them if need be. Sourced by run-qemu.sh.
#
# There are two ways to a toolchain. With rustup the target comes ready made. Where it cannot be had, Debian's packages
# have a compiler with the source of its library, of which cargo then builds what is needed. Nothing of the project needs
# an unstable feature: that the compiler builds its own library is what takes one.

target=x86_64-unknown-none
debian_packages=(rustc-web cargo-web rust-web-src lld)
debian_rustc=/usr/bin/rustc
debian_cargo=/usr/bin/cargo

give_up() {
  echo "run-qemu.sh: $1" >&2
  exit 69
}

# Runs as root.
as_root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

may_install() {
  command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }
}

# Installs Debian packages, or says which are missing: `install WHAT-FOR PACKAGE...`
install() {
  local what=$1
  shift
  may_install || give_up "$what is missing; on Debian: apt-get install --no-install-recommends $*"
  echo "installing $what ($*) ..." >&2
  mkdir -p "$here/target"
  local log=$here/target/install.txt
  {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
  } >"$log" 2>&1 || { tail -n 20 "$log" >&2; give_up "$what cannot be installed"; }
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

# `bare_cargo COMMAND ARG...`: cargo for the bare machine. `host_cargo`: cargo for this one.
# The target stands before the arguments: behind a `--` it would be no option of cargo's.
set_up_toolchain() {
  if [[ ${TALLY_TOOLCHAIN:-} != debian ]] && ! rustup_has_target && command -v rustup >/dev/null && ! debian_has_all; then
    # Where there is no way to the target's files this fails soon.
    (cd "$here" && timeout 60 rustup target add "$target") >/dev/null 2>&1 || true
  fi
  if rustup_has_target; then
    bare_cargo() { cargo "$1" --target "$target" "${@:2}"; }
  else
    debian_has_all || install "a compiler for the bare machine" "${debian_packages[@]}"
    debian_has_all || give_up "the packages ${debian_packages[*]} do not hold what they should"
    bare_cargo() {
      # With this directory first cargo also finds its own subcommands.
      PATH=${debian_cargo%/*}:$PATH RUSTC=$debian_rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER=ld.lld \
        "$debian_cargo" "$1" --target "$target" \
        -Zbuild-std=core,alloc,compiler_builtins -Zbuild-std-features=compiler-builtins-mem "${@:2}"
    }
  fi
  if command -v cargo >/dev/null; then
    host_cargo() { cargo "$@"; }
  else
    host_cargo() { RUSTC=$debian_rustc "$debian_cargo" "$@"; }
  fi
  # The host's tests link with the system's C compiler.
  command -v cc >/dev/null || install "a linker" gcc libc6-dev
}

set_up() {
  set_up_toolchain
  command -v qemu-system-x86_64 >/dev/null || install "QEMU" qemu-system-x86
}

# Finds QEMU and a Rust toolchain for the bare machine, and installs them if they are missing. Sourced by run-qemu.sh.
#
# There are two toolchains. rustup has a compiled library for the target. Where rustup cannot get it, Debian's packages
# have a compiler with the source of its library, and cargo builds the library. That needs an unstable feature of cargo;
# the project itself needs none.

. "$here/tools/progress.sh"
. "$here/tools/signals.sh"

target=x86_64-unknown-none
# What is built goes here. The scripts expect the images there, even if the user's builds go to another directory.
build_folder=${TALLY_TARGET:-$here/target}
[[ $build_folder == /* ]] || build_folder=$PWD/$build_folder
export CARGO_TARGET_DIR=$build_folder
debian_packages=(rustc-web cargo-web rust-web-src lld)
debian_rustc=/usr/bin/rustc
debian_cargo=/usr/bin/cargo

give_up() {
  echo "${0##*/}: $1" >&2
  exit 69
}

# make_folder DIRECTORY: makes a directory, unless it is there, and ends the script if nothing can be written to it.
make_folder() {
  mkdir -p -- "$1" 2>/dev/null && [[ -w $1 ]] && return
  echo "${0##*/}: cannot write to $1; TALLY_TARGET and TALLY_OUTPUT name other folders, see --help" >&2
  exit 73
}

# Runs as root.
as_root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

may_install() {
  command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }
}

# The missing tools, and the Debian packages that have them.
missing=() packages=()

# need TOOL PACKAGE...: records a missing tool.
need() {
  missing+=("$1")
  packages+=("${@:2}")
}

# Installs all missing tools, or names them and the command that installs them.
install_missing() {
  ((${#packages[@]} > 0)) || return 0
  local tools
  printf -v tools '%s, ' "${missing[@]}"
  tools=${tools%, }
  may_install || give_up "missing: $tools; to install on Debian, run as root:
  apt-get update && apt-get install --no-install-recommends ${packages[*]}"
  echo "installing $tools (${packages[*]}) ..." >&2
  make_folder "$build_folder"
  local log=$build_folder/install.txt
  # Not by `attend`: a package manager that is killed leaves packages half installed.
  with_log "$log" install_packages || {
    is_watched || tail -n 20 "$log" >&2
    give_up "cannot install $tools"
  }
  missing=() packages=()
}

install_packages() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
}

# Succeeds if the `rustc` of the path has the target. With TALLY_TOOLCHAIN=debian it is not used.
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

# Installs the target with rustup, if possible.
add_target() {
  [[ ${TALLY_TOOLCHAIN:-} != debian ]] && command -v rustup >/dev/null || return 0
  say "asking rustup for the target $target ..."
  # Without a network this fails within the time limit.
  (cd "$here" && timeout 60 rustup target add "$target") >/dev/null 2>&1 || true
}

# Defines two functions and a variable. `bare_cargo COMMAND ARG...` runs cargo for the bare machine, `host_cargo` for
# this one; `bare_rustc` is the compiler for the bare machine.
# The target stands before the arguments, because an argument behind `--` is no option of cargo.
choose_toolchain() {
  if rustup_has_target; then
    bare_rustc=rustc
    bare_cargo() { cargo "$1" --target "$target" "${@:2}"; }
  else
    debian_has_all || give_up "the packages ${debian_packages[*]} lack the compiler or the source of its library"
    bare_rustc=$debian_rustc
    bare_cargo() {
      # With this directory first in the path, cargo finds its own subcommands.
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
  # The host tests link with the system's C compiler.
  command -v cc >/dev/null || need "a C compiler" gcc libc6-dev
  command -v qemu-system-x86_64 >/dev/null || need QEMU qemu-system-x86
  install_missing
  choose_toolchain
}

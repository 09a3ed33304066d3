#!/usr/bin/env bash
# Compiles C programs for Tally. See usage below, and docs/programs.md.
set -euo pipefail

# A link to the script may stand anywhere. CDPATH would send `cd` elsewhere, and have it print where.
unset CDPATH
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")

usage() {
  cat <<'END'
user/c/cc.sh [OPTION...] FILE... -o PROGRAM

Compiles C and assembly files with the library in user/c/src to a program for ./run-qemu.sh run. The other arguments are
those of gcc: -O2 -g -D -I -W... The compiler is $CC, by default gcc if there is one, otherwise clang.

  --dispatch   links the library of <dispatch/dispatch.h> too, which is built before, with Tally's own toolchain
END
}

if (($# == 0)) || [[ $1 == --help ]]; then
  usage
  exit
fi

dispatch=
arguments=()
for argument; do
  if [[ $argument == --dispatch ]]; then dispatch=1; else arguments+=("$argument"); fi
done
set -- "${arguments[@]}"

compiler=${CC:-}
for candidate in gcc clang; do
  [[ -n $compiler ]] || ! command -v "$candidate" >/dev/null || compiler=$candidate
done
if [[ -z $compiler ]]; then
  echo "cc.sh: missing: a C compiler; to install one on Debian, run as root: apt-get install gcc" >&2
  exit 69
fi

# The compiler's own headers, such as <stdint.h>, and no others.
if "$compiler" --version | grep -q clang; then
  own_headers=$("$compiler" -print-resource-dir)/include
else
  own_headers=$("$compiler" -print-file-name=include)
fi

# A static program at a fixed address. The stack protector and the markers for indirect jumps need what Tally lacks.
flags=(-ffreestanding -fno-stack-protector -fno-pie -fcf-protection=none -fno-asynchronous-unwind-tables
  -ffunction-sections -fdata-sections -nostdinc -isystem "$here/include" -isystem "$own_headers" -Wall)
link=(-nostdlib -static -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096)

# Without linking there is nothing to do for the library.
for argument; do
  case $argument in -c | -S | -E | -fsyntax-only) exec "$compiler" -O2 "${flags[@]}" "$@" ;; esac
done

# Prints the path of the library of dispatch, after building it.
build_dispatch() (
  here=$(cd -P "$here" && cd ../.. && pwd)
  . "$here/tools/setup.sh"
  set_up
  make_folder "$build_folder"
  say "building the library of dispatch; the first time takes a minute ..."
  cd "$here"
  with_log "$build_folder/dispatch-c.txt" bare_cargo build --release -p dispatch-c || {
    show_log "$build_folder/dispatch-c.txt"
    echo "cc.sh: the library of dispatch cannot be built" >&2
    exit 65
  }
  printf '%s' "$build_folder/$target/release/libdispatch_c.a"
)

library=
if [[ -n $dispatch ]]; then
  for argument; do
    case $argument in
      -static-pie | -pie)
        echo "cc.sh: $argument and --dispatch exclude each other: the library is linked at a fixed address" >&2
        exit 64
        ;;
    esac
  done
  library=$(build_dispatch)
fi

# The library is compiled without the caller's options, which are not meant for it, and fits programs of both kinds.
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
(cd "$objects" && "$compiler" -O2 -g "${flags[@]}" -fPIE -c "$here"/src/*.[cS])
libgcc=$("$compiler" -print-libgcc-file-name)
[[ -f $libgcc ]] || libgcc=
"$compiler" -O2 "${flags[@]}" "${link[@]}" "$@" "$objects"/*.o ${library:+"$library"} ${libgcc:+"$libgcc"}

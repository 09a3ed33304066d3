#!/usr/bin/env bash
# Compiles C programs for Tally. See usage below, and docs/programs.md.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'END'
user/c/cc.sh [OPTION...] FILE... -o PROGRAM

Compiles C and assembly files with the library in user/c/src to a program for ./run-qemu.sh run. All arguments are those
of gcc: -O2 -g -D -I -W... The compiler is $CC, by default gcc if there is one, otherwise clang.
END
}

if (($# == 0)) || [[ $1 == --help ]]; then
  usage
  exit
fi

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

# The library is compiled without the caller's options, which are not meant for it, and fits programs of both kinds.
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
(cd "$objects" && "$compiler" -O2 -g "${flags[@]}" -fPIE -c "$here"/src/*.[cS])
libgcc=$("$compiler" -print-libgcc-file-name)
[[ -f $libgcc ]] || libgcc=
"$compiler" -O2 "${flags[@]}" "${link[@]}" "$@" "$objects"/*.o ${libgcc:+"$libgcc"}

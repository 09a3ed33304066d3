"""Numbers, names and arguments of traps. The one list of them is kernel/abi/src/trap.rs, which is read here."""

import os
import re

from .values import ROOT, Trouble

SOURCE = "kernel/abi/src/trap.rs"
CLASS_SHIFT = 24
# Seventh and eighth argument are on the user's stack (mach-ipc 7.1).
CAUSE_TRAP = 0x100  # kernel/src/trap_frame.rs.
IN_REGISTERS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")

_found = {}


class Trap:
    """A trap: its number with the class, its name, and what its arguments are."""

    def __init__(self, number, name, arguments):
        self.number, self.name, self.arguments = number, name, arguments


def known():
    """Returns all traps by number."""
    if not _found:
        with open(os.path.join(ROOT, SOURCE), encoding="utf-8") as file:
            text = file.read()
        found = re.findall(r"const (CLASS_\w+): u32 = (\d+) <<", text)
        classes = {name: int(value) << CLASS_SHIFT for name, value in found}
        pattern = r"/// `\(([^)]*)\)`[^\n]*\n(?:\s*///[^\n]*\n)*\s*pub const (\w+): u32 = (CLASS_\w+) \| (\d+);"
        for arguments, name, trap_class, number in re.findall(pattern, text):
            words = [re.sub(r"\[\d+\] ", "", word).strip() for word in arguments.split(",") if word.strip()]
            number = classes[trap_class] | int(number)
            _found[number] = Trap(number, name.lower(), words)
        if not _found:
            raise Trouble(f"{SOURCE} has no traps in the form that tools/gdb/tally_debugger/traps.py reads")
    return _found


def named(word):
    """Returns the trap with a name, or with a number: 0x100001f, or 31 for number 31 of class 1."""
    for trap in known().values():
        if trap.name == word.lower():
            return trap
    try:
        number = int(word, 0)
    except ValueError as error:
        near = sorted(trap.name for trap in known().values() if word.lower() in trap.name)
        hint = f"; do you mean {', '.join(near)}?" if near else f"; their names are in {SOURCE}"
        raise Trouble(f"no trap is called {word}{hint}") from error
    number = number if number >> CLASS_SHIFT else 1 << CLASS_SHIFT | number
    return known().get(number) or Trap(number, f"trap {describe(number)}", [])


def describe(number):
    return f"{number & 0xFFFFFF} of class {number >> CLASS_SHIFT}"


# The functions by which traps enter the kernel: no trap is made without one of them.
ENTRY = "kernel::arch::x86_64::system::"
FAST_PATH = (
    "note: a plain call of mach_msg takes the fast path, which ends in handle_plain_call: breakpoints in handle_trap"
    " and in the functions of a slow send or receive do not see it"
)


def decode(frame_register, read_stack):
    """Tells which trap a frame is for. `frame_register` returns a register of the frame, `read_stack` a word of the
    user's stack at an offset, or None."""
    number = frame_register("rax") & 0xFFFF_FFFF
    trap = known().get(number)
    if trap is None:
        return [f"rax is {number:#x}: no number of a trap, or the trap's result already"]
    lines = [f"trap {trap.name}, {describe(number)}"]
    for index, argument in enumerate(trap.arguments):
        if index < len(IN_REGISTERS):
            value, place = frame_register(IN_REGISTERS[index]), IN_REGISTERS[index]
        else:
            offset = 8 * (index - len(IN_REGISTERS) + 1)
            value, place = read_stack(offset), f"[rsp + {offset}]"
        shown = "cannot be read" if value is None else f"{value:#x}"
        lines.append(f"  {argument.ljust(14)} {place.ljust(10)} {shown}")
    return lines

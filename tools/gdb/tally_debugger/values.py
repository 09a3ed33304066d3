"""Reading Rust's values from the machine's memory by the kernel's debug information."""

import os

import gdb

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

# Where the sources of a crate are.
CRATES = {"kernel": "kernel/src", "store": "kernel/store/src", "abi": "kernel/abi/src", "voucher": "voucher/src"}

# The kernel's state, in its lock.
SYSTEM = "kernel::arch::x86_64::system::SYSTEM"
NOT_STARTED = "the kernel has not started: `break kernel::arch::x86_64::system::handle_trap`, then `continue`"


class Trouble(Exception):
    """Something that keeps a command from its answer, in words for the user."""


def source_of(type_name):
    """Returns the source file of a Rust type, or None for a type of another crate."""
    crate, *path = type_name.split("<")[0].split("::")
    if crate not in CRATES:
        return None
    for length in range(len(path), -1, -1):
        stem = "/".join([CRATES[crate], *path[:length]])
        for candidate in (stem + ".rs", stem + "/mod.rs", stem + "/lib.rs"):
            if os.path.isfile(os.path.join(ROOT, candidate)):
                return candidate
    return CRATES[crate]


def type_name(value):
    """Returns the name of a value's type."""
    name = value.type.strip_typedefs().name
    return name or str(value.type)


def field(value, *path):
    """Returns the field at the end of a path of names."""
    for name in path:
        try:
            value = value[name]
        except gdb.MemoryError as error:
            raise Trouble(f"cannot read the field `{name}` of {type_name(value)}: {error}") from error
        except (gdb.error, KeyError) as error:
            owner = type_name(value)
            where = source_of(owner)
            look = f": see {where}, and correct tools/gdb/tally_debugger" if where else ""
            raise Trouble(f"{owner} has no field `{name}` any more{look}") from error
    return value


def has_field(value, name):
    """Returns true if a structure has a field: for fields that the kernel can do without."""
    return any(inner.name == name for inner in value.type.strip_typedefs().fields())


def number(value):
    """Returns the number in an integer, an enum without data, or a wrapper of one."""
    kind = value.type.strip_typedefs()
    if kind.code == gdb.TYPE_CODE_UNION:
        return number(value[kind.fields()[-1]])
    if kind.code == gdb.TYPE_CODE_STRUCT:
        for inner in kind.fields():
            if not inner.artificial and inner.type.sizeof > 0:
                return number(value[inner])
        raise Trouble(f"{type_name(value)} is no number any more: see {source_of(type_name(value))}")
    return int(value)


def flag(value, *path):
    """Returns a field that is true or false."""
    return bool(number(field(value, *path)))


def variant(value):
    """Returns the name of an enum's variant, and its data or None."""
    kind = value.type.strip_typedefs()
    if kind.code == gdb.TYPE_CODE_ENUM:
        names = {int(entry.enumval): entry.name for entry in kind.fields()}
        return names.get(int(value), str(int(value))).split("::")[-1], None
    present = [entry for entry in kind.fields() if not entry.artificial]
    if len(present) != 1:
        raise Trouble(f"{type_name(value)} is no enum any more: see {source_of(type_name(value))}")
    return present[0].name, value[present[0]]


def option(value):
    """Returns what is in an `Option`, or None."""
    name, data = variant(value)
    return first(data) if name == "Some" else None


def first(data):
    """Returns the first field of a variant or of a structure without names."""
    return field(data, "__0")


def optional_number(value):
    """Returns the number in an `Option`, or 0."""
    inner = option(value)
    return 0 if inner is None else number(inner)


def pointer_in(value):
    """Returns the pointer in a `Vec` or `Box`, whatever wrappers it has in this version of Rust; or None."""
    kind = value.type.strip_typedefs()
    if kind.code == gdb.TYPE_CODE_PTR:
        return value
    if kind.code == gdb.TYPE_CODE_STRUCT:
        for inner in kind.fields():
            found = None if inner.artificial else pointer_in(value[inner])
            if found is not None:
                return found
    return None


def elements(array):
    """Yields the elements of an array."""
    low, high = array.type.strip_typedefs().range()
    for index in range(low, high + 1):
        yield array[index]


def vector(value):
    """Yields the elements of a `Vec`."""
    start = pointer_in(field(value, "buf"))
    if start is None:
        raise Trouble(f"{type_name(value)} has no pointer that this version of tools/gdb finds")
    start = start.cast(value.type.strip_typedefs().template_argument(0).pointer())
    for index in range(number(field(value, "len"))):
        yield start[index]


def chunks(value):
    """Yields the elements of a `store::Chunks`."""
    for chunk in vector(field(value, "chunks")):
        pointer = pointer_in(chunk)
        if pointer is None:
            raise Trouble("a chunk is no box any more: see kernel/store/src/chunks.rs")
        yield from elements(pointer.dereference())


def used_slots(slots):
    """Yields the indexes, marks and objects of the used slots of a `Slots` (kernel/store/src/slots.rs)."""
    index = 0
    for place in vector(field(slots, "places")):
        chunk = option(field(place, "chunk"))
        if chunk is None:
            index += number(slots.type.strip_typedefs().template_argument(2))
            continue
        for slot in elements(pointer_in(chunk).dereference()):
            name, data = variant(field(slot, "content"))
            if name == "Used":
                yield index, field(slot, "mark"), first(data)
            index += 1


def arena(value):
    """Yields the ids and objects of a `store::Arena` or of a `store::Singles`."""
    if "Singles" in type_name(value):
        for single in vector(field(value, "objects")):
            box = option(single)
            if box is not None:
                for used in elements(pointer_in(box).dereference()):
                    yield number(field(used, "id")), field(used, "object")
        return
    for _, mark, used in used_slots(field(value, "slots")):
        yield number(mark), used


def slab(value):
    """Yields the indexes and objects of a `store::Slab`."""
    for index, _, used in used_slots(field(value, "slots")):
        yield index, used


def length(linked):
    """Returns the length of a `store::List`."""
    return number(field(linked, "len"))


def text(value):
    """Returns the text in a `heapless::String`."""
    size, bytes_of = None, None
    waiting = [value]
    while waiting:
        at = waiting.pop()
        kind = at.type.strip_typedefs()
        if kind.code == gdb.TYPE_CODE_ARRAY:
            bytes_of = at
        elif kind.code == gdb.TYPE_CODE_STRUCT:
            for inner in kind.fields():
                if inner.name == "len":
                    size = number(at[inner])
                elif not inner.artificial:
                    waiting.append(at[inner])
    if size is None or bytes_of is None:
        raise Trouble(f"{type_name(value)} is no string that this version of tools/gdb reads")
    return bytes(number(byte) & 0xFF for _, byte in zip(range(size), elements(bytes_of))).decode("utf-8", "replace")


def system():
    """Returns the kernel, and true if the machine is stopped in the middle of one of the kernel's steps."""
    # Not by an expression: two crates are called `kernel`, and gdb's expressions see one of them.
    symbol = gdb.lookup_static_symbol(SYSTEM)
    if symbol is None:
        raise Trouble(
            f"there is no debug information of {SYSTEM}: start by `./run-qemu.sh gdb`, without --release; if the name"
            " is another one now, correct tools/gdb/tally_debugger/values.py"
        )
    try:
        lock = symbol.value()
        state = variant(field(lock, "state", "value", "value"))[0]
    except gdb.error as error:
        raise Trouble(f"the kernel's memory cannot be read: {error}; {NOT_STARTED}") from error
    if state == "Empty":
        raise Trouble(NOT_STARTED)
    inner = symbol.type.strip_typedefs().template_argument(0)
    held = field(lock, "value").address.cast(inner.pointer()).dereference()
    return field(held, "kernel"), state == "Taken"

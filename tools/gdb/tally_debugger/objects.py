"""Objects by their numbers, as gdb's own values."""

import gdb

from .snapshot import Snapshot
from .values import Trouble, arena, field
from .words import parse_object

# Where the objects are, by the letters of their numbers.
PLACES = {
    "p": ("ipc", "ports"),
    "s": ("ipc", "sets"),
    "m": ("ipc", "messages"),
    "v": ("vouchers", "system", "registry", "vouchers", "vouchers"),
    "e": ("ipc", "importance", "elements"),
    "i": ("ipc", "importance", "inherits"),
}


def find(word):
    """Returns the object that a word names: a number with a letter, such as p12.1 or t3, or `task` and a pid."""
    snapshot = Snapshot()
    kind, _, rest = word.partition(" ")
    if kind == "task":
        id_, place = snapshot.task_named(rest).id, ("tasks", "tasks")
    elif word[0] == "t":
        id_, place = snapshot.thread_named(word).id, ("sched", "threads")
    else:
        place = PLACES.get(word[:1])
        id_ = parse_object(word[:1], word) if place else None
    objects = arena(field(snapshot.kernel, *place)) if id_ else ()
    found = next((value for other, value in objects if other == id_), None)
    if found is None:
        raise Trouble(f'there is no object {word}; write for example p12.1, task 5 or t3')
    return found


def show(words):
    """Returns the lines that show an object, or a field of it at the end of a path of names. `$tally` is it then, so
    that gdb's own commands can go on from there."""
    count = 2 if words[0] == "task" else 1
    value = find(" ".join(words[:count]))
    for name in words[count:]:
        value = step(value, name)
    gdb.set_convenience_variable("tally", value)
    return value.format_string(max_depth=3).splitlines()


def step(value, name):
    """Returns a field of a value, or an explanation which fields it has."""
    try:
        return value[name]
    except gdb.error as error:
        fields = ", ".join(inner.name for inner in value.type.strip_typedefs().fields() if inner.name)
        raise Trouble(f"{value.type} has no field {name}; it has {fields}") from error

"""The commands: `tally COMMAND`."""

import gdb

from . import listings, objects, stops, traps
from .snapshot import Snapshot
from .values import Trouble, field, number, system
from .why import explain, explain_thread
from .words import thread_number, who


def tasks(words):
    """tally tasks
    All tasks: their types, boosts and priorities. The flags are R receives importance, D donates now, B has boosts,
    N naps, L loses its boost soon, E has ended."""
    return listings.tasks(Snapshot())


def threads(words):
    """tally threads [TASK]
    The threads of a task or of all, with their classes, priorities and what they wait for."""
    snapshot = Snapshot()
    return listings.threads(snapshot, snapshot.task_named(words[0]) if words else None)


def ports(words):
    """tally ports [TASK]
    The names of a task; without a task all ports."""
    snapshot = Snapshot()
    return listings.names(snapshot, snapshot.task_named(words[0])) if words else listings.ports(snapshot)


def port(words):
    """tally port PORT | TASK NAME
    All of a port, given by its number such as p12.1, or by a name of a task: counts, holders, queue, who waits."""
    snapshot = Snapshot()
    return listings.one_port(snapshot, listings.find_port(snapshot, words))


def vouchers(words):
    """tally vouchers
    All vouchers, with the importance and the account in them."""
    return listings.vouchers(Snapshot())


def importance(words):
    """tally importance
    All tasks as givers and receivers of importance, and the boosts that vouchers hold."""
    return listings.importance(Snapshot())


def queues(words):
    """tally queues
    The ports with messages, waiting receivers or blocked senders."""
    return listings.queues(Snapshot())


def why(words):
    """tally why TASK | THREAD
    Why a task has its priority, or a thread such as t3: boosts, the messages and vouchers that hold them, who donates.
    """
    snapshot = Snapshot()
    if words[0][:1] == "t" and words[0][1:].isdigit():
        return explain_thread(snapshot, snapshot.thread_named(words[0]))
    return explain(snapshot, snapshot.task_named(words[0]))


def print_(words):
    """tally print OBJECT [FIELD...]
    An object, such as p12.1, m3.1, v2.1, task 5 or t3, or a field of it; `$tally` is it then."""
    return objects.show(words)


def trap(words):
    """tally trap
    The trap that the current thread has made last: its name and arguments."""
    snapshot = Snapshot()
    thread = snapshot.current()
    if thread is None:
        return ["no thread runs: the processor is idle"]
    frame = field(thread.value, "frame")

    def read_stack(offset):
        address = number(field(frame, "rsp")) + offset
        try:
            return int.from_bytes(gdb.selected_inferior().read_memory(address, 8).tobytes(), "little")
        except gdb.MemoryError:
            return None

    heading = f"{thread_number(thread.number)} of {who(snapshot.tasks.get(thread.task))}"
    # The privilege level is in the low bits of the code segment.
    if int(gdb.parse_and_eval("$cs")) & 3:
        return [f"{heading} runs in user mode, in no trap"]
    cause = number(field(frame, "cause"))
    if cause != traps.CAUSE_TRAP:
        return [f"{heading} was interrupted: vector {cause}"]
    lines = traps.decode(lambda name: number(field(frame, name)), read_stack)
    notes = [traps.FAST_PATH] if lines[0].startswith("trap mach_msg,") else []
    return [heading, *lines, *notes]


def break_trap(words):
    """tally break-trap NAME | NUMBER
    Stops at each trap of a name such as mach_port_allocate, or of a number such as 0x1000010 or, in class 1, 16."""
    return stops.at_trap(words[0])


def break_boost(words):
    """tally break-boost [TASK]
    Stops when a task, or any, becomes boosted or ceases to be, before its priority follows."""
    return stops.at_boosts(Snapshot().task_named(words[0]) if words else None)


def help_(words):
    """tally help [COMMAND]
    What there is, or how a command is used."""
    if words:
        return find(words[0])[0].__doc__.strip().replace("\n    ", "\n  ").splitlines()
    lines = ["Tasks are given by pid, or by the name of their program if only one task has it."]
    for command, _, _ in COMMANDS.values():
        use, about = (line.strip() for line in command.__doc__.split("\n", 1))
        lines.append(f"  {use.ljust(34)} {about.split(chr(10))[0].split(': ')[0]}")
    return lines


# The commands with the least and the greatest number of words that follow.
COMMANDS = {
    "tasks": (tasks, 0, 0),
    "threads": (threads, 0, 1),
    "ports": (ports, 0, 1),
    "port": (port, 1, 2),
    "vouchers": (vouchers, 0, 0),
    "importance": (importance, 0, 0),
    "queues": (queues, 0, 0),
    "why": (why, 1, 1),
    "print": (print_, 1, 16),
    "trap": (trap, 0, 0),
    "break-trap": (break_trap, 1, 1),
    "break-boost": (break_boost, 0, 1),
    "help": (help_, 0, 1),
}


# Commands that show several objects, which need not fit each other in the middle of a step.
LISTINGS = ("threads", "port", "vouchers", "importance", "queues", "why")
WITHIN_STEP = "note: the kernel is in the middle of a step: priorities, queues and boosts may be about to follow"


def find(name):
    """Returns the command with a name."""
    if name not in COMMANDS:
        raise Trouble(f"there is no command {name}; see `tally help`")
    return COMMANDS[name]


class Tally(gdb.Command):
    """Show the objects of Tally's kernel: `tally help` lists the commands."""

    def __init__(self):
        super().__init__("tally", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        name, words = (words[0], words[1:]) if words else ("help", [])
        try:
            command, least, most = find(name)
            if not least <= len(words) <= most:
                raise Trouble(f"use: {command.__doc__.splitlines()[0]}")
            lines = command(words)
            if name in LISTINGS and system()[1]:
                lines = [*lines, WITHIN_STEP]
            gdb.write("".join(line + "\n" for line in lines))
        except Trouble as trouble:
            raise gdb.GdbError(f"tally: {trouble}") from trouble
        except gdb.MemoryError as error:
            raise gdb.GdbError(f"tally: {error}; the machine may be stopped where this is not mapped") from error

    def complete(self, text, word):
        return [name for name in COMMANDS if name.startswith(word)] if " " not in text else gdb.COMPLETE_NONE


def register():
    Tally()

"""Breakpoints at traps and at boosts."""

import gdb

from .snapshot import Snapshot
from .traps import ENTRY, FAST_PATH, named
from .values import Trouble
from .words import who

# It is called if importance has something to tell, before the policies follow.
BOOSTS = "kernel::kernel::Kernel::apply_boosts"


def at_trap(word):
    """Stops at a trap, on the fast path too. Returns what to print."""
    trap = named(word)
    notes = []
    if trap.name == "mach_msg":
        place, condition = "handle_plain_call", None
        notes.append(FAST_PATH)
    elif trap.name in ("swtch", "swtch_pri"):
        place, condition = "handle_yield", None
        notes.append("note: both yields come here")
    else:
        place, condition = "handle_any_trap", f"$edi == {trap.number}"
    stop = gdb.Breakpoint(ENTRY + place)
    if condition:
        stop.condition = condition
    return [f"breakpoint {stop.number}: each {trap.name} from now on", *notes]


class BoostStop(gdb.Breakpoint):
    """A stop when a task becomes boosted or ceases to be."""

    def __init__(self, place, pid):
        super().__init__(place)
        self.silent = True
        self.pid = pid

    def stop(self):
        try:
            snapshot = Snapshot()
            told = []
            for element in snapshot.elements.values():
                before, now = element.changes
                task = snapshot.task_of_space(element.space)
                if before == now or task is None or self.pid not in (None, task.pid):
                    continue
                verb = "becomes boosted" if now else "is boosted no longer"
                told.append(f"{who(task)} {verb}: its priority follows at the end of this step")
        except Trouble as trouble:
            told = [f"tally: {trouble}"]
        for line in told:
            print(line)
        return bool(told)


def at_boosts(task):
    """Stops when a task, or any, becomes boosted or ceases to be. Returns what to print."""
    stop = BoostStop(BOOSTS, task.pid if task else None)
    if stop.pending:
        stop.delete()
        raise Trouble(f"there is no function {BOOSTS} any more: see kernel/src/work.rs, and correct tools/gdb")
    whose = who(task) if task else "a task"
    return [f"breakpoint {stop.number}: when {whose} becomes boosted or ceases to be"]

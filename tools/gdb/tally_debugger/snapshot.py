"""All records, and the ways between them, as in the monitor (user/src/monitor/snapshot.rs)."""

from functools import cached_property

from . import records
from .values import Trouble, arena, chunks, field, first, number, option, optional_number, slab, system, variant
from .words import who

# Chains are followed this far. Longer ones are cut by the kernel as well (importance 6.5).
DEPTH_MAX = 32


class Snapshot:
    """The kernel's objects while the machine is stopped. A table is read when it is first needed."""

    def __init__(self):
        self.kernel, self.within_step = system()

    @cached_property
    def tasks(self):
        found = records.table(field(self.kernel, "tasks", "tasks"), records.task)
        spaces = dict(arena(field(self.kernel, "ipc", "spaces")))
        for task in found.values():
            space = spaces.get(task.space)
            if space is None:
                continue
            task.names = number(field(space, "live"))
            importance = option(field(space, "importance"))
            if importance is not None:
                task.element = self.elements.get(number(field(importance, "element")))
        return dict(sorted(found.items(), key=lambda item: item[1].pid))

    @cached_property
    def threads(self):
        found = records.table(field(self.kernel, "sched", "threads"), records.thread)
        return dict(sorted(found.items(), key=lambda item: item[1].number))

    @cached_property
    def ports(self):
        return records.table(field(self.kernel, "ipc", "ports"), records.port)

    @cached_property
    def messages(self):
        links = dict(arena(field(self.kernel, "ipc", "importance", "links")))
        return records.table(field(self.kernel, "ipc", "messages"), records.message, links)

    @cached_property
    def elements(self):
        return records.table(field(self.kernel, "ipc", "importance", "elements"), records.element)

    @cached_property
    def inherits(self):
        return records.table(field(self.kernel, "ipc", "importance", "inherits"), records.inherit)

    @cached_property
    def vouchers(self):
        registry = field(self.kernel, "vouchers", "system", "registry")
        values = {}
        for slot in range(8):
            control = option(field(registry, "controls")[slot])
            if control is not None:
                table = slab(field(control, "table", "values"))
                values[slot] = {index: number(field(value, "handle")) for index, value in table}
        found = records.table(field(registry, "vouchers", "vouchers"), records.voucher, values)
        bindings = dict(arena(first(field(self.kernel, "vouchers", "bindings"))))
        for voucher in found.values():
            if voucher.binding in bindings:
                voucher.port, voucher.came = records.binding(bindings[voucher.binding])
        return found

    @cached_property
    def bank(self):
        """The tasks and accounts of the bank: for a task its pid, for an account holder and merchant."""
        found = {}
        for id_, value in arena(field(self.kernel, "vouchers", "system", "bank", "elements")):
            kind, data = variant(value)
            if kind == "Task":
                found[id_] = number(field(first(data), "identity", "info", "pid"))
            else:
                roles = field(first(data), "roles")
                found[id_] = tuple(number(field(roles, role)) for role in ("holder", "merchant"))
        return found

    @cached_property
    def names(self):
        """The names of all tasks that have not ended, by task."""
        spaces = dict(arena(field(self.kernel, "ipc", "spaces")))
        live = ((id_, task) for id_, task in self.tasks.items() if not task.ended and task.space in spaces)
        return {id_: list(records.names(spaces[task.space])) for id_, task in live}

    @cached_property
    def timers(self):
        """The entries of the heap of deadlines."""
        return [option(entry) for entry in chunks(field(self.kernel, "sched", "timers", "heap"))]

    def deadline_of(self, thread):
        """Returns when a thread gives up waiting, in ns since boot, or None for never."""
        entry = self.timers[thread.deadline] if thread.deadline is not None else None
        return number(field(entry, "deadline")) if entry is not None else None

    def brief(self, task):
        """Returns the shortest unambiguous name of a task."""
        alone = task and [other.name for other in self.tasks.values()].count(task.name) == 1
        return task.name if alone else who(task)

    def current(self):
        """Returns the thread that runs, or that entered the kernel."""
        processor = field(self.kernel, "sched", "processors")[0]
        return self.threads.get(optional_number(field(processor, "current")))

    def thread_named(self, word):
        """Returns the thread that a word names by its number, such as t5."""
        found = [thread for thread in self.threads.values() if word == f"t{thread.number}"]
        if not found:
            raise Trouble(f"there is no thread {word}; see `tally threads`")
        return found[0]

    def task_named(self, word):
        """Returns the live task that a word names: its pid, or the name of its program if only one task has that."""
        if word.isdigit():
            found = [task for task in self.tasks.values() if task.pid == int(word)]
            if not found:
                raise Trouble(f"there is no task with the pid {word}; see `tally tasks`")
            return found[0]
        found = [task for task in self.tasks.values() if task.name == word and not task.ended]
        if len(found) > 1:
            raise Trouble(f"several tasks are called {word}: give the pid; see `tally tasks`")
        if not found:
            raise Trouble(f"no task is called {word}; see `tally tasks`")
        return found[0]

    def task_of_space(self, space):
        return next((task for task in self.tasks.values() if task.space == space), None)

    def task_of_element(self, element):
        found = self.elements.get(element)
        return self.task_of_space(found.space) if found and found.space else None

    def element_of(self, source):
        """Returns the element whose importance a source is: a task's own, or that which an inherit gives to a task."""
        if source is None:
            return 0
        kind, id_ = source
        if kind == "Task":
            return id_
        inherit = self.inherits.get(id_)
        return inherit.to if inherit else 0

    def inherits_into(self, element):
        return [inherit for inherit in self.inherits.values() if inherit.to == element.id] if element else []

    def threads_of(self, task):
        return [thread for thread in self.threads.values() if thread.task == task.id]

    def voucher_at(self, port):
        """Returns the voucher whose port this is, or None."""
        return next((voucher for voucher in self.vouchers.values() if port and voucher.port == port), None)

    def beneficiary(self, port):
        """Returns the task for which the boosts of a port count: the one that has the receive right, or towards which
        it travels."""
        for _ in range(len(self.ports)):
            if port is None:
                return None
            if port.home == "Space":
                return self.task_of_space(port.place)
            if port.home != "Transit":
                return None
            port = self.ports.get(port.place)
        return None

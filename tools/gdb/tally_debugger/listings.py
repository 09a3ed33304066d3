"""Tables of facts, with the columns of the monitor (user/src/monitor/listings.rs)."""

from .values import Trouble
from .words import RIGHTS, app_type, home_of, object_number, optional, parse_object, qos_class, role, task_flags
from .words import thread_number, wait_of, who, who_of_pid


# The handle of the value that stands for the task that sends it: voucher/src/managers/bank/mod.rs.
CURRENT_TASK = 1


class Table:
    """Rows of facts, printed in columns. Numbers stand on the right."""

    def __init__(self, columns, empty):
        self.columns, self.empty, self.rows = columns, empty, []

    def row(self, *cells):
        self.rows.append(cells)

    def lines(self):
        if not self.rows:
            return [self.empty]
        texts = [["" if cell is None else str(cell) for cell in row] for row in self.rows]
        layout = []
        for column, head in enumerate(self.columns):
            width = max(len(head), *(len(row[column]) for row in texts))
            layout.append((all(isinstance(row[column], (int, type(None))) for row in self.rows), width))
        lines = []
        for row in [self.columns, *texts]:
            cells = [cell.rjust(width) if right else cell.ljust(width) for cell, (right, width) in zip(row, layout)]
            lines.append("  ".join(cells).rstrip())
        return lines


def tasks(snapshot):
    columns = ["pid", "task", "type", "role", "flags", "boosts", "base", "threads", "names", "parent", "user"]
    table = Table(columns, "there are no tasks")
    for task in snapshot.tasks.values():
        base = max((thread.base for thread in snapshot.threads_of(task)), default=None)
        boosts = task.element.boosts if task.element else 0
        kind = (app_type(task.app_type), role(task.role), task_flags(task))
        table.row(task.pid, task.name, *kind, boosts, base, task.threads, task.names, task.parent, task.uid)
    return table.lines()


def threads(snapshot, task=None):
    table = Table(["thread", "task", "asks", "gets", "base", "now", "voucher", "waits for"], "there are no threads")
    for thread in snapshot.threads.values():
        if task is None or thread.task == task.id:
            table.row(
                thread_number(thread.number),
                who(snapshot.tasks.get(thread.task)),
                qos_class(thread.requested),
                qos_class(thread.effective),
                thread.base,
                thread.priority,
                optional("v", thread.voucher),
                wait_of(snapshot, thread),
            )
    return table.lines()


def ports(snapshot):
    columns = ["port", "receive right", "messages", "limit", "send", "send-once", "boosts", "takes importance"]
    table = Table(columns, "there are no ports")
    for port in snapshot.ports.values():
        table.row(
            object_number("p", port.id),
            home_of(snapshot, port),
            port.messages,
            port.limit,
            port.send_rights,
            port.send_once_rights,
            port.boosts,
            "yes" if port.donation else "",
        )
    return table.lines()


def names(snapshot, task):
    table = Table(["name", "rights", "refs", "object", "receive right"], "the task has no names")
    for name in snapshot.names.get(task.id, []):
        port = snapshot.ports.get(name.object) if name.right != "PortSet" else None
        letter = "s" if name.right == "PortSet" else "p"
        rights = RIGHTS.get(name.right, name.right)
        if name.right == "Receive" and name.references:
            rights = "receive send"
        object_ = "dead" if name.right == "DeadName" else object_number(letter, name.object)
        table.row(f"{name.name:#x}", rights, name.references, object_, home_of(snapshot, port) if port else "")
    return table.lines()


def messages(snapshot, port):
    columns = ["message", "id", "bytes", "from", "QoS", "importance of", "boosts", "voucher"]
    table = Table(columns, "no message is on its way to it")
    for message in snapshot.messages.values():
        if message.port != port.id:
            continue
        donor = None
        if message.linked:
            donor = who(snapshot.task_of_element(snapshot.element_of(message.source))) if message.source else ""
            donor = donor or "nobody: a static boost"
        voucher = snapshot.voucher_at(message.voucher_port)
        table.row(
            object_number("m", message.id),
            str(message.msgh_id),
            message.size,
            who_of_pid(snapshot, message.sender),
            qos_class(message.qos),
            donor,
            "yes" if message.raised else "no",
            optional("v", voucher.id if voucher else 0),
        )
    return table.lines()


def one_port(snapshot, port):
    """Tells all of a port: its place, its counts, who knows it, its queue and those who wait."""
    lines = [f"port {object_number('p', port.id)}: {home_of(snapshot, port)}"]
    lines.append(f"  {port.send_rights} send rights, {port.send_once_rights} send-once rights, {port.boosts} boosts")
    lines.append(f"  {port.messages} of at most {port.limit} messages are queued")
    if port.donation:
        lines.append("  it takes importance")
    servicer = snapshot.threads.get(port.servicer)
    if servicer:
        how = "is served by" if port.role == "Served" else "is the special reply port of"
        lines.append(f"  it {how} {thread_number(servicer.number)} of {who(snapshot.tasks.get(servicer.task))}")
    for task_id, held in snapshot.names.items():
        for name in held:
            if name.object == port.id and name.right not in ("PortSet", "DeadName"):
                right = RIGHTS.get(name.right, name.right)
                lines.append(f"  {who(snapshot.tasks[task_id])} has a {right} right as {name.name:#x}")
    for thread in snapshot.threads.values():
        if thread.wait_object == port.id and thread.wait in ("receive port", "send"):
            place = f"{thread_number(thread.number)} of {who(snapshot.tasks.get(thread.task))}"
            lines.append(f"  {place} waits for {wait_of(snapshot, thread)}")
    return lines + ["  " + line for line in messages(snapshot, port)]


def find_port(snapshot, words):
    """Returns the port that the words name: its number, or a task and a name of it."""
    if len(words) == 1:
        port = snapshot.ports.get(parse_object("p", words[0]))
        if port is None:
            raise Trouble(f"there is no port {words[0]}; see `tally ports`")
        return port
    task = snapshot.task_named(words[0])
    try:
        wanted = int(words[1], 0)
    except ValueError as error:
        raise Trouble(f"{words[1]} is no name of a port: write a number such as 0x403") from error
    for name in snapshot.names.get(task.id, []):
        if name.name == wanted and name.object in snapshot.ports and name.right != "PortSet":
            return snapshot.ports[name.object]
    raise Trouble(f"{who(task)} has no port as {wanted:#x}; see `tally ports {task.pid}`")


def queues(snapshot):
    columns = ["port", "receive right", "messages", "limit", "boosts", "receivers", "senders"]
    table = Table(columns, "no port has messages, and no thread waits for one")
    for port in snapshot.ports.values():
        waits = [thread.wait for thread in snapshot.threads.values() if thread.wait_object == port.id]
        receivers, senders = waits.count("receive port"), waits.count("send")
        if port.messages or receivers or senders:
            place = (object_number("p", port.id), home_of(snapshot, port))
            table.row(*place, port.messages, port.limit, port.boosts, receivers, senders)
    return table.lines()


def brief_of_pid(snapshot, pid):
    """Returns the shortest unambiguous name of the task with a pid, which may have ended."""
    found = next((task for task in snapshot.tasks.values() if task.pid == pid), None)
    return snapshot.brief(found) if found else who_of_pid(snapshot, pid or 0)


def importance_in(snapshot, voucher):
    """Returns the importance in a voucher: whose it is and who has it."""
    if voucher.importance is None:
        return ""
    kind, id_ = voucher.importance
    if kind == "Task":
        return f"{snapshot.brief(snapshot.task_of_element(id_))}'s own"
    inherit = snapshot.inherits.get(id_)
    if inherit is None:
        return ""
    source, to = snapshot.element_of(inherit.source), inherit.to
    how = "boosts" if inherit.donating else "would boost"
    return f"{snapshot.brief(snapshot.task_of_element(source))} {how} {snapshot.brief(snapshot.task_of_element(to))}"


def account_in(snapshot, voucher):
    """Returns the account in a voucher: who pays whom."""
    if voucher.bank == CURRENT_TASK:
        return "the sender's own"
    entry = snapshot.bank.get(voucher.bank)
    if entry is None:
        return ""
    if isinstance(entry, int):
        return f"{brief_of_pid(snapshot, entry)}'s own"
    holder, merchant = (brief_of_pid(snapshot, snapshot.bank.get(role_)) for role_ in entry)
    return f"{holder} pays {merchant}"


def vouchers(snapshot):
    table = Table(["voucher", "keys", "refs", "port", "importance", "account"], "there are no vouchers")
    for voucher in snapshot.vouchers.values():
        table.row(
            object_number("v", voucher.id),
            ",".join(map(str, voucher.keys)),
            voucher.references,
            optional("p", voucher.port),
            importance_in(snapshot, voucher),
            account_in(snapshot, voucher),
        )
    return table.lines()


def importance(snapshot):
    """Tells of all elements and inherits."""
    columns = ["element", "task", "receives", "donates", "boosts", "by vouchers", "messages", "inherits", "refs"]
    elements = Table(columns, "no task takes part in importance")
    for element in snapshot.elements.values():
        elements.row(
            object_number("e", element.id),
            who(snapshot.task_of_element(element.id)),
            "yes" if element.receiver else "",
            "yes" if element.donor else "",
            element.boosts,
            element.external,
            element.messages,
            element.inherits,
            element.references,
        )
    inherits = Table(["inherit", "from", "boosts", "count", "depth", "now"], "no voucher holds a boost")
    for inherit in snapshot.inherits.values():
        inherits.row(
            object_number("i", inherit.id),
            who(snapshot.task_of_element(snapshot.element_of(inherit.source))),
            who(snapshot.task_of_element(inherit.to)),
            inherit.boosts,
            inherit.depth,
            "yes" if inherit.donating else "no",
        )
    return [*elements.lines(), "", *inherits.lines()]

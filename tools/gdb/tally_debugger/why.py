"""The reasons for a task's priority, as a chain in the words of the monitor (user/src/monitor/why.rs)."""

from .snapshot import DEPTH_MAX
from .words import app_type, object_number, role, who


class Lines:
    def __init__(self):
        self.text = []

    def add(self, depth, line):
        self.text.append("  " * depth + line)


def explain(snapshot, task):
    """Explains the priority of a task: each reason is a line, and a reason's own reasons stand below it, farther
    right."""
    lines = Lines()
    base = max((thread.base for thread in snapshot.threads_of(task)), default=0)
    lines.add(0, f"{who(task)} runs at base priority {base}")
    kind_of(lines, task)
    boosts = task.element.boosts if task.element else 0
    if boosts > 0:
        lines.add(1, f"because it has {boosts} {'boost' if boosts == 1 else 'boosts'}:")
    elif task.boosted:
        lines.add(1, "because it had a boost, which it keeps for up to a second")
    explain_boosts(snapshot, task, 2, lines)
    explain_threads(snapshot, task, lines)
    return lines.text


def kind_of(lines, task):
    front = f", role {role(task.role)}" if role(task.role) else ""
    rule = ""
    if task.app_type == "DaemonAdaptive":
        rule = ": in the background but for its boost" if task.boosted else ": in the background while it has no boost"
    elif task.suppressed:
        rule = ": in App Nap"
    lines.add(1, f"it is a {app_type(task.app_type)}{front}{rule}")


def explain_boosts(snapshot, task, depth, lines):
    """Explains each boost of a task, and why those who cause it may."""
    if depth > 2 * DEPTH_MAX:
        lines.add(depth, "…")
        return
    for port in snapshot.ports.values():
        if port.boosts == 0 or snapshot.beneficiary(port) is not task:
            continue
        place = f", its name {port.name:#x}" if port.home == "Space" else ""
        lines.add(depth, f"{port.boosts} on port {object_number('p', port.id)}{place}:")
        for message in snapshot.messages.values():
            if message.port == port.id and message.raised:
                donor = snapshot.task_of_element(snapshot.element_of(message.source))
                name = f"message {object_number('m', message.id)} (id {message.msgh_id})"
                lines.add(depth + 1, f"{name}, not received yet, from {who(donor)}")
                explain_donor(snapshot, donor, depth + 2, lines)
    for inherit in snapshot.inherits_into(task.element):
        if inherit.donating:
            explain_inherit(snapshot, inherit, depth, lines)


def explain_inherit(snapshot, inherit, depth, lines):
    """Explains the boosts of an inherit: which voucher holds them, and who gave them."""
    donor = snapshot.task_of_element(snapshot.element_of(inherit.source))
    for voucher in snapshot.vouchers.values():
        if voucher.importance == ("Inherit", inherit.id):
            number = object_number("v", voucher.id)
            lines.add(depth, f"{inherit.boosts} held by voucher {number}{holders(snapshot, voucher)}")
    lines.add(depth + 1, f"with the importance of {who(donor)}")
    explain_donor(snapshot, donor, depth + 2, lines)


def holders(snapshot, voucher):
    """Returns where references to a voucher are."""
    places = []
    for task_id, names in snapshot.names.items():
        for name in names:
            if voucher.port and name.object == voucher.port and name.right != "PortSet":
                places.append(f"name {name.name:#x} of {snapshot.tasks[task_id].name} ({name.references} refs)")
    adopted = [thread for thread in snapshot.threads.values() if thread.voucher == voucher.id]
    places.extend(f"adopted by thread {thread.number}" for thread in adopted)
    return f": {', '.join(places)}" if places else ""


def explain_donor(snapshot, task, depth, lines):
    """Explains why a task donates."""
    if task is None or task.element is None:
        return
    if task.element.receiver:
        lines.add(depth, f"{task.name} donates because it has a boost itself:")
        explain_boosts(snapshot, task, depth + 1, lines)
    elif task.element.donor:
        front = f" ({role(task.role)})" if role(task.role) else ""
        lines.add(depth, f"{task.name} donates because it is a {app_type(task.app_type)}{front}")


def explain_threads(snapshot, task, lines):
    """Tells of the threads that run above what they ask for."""
    for thread in snapshot.threads_of(task):
        for pusher in snapshot.threads.values():
            port = snapshot.ports.get(pusher.pushes_at)
            if port is not None and port.servicer == thread.id:
                source = who(snapshot.tasks.get(pusher.task))
                pushed = f"thread {thread.number} is pushed by thread {pusher.number} of {source}"
                lines.add(1, f"{pushed}, which waits for it")

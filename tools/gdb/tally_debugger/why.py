"""The reasons for a priority, as a chain in the words of the monitor (user/src/monitor/why.rs)."""

from .snapshot import DEPTH_MAX
from .words import a_type, object_number, qos_class, role, thread_number, wait_of, who, who_of_pid

# Explanations end after this many lines: tasks that boost each other in many ways have too many reasons to list.
LINES_MAX = 200


class Lines:
    """The lines of an explanation. A reason's own reasons stand below it, farther right."""

    def __init__(self):
        self.text = []

    def add(self, depth, line):
        self.text.append("  " * depth + line)


def explain(snapshot, task):
    """Explains the priority of a task."""
    lines = Lines()
    bases = [thread.base for thread in snapshot.threads_of(task)]
    lines.add(0, f"{who(task)} runs at base priority {max(bases)}" if bases else f"{who(task)} has no threads")
    explain_task(snapshot, task, lines)
    for thread in snapshot.threads_of(task):
        explain_pushes(snapshot, thread, 1, lines)
    return lines.text


def explain_thread(snapshot, thread):
    """Explains the priority of a thread: what its task gives it, what it asks for, and who pushes it."""
    lines = Lines()
    task = snapshot.tasks.get(thread.task)
    name = f"{thread_number(thread.number)} of {who(task)}"
    lines.add(0, f"{name} runs at base priority {thread.base}, at present at {thread.priority}")
    asks, gets = qos_class(thread.requested), qos_class(thread.effective)
    if thread.requested == "Unspecified":
        lines.add(1, "it asks for no class")
    else:
        lines.add(1, f"it asks for the class {asks}" + ("" if asks == gets else f" and gets {gets}"))
    explain_pushes(snapshot, thread, 1, lines)
    if thread.voucher:
        lines.add(1, f"it works with voucher {object_number('v', thread.voucher)}")
    runs = thread.wait == "Running"
    lines.add(1, "it runs" if runs else f"it does not run now: {wait_of(snapshot, thread)}")
    if task is not None:
        lines.add(1, f"its task, {who(task)}:")
        inner = Lines()
        explain_task(snapshot, task, inner)
        lines.text.extend("  " + line for line in inner.text)
    return lines.text


def explain_task(snapshot, task, lines):
    """Explains what a task is and where its boosts come from."""
    kind_of(lines, task)
    boosts = task.element.boosts if task.element else 0
    if boosts > 0:
        lines.add(1, f"because it has {boosts} {'boost' if boosts == 1 else 'boosts'}:")
    elif task.element and task.element.delayed:
        lines.add(1, "because it had a boost, which it keeps for up to a second")
    explain_boosts(snapshot, task, 2, lines)


def kind_of(lines, task):
    front = f", role {role(task.role)}" if role(task.role) else ""
    rule = ""
    if task.app_type == "DaemonAdaptive":
        rule = ": in the background but for its boost" if task.boosted else ": in the background while it has no boost"
    elif task.suppressed:
        rule = ": in App Nap"
    lines.add(1, f"it is {a_type(task.app_type)}{front}{rule}")


def explain_boosts(snapshot, task, depth, lines):
    """Explains each boost of a task, and why those who cause it may."""
    if depth > 2 * DEPTH_MAX or len(lines.text) > LINES_MAX:
        lines.add(depth, "…")
        return
    for port in snapshot.ports.values():
        if port.boosts == 0 or snapshot.beneficiary(port) is not task:
            continue
        place = f", its name {port.name:#x}" if port.home == "Space" else ""
        are = "boost is" if port.boosts == 1 else "boosts are"
        lines.add(depth, f"{port.boosts} {are} on port {object_number('p', port.id)}{place}:")
        for message in snapshot.messages.values():
            if message.port == port.id and message.raised:
                donor = snapshot.task_of_element(snapshot.element_of(message.source))
                name = f"message {object_number('m', message.id)} of id {message.msgh_id}"
                lines.add(depth + 1, f"by {name}, not received yet, from {who(donor)}")
                explain_donor(snapshot, donor, depth + 2, lines)
    for inherit in snapshot.inherits_into(task.element):
        if inherit.donating:
            explain_inherit(snapshot, inherit, depth, lines)


def explain_inherit(snapshot, inherit, depth, lines):
    """Explains the boosts of an inherit: which voucher holds them, and who gave them."""
    donor = snapshot.task_of_element(snapshot.element_of(inherit.source))
    held = "1 boost is" if inherit.boosts == 1 else f"{inherit.boosts} boosts are"
    for voucher in snapshot.vouchers.values():
        if voucher.importance != ("Inherit", inherit.id):
            continue
        lines.add(depth, f"{held} held by voucher {object_number('v', voucher.id)}{holders(snapshot, voucher)}")
        if voucher.came:
            port, id_, sender = voucher.came
            way = f"a message of id {id_} on port {object_number('p', port)} from {who_of_pid(snapshot, sender)}"
            lines.add(depth + 1, f"which first came with {way}")
    lines.add(depth + 1, f"it is the importance of {who(donor)}")
    explain_donor(snapshot, donor, depth + 2, lines)


def holders(snapshot, voucher):
    """Returns where references to a voucher are."""
    places = []
    for task_id, names in snapshot.names.items():
        for name in names:
            if voucher.port and name.object == voucher.port and name.right != "PortSet":
                places.append(f"name {name.name:#x} of {snapshot.tasks[task_id].name} ({name.references} refs)")
    adopted = [thread for thread in snapshot.threads.values() if thread.voucher == voucher.id]
    places.extend(f"adopted by {thread_number(thread.number)}" for thread in adopted)
    return f": {', '.join(places)}" if places else ""


def explain_donor(snapshot, task, depth, lines):
    """Explains why a task donates."""
    if task is None or task.element is None:
        return
    if not task.element.donor:
        lines.add(depth, f"{task.name} does not donate at present")
    elif not task.element.donor_by_kind:
        lines.add(depth, f"{task.name} donates because it has a boost itself:")
        explain_boosts(snapshot, task, depth + 1, lines)
    else:
        front = f", role {role(task.role)}" if role(task.role) else ""
        lines.add(depth, f"{task.name} donates because it is {a_type(task.app_type)}{front}")


def explain_pushes(snapshot, thread, depth, lines):
    """Tells which threads push a thread above what it asks for."""
    for pusher in snapshot.threads.values():
        port = snapshot.ports.get(pusher.pushes_at)
        if port is not None and port.servicer == thread.id:
            pushed, by = thread_number(thread.number), thread_number(pusher.number)
            source = f"{who(snapshot.tasks.get(pusher.task))} (class {qos_class(pusher.effective)})"
            lines.add(depth, f"{pushed} is pushed by {by} of {source}, which waits for it")

"""How things are called: in the words of the monitor (user/src/monitor/words.rs)."""

APP_TYPES = {
    "AppDefault": "app",
    "AppTal": "app, silent",
    "DaemonAdaptive": "daemon, adaptive",
    "DaemonBackground": "daemon, background",
    "DaemonInteractive": "daemon, interactive",
    "DaemonStandard": "daemon, standard",
}

ROLES = {
    "Unspecified": "",
    "Foreground": "front",
    "Background": "back",
    "Control": "control",
    "GraphicsServer": "graphics",
    "Throttle": "throttle",
    "NonUi": "no UI",
    "Default": "default",
    "DarwinBg": "darwinbg",
}

CLASSES = {
    "Unspecified": "-",
    "Maintenance": "MT",
    "Background": "BG",
    "Utility": "UT",
    "Legacy": "DEF",
    "UserInitiated": "IN",
    "UserInteractive": "UI",
}

KERNEL_OBJECTS = {
    "Task": "task",
    "TaskName": "task name",
    "Thread": "thread",
    "Host": "host",
    "Voucher": "voucher",
}

RIGHTS = {"Send": "send", "Receive": "receive", "SendOnce": "send-once", "PortSet": "set", "DeadName": "dead"}


def object_number(kind, bits):
    """Returns the number of an object as people write it: kind, place, and how often the place has been used."""
    return f"{kind}{bits & 0xFFFF_FFFF}.{bits >> 32}"


def optional(kind, bits):
    return object_number(kind, bits) if bits else ""


def parse_object(kind, word):
    """Returns the number that a word stands for, or None: the letter of its kind may be left out, and the second number
    if it is 1."""
    place, _, uses = word.removeprefix(kind).partition(".")
    uses = uses or "1"
    return int(uses) << 32 | int(place) if place.isdigit() and uses.isdigit() and int(uses) else None


def app_type(name):
    return APP_TYPES.get(name, "program")


def a_type(name):
    """Returns the name of an application type with an article."""
    kind = app_type(name)
    return f"{'an' if kind[0] == 'a' else 'a'} {kind}"


def thread_number(number):
    return f"t{number}"


def seconds(nanos):
    """Returns a time since boot in seconds, with microseconds; or "never"."""
    if nanos is None:
        return "never"
    return f"{nanos // 1_000_000_000}.{nanos // 1000 % 1_000_000:06}"


def role(name):
    return ROLES.get(name, name)


def qos_class(name):
    return CLASSES.get(name, name)


def who(task):
    """Returns how people call a task: the name of its program and its pid."""
    return f"{task.name} (pid {task.pid})" if task else "a task that has ended"


def who_of_pid(snapshot, pid):
    found = next((task for task in snapshot.tasks.values() if task.pid == pid), None)
    if found:
        return who(found)
    return "the kernel" if pid == 0 else f"a task that has ended (pid {pid})"


def task_flags(task):
    """Returns the letters for a task's state (importance 9.3): R receives importance, D is a donor now, B has boosts, N
    naps, L loses its boost soon, E has ended."""
    element = task.element
    flags = [
        (element and element.receiver, "R"),
        (element and element.donor, "D"),
        (task.boosted, "B"),
        (task.suppressed, "N"),
        (element and element.delayed, "L"),
        (task.ended, "E"),
    ]
    return "".join(letter for is_set, letter in flags if is_set)


def wait_of(snapshot, thread):
    """Returns what a thread does or waits for."""
    if thread.wait == "Clock":
        return f"the time {seconds(snapshot.deadline_of(thread))}"
    return {
        "Running": "runs",
        "Ready": "ready: waits for a processor",
        "Suspended": "suspended",
        "receive port": f"a message on port {object_number('p', thread.wait_object)}",
        "receive set": f"a message on set {object_number('s', thread.wait_object)}",
        "send": f"room in the queue of port {object_number('p', thread.wait_object)}",
        "Word": f"a change of the word at {thread.wait_object:#x}",
        "Input": "input from the console",
    }.get(thread.wait, thread.wait)


def home_of(snapshot, port):
    """Returns where the receive right of a port is."""
    if port.home == "Space":
        return f"{who(snapshot.task_of_space(port.place))} as {port.name:#x}"
    if port.home == "Transit":
        return f"in a message on port {object_number('p', port.place)}"
    if port.home == "Limbo":
        return "on its way"
    if port.home != "Kernel":
        return "nowhere: the port is dead"
    kind, id_ = port.place
    word = KERNEL_OBJECTS.get(kind, "kernel")
    owner = id_
    if kind == "Thread":
        thread = snapshot.threads.get(id_)
        owner = thread.task if thread else 0
    task = snapshot.tasks.get(owner) if kind in ("Task", "TaskName", "Thread") else None
    if kind == "Voucher":
        word = f"voucher {object_number('v', id_)}"
    return f"kernel: {word} of {who(task)}" if task else f"kernel: {word}"

"""The facts about each object, by the names that they have in the records of `inspect` (kernel/abi/src/inspect.rs)."""

from dataclasses import dataclass, field as member

import gdb

from .values import arena, chunks, elements, field, first, flag, has_field, length, number, option, optional_number
from .values import pointer_in, text, variant

INHERIT_MARK = 1 << 31  # In the handle of an inherit: voucher/src/importance/source.rs.
TIMER_WAIT = 0  # TimerKind::Wait: kernel/src/sched/timer.rs.
KEY_IMPORTANCE, KEY_BANK, KEY_PTHPRIORITY = 2, 3, 4


@dataclass
class Task:
    """A task."""

    id: int
    pid: int
    parent: int
    uid: int
    name: str
    app_type: str
    role: str
    space: int
    threads: int
    boosted: bool
    suppressed: bool
    ended: bool
    names: int = 0
    element: "Element" = None


@dataclass
class Thread:
    """A thread."""

    id: int
    number: int
    task: int
    base: int
    priority: int
    requested: str
    effective: str
    wait: str
    wait_object: int
    pushes_at: int
    voucher: int
    # Where its deadline is in the heap of the timers, or None.
    deadline: int
    value: object = member(repr=False, default=None)


@dataclass
class Port:
    """A port. `place` is what its home says: a space, a port or a kernel object."""

    id: int
    home: str
    place: object
    name: int
    messages: int
    limit: int
    send_rights: int
    send_once_rights: int
    boosts: int
    donation: bool
    role: str
    servicer: int
    senders: int = 0


@dataclass
class Message:
    """A message that has not been received."""

    id: int
    port: int
    msgh_id: int
    size: int
    sender: int
    qos: str
    linked: bool
    raised: bool
    source: tuple
    voucher_port: int


@dataclass
class Voucher:
    """A voucher."""

    id: int
    references: int
    keys: list
    binding: int
    importance: tuple
    bank: int
    port: int = 0
    # The message with which a task received it last: its port, its id, the sender's pid.
    came: tuple = None


@dataclass
class Element:
    """A task as a giver and receiver of importance."""

    id: int
    space: int
    receiver: bool
    donor: bool
    donor_by_kind: bool
    delayed: bool
    boosts: int
    external: int
    references: int
    messages: int
    inherits: int
    changes: tuple


@dataclass
class Inherit:
    """Boosts that a task keeps because a voucher of it exists."""

    id: int
    source: tuple
    to: int
    depth: int
    donating: bool
    boosts: int


@dataclass
class Name:
    """A name of a task."""

    name: int
    right: str
    references: int
    object: int


def task(id_, value):
    policy = field(value, "policy")
    return Task(
        id=id_,
        pid=number(field(value, "credentials", "pid")),
        parent=number(field(value, "identity", "parent")),
        uid=number(field(value, "credentials", "uid")),
        name=text(field(value, "name")),
        app_type=variant(field(policy, "app_type"))[0],
        role=variant(field(policy, "role"))[0],
        space=number(field(value, "space")),
        threads=length(field(value, "threads")),
        boosted=flag(policy, "boosted"),
        suppressed=flag(policy, "suppression", "active"),
        ended=option(field(value, "ended")) is not None,
    )


def waits_for(value):
    """Returns what a thread waits for: a word and the object's number."""
    state, data = variant(field(value, "state"))
    if state != "Waiting":
        return state, 0
    kind, wait = variant(first(data))
    if kind == "Receive":
        receivable, inner = variant(field(first(wait), "object"))
        return ("receive port" if receivable == "Port" else "receive set"), number(first(inner))
    if kind == "Send":
        return "send", number(field(first(wait), "port"))
    return kind, number(first(wait)) if kind == "Word" else 0


def classes(policy):
    """Returns the class that a thread asks for and the one that it gets: the highest that anybody asks for."""
    asked = field(policy, "requested", "qos")
    others = [field(policy, name) for name in ("qos_override", "dispatch_override", "promote", "servicer_override")]
    raised = max([asked, *others], key=number) if number(asked) else asked
    return variant(asked)[0], variant(raised)[0]


def thread(id_, value):
    requested, effective = classes(field(value, "policy"))
    wait, wait_object = waits_for(value)
    push, pushed = variant(field(value, "push"))
    deadline = option(field(value, "timers")[TIMER_WAIT])
    return Thread(
        id=id_,
        number=number(field(value, "number")),
        task=number(field(value, "context", "task")),
        base=number(field(value, "schedule", "base")),
        priority=number(field(value, "schedule", "priority")),
        requested=requested,
        effective=effective,
        wait=wait,
        wait_object=wait_object,
        pushes_at=number(field(pushed, "port")) if push == "Port" else 0,
        voucher=optional_number(field(value, "voucher")),
        deadline=number(deadline) if deadline is not None else None,
        value=value,
    )


def home(value):
    """Returns the place of a receive right: its kind, the object, and the name."""
    kind, data = variant(value)
    if kind == "Space":
        return kind, number(field(data, "space")), number(field(data, "name"))
    if kind == "Transit":
        return kind, number(first(data)), 0
    if kind == "Kernel":
        what, inner = variant(first(data))
        return kind, (what, 0 if what == "Host" else number(first(inner))), 0
    return kind, 0, 0


def port(id_, value):
    where, place, name = home(field(value, "home"))
    role, data = variant(field(value, "role"))
    servicer = 0
    if role == "Served":
        servicer = number(first(data))
    elif role == "SpecialReply":
        servicer = optional_number(field(data, "owner"))
    return Port(
        id=id_,
        home=where,
        place=place,
        name=name,
        messages=length(field(value, "queue")),
        limit=number(field(value, "qlimit")),
        send_rights=number(field(value, "send_rights")),
        send_once_rights=number(field(value, "send_once_rights")),
        boosts=number(field(value, "boosts", "count")),
        donation=flag(value, "boosts", "donation"),
        role=role,
        servicer=servicer,
    )


def carried(value):
    """Returns the port of a right in a message, or 0."""
    kind, data = variant(value)
    return number(first(variant(first(data))[1])) if kind == "Right" else 0


def source(value):
    """Returns whose importance it is: ("Task", element) or ("Inherit", inherit)."""
    kind, data = variant(value)
    return kind, number(first(data))


def message(id_, value, links):
    link = links.get(optional_number(field(value, "importance")))
    start = option(field(link, "source")) if link is not None else None
    # `msgh_id` is the last word of the header, which is 24 bytes long.
    _, data = variant(field(value, "bytes"))
    return Message(
        id=id_,
        port=carried(field(value, "destination")),
        msgh_id=message_word(first(data), 20),
        size=number(field(value, "size")),
        sender=number(field(value, "sender", "pid")),
        qos=variant(field(value, "priority", "qos"))[0],
        linked=link is not None,
        raised=link is not None and flag(link, "raised"),
        source=source(start) if start is not None else None,
        voucher_port=optional_number(field(value, "voucher")),
    )


def message_word(buffer, offset):
    """Returns a word of a message's bytes, as a signed number."""
    start = int(pointer_in(buffer))
    raw = gdb.selected_inferior().read_memory(start + offset, 4)
    return int.from_bytes(raw.tobytes(), "little", signed=True)


def voucher(id_, value, tables):
    handles = {}
    for slot, index in enumerate(map(number, elements(field(value, "indexes")))):
        if index != 0 and slot in tables:
            handles[slot + 1] = tables[slot].get(index, 0)
    return Voucher(
        id=id_,
        references=number(field(value, "refs")),
        keys=sorted(handles),
        binding=optional_number(field(value, "port")),
        importance=of_handle(handles.get(KEY_IMPORTANCE, 0)),
        bank=handles.get(KEY_BANK, 0),
    )


def binding(value):
    """Returns the port of a voucher, and the message that brought it if the kernel notes that."""
    came = option(value["came"]) if has_field(value, "came") else None
    fields = tuple(number(field(came, name)) for name in ("by", "with", "from")) if came is not None else None
    return number(field(value, "port")), fields


def of_handle(handle):
    """Returns the source of importance with a handle: voucher/src/importance/source.rs."""
    if handle == 0:
        return None
    return ("Inherit" if handle & INHERIT_MARK else "Task"), handle & ~INHERIT_MARK


def element(id_, value):
    boosts = number(field(value, "assertions"))
    receiver, donor = flag(value, "marks", "receiver"), flag(value, "marks", "donor")
    external = field(value, "external")
    return Element(
        id=id_,
        space=optional_number(field(value, "task")),
        receiver=receiver,
        donor=donor or (receiver and boosts > 0),
        donor_by_kind=donor or flag(value, "marks", "live_donor"),
        delayed=option(field(value, "delayed_at")) is not None,
        boosts=boosts,
        external=number(field(external, "total")) - number(field(external, "dropped")),
        references=number(field(value, "refs")),
        messages=length(field(value, "messages")),
        inherits=length(field(value, "inherits")),
        changes=(flag(value, "reported"), flag(value, "boosted")),
    )


def inherit(id_, value):
    external = field(value, "external")
    return Inherit(
        id=id_,
        source=source(field(value, "from")),
        to=number(field(value, "to")),
        depth=number(field(value, "depth")) & 0x7FFF_FFFF,
        donating=flag(value, "donating"),
        boosts=number(field(external, "total")) - number(field(external, "dropped")),
    )


def names(space):
    """Yields the names of a space."""
    for index, slot in enumerate(chunks(field(space, "slots"))):
        kind, data = variant(field(slot, "content"))
        if kind != "Used":
            continue
        right, inner = variant(field(first(data), "right"))
        references = {"Send": "urefs", "DeadName": "urefs", "Receive": "send_urefs"}.get(right)
        yield Name(
            name=index << 8 | number(field(slot, "generation")),
            right=right,
            references=number(field(inner, references)) if references else 1,
            object=0 if right == "DeadName" else number(field(inner, "set" if right == "PortSet" else "port")),
        )


def table(value, make, *extra):
    """Returns the records of an arena's objects by id."""
    return {id_: make(id_, found, *extra) for id_, found in arena(value)}

"""How gdb's own `print` shows ids, names, rights and states.

Only what is unreadable otherwise has a printer; the others are shown as Rust's debug output would.
"""

import re

import gdb

from .values import Trouble, field, first, number, option, variant
from .words import object_number, qos_class

# The letter of each tag, as in the monitor; other ids are shown by the name of their tag.
LETTERS = {
    "kernel::ids::tag::Port": "p",
    "kernel::ids::tag::PortSet": "s",
    "kernel::ids::tag::Message": "m",
    "voucher::voucher::Voucher": "v",
    "voucher::importance::element::TaskElement": "e",
    "voucher::importance::inherit::Inherit": "i",
}


def show_id(value):
    """`p12.1` for a port, `Task#3.1` for a task: index and generation."""
    tag = re.fullmatch(r"store::id::Id<(.*)>", value.type.strip_typedefs().name)[1]
    bits = number(value)
    if tag in LETTERS:
        return object_number(LETTERS[tag], bits)
    return f"{tag.split('::')[-1]}#{bits & 0xFFFF_FFFF}.{bits >> 32}"


def show(value):
    """Returns a value in words if it has a printer, and as gdb shows it otherwise."""
    printer = find(value)
    return printer.to_string() if printer else value.format_string()


def show_name(value):
    name = number(value)
    return {0: "MACH_PORT_NULL", 0xFFFF_FFFF: "MACH_PORT_DEAD"}.get(name, f"{name:#x}")


def show_token(value):
    kind = value.type.strip_typedefs().name.split("::")[-1]
    words = {"SendRight": "send right", "SendOnceRight": "send-once right", "ReceiveRight": "receive right"}[kind]
    return f"{words} to {show(first(value))}"


def show_right(value):
    return show(first(variant(value)[1]))


def show_carried(value):
    kind, data = variant(value)
    return show(first(data)) if kind == "Right" else {"Null": "no right", "Dead": "a right to a dead port"}[kind]


def show_home(value):
    kind, data = variant(value)
    if kind == "Space":
        return f"{show(field(data, 'name'))} in {show(field(data, 'space'))}"
    if kind == "Transit":
        return f"in a message to {show(first(data))}"
    if kind == "Kernel":
        what, inner = variant(first(data))
        return f"kernel: {what}" + ("" if what == "Host" else f" {show(first(inner))}")
    return {"Limbo": "on its way", "Dead": "dead"}[kind]


def show_entry_right(value):
    kind, data = variant(value)
    if kind == "DeadName":
        return f"dead name, {number(field(data, 'urefs'))} refs"
    if kind == "PortSet":
        return f"port set {show(field(data, 'set'))}"
    port = show(field(data, "port"))
    if kind == "SendOnce":
        return f"send-once right to {port}"
    if kind == "Send":
        return f"send right to {port}, {number(field(data, 'urefs'))} refs"
    sends = number(field(data, "send_urefs"))
    return f"receive right of {port}" + (f", and send right, {sends} refs" if sends else "")


def show_state(value):
    kind, data = variant(value)
    return show(first(data)) if kind == "Waiting" else {"Running": "runs", "Ready": "ready"}.get(kind, "suspended")


def show_wait(value):
    kind, data = variant(value)
    if kind == "Receive":
        return f"waits for a message on {show(first(variant(field(first(data), 'object'))[1]))}"
    if kind == "Send":
        wait = first(data)
        return f"waits for room in {show(field(wait, 'port'))}, with {show(field(wait, 'message'))}"
    if kind == "Word":
        return f"waits for a change of the word at {number(first(data)):#x}"
    return {"Clock": "waits for a point in time", "Input": "waits for input",
            "Output": "waits for room at the console"}[kind]


def show_qos(value):
    name = variant(value)[0]
    return "no class" if name == "Unspecified" else f"{name} ({qos_class(name)})"


def show_outcome(value):
    kind, data = variant(value)
    if kind == "Pending":
        return "not known yet"
    if kind == "Unix":
        result, inner = variant(first(data))
        return f"{'value' if result == 'Ok' else 'errno'} {number(first(inner))}"
    what = first(data)
    return f"value {number(what):#x}" if kind == "Value" else f"{kind.lower()} {number(what):#x}"


def show_option(value):
    inner = option(value)
    return "none" if inner is None else show(inner)


PRINTERS = [
    (r"store::id::Id<.*>", show_id),
    (r"core::option::Option<(store::id::Id<.*>|kernel::ipc::right::\w+|abi::port::PortName)>", show_option),
    (r"abi::port::PortName", show_name),
    (r"kernel::ipc::right::(Send|SendOnce|Receive)Right", show_token),
    (r"kernel::ipc::right::Right", show_right),
    (r"kernel::ipc::right::Carried", show_carried),
    (r"kernel::ipc::port::Home", show_home),
    (r"kernel::ipc::entry::EntryRight", show_entry_right),
    (r"kernel::sched::thread::State", show_state),
    (r"kernel::sched::thread::Wait", show_wait),
    (r"abi::qos::Qos", show_qos),
    (r"kernel::outcome::Outcome", show_outcome),
]


class Printer:
    def __init__(self, value, shows):
        self.value, self.shows = value, shows

    def to_string(self):
        try:
            return self.shows(self.value)
        # A value that is not there yet, for example at the beginning of a function, can have any bits.
        except (Trouble, KeyError, gdb.error) as trouble:
            return f"<not valid: {trouble}>"


def find(value):
    name = value.type.strip_typedefs().name or ""
    return next((Printer(value, shows) for pattern, shows in PRINTERS if re.fullmatch(pattern, name)), None)


def register():
    find.name = "tally"
    gdb.pretty_printers[:] = [printer for printer in gdb.pretty_printers if getattr(printer, "name", "") != "tally"]
    gdb.pretty_printers.insert(0, find)

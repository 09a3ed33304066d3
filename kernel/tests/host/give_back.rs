//! Messages with many rights that cannot be sent go back to their senders in slices, at the senders' priority.

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, World};
use abi::PortName;
use abi::code::*;
use abi::message::MsgOption;
use abi::port::Disposition as D;
use abi::port::*;
use kernel::kernel::Event;
use kernel::limits::{GIVE_BACK_SLICE, Limits};
use kernel::sched::thread::Wait;

/// A number of rights that takes two slices.
const RIGHTS: u32 = 2 * GIVE_BACK_SLICE - 1;
const SENDERS: usize = 3;
const TIMEOUT: u32 = 10;
const MILLISECOND: u64 = 1_000_000;

/// A port with a full queue, a task that sends to it, and a ready thread of a higher priority than all others.
struct Full {
    w: World,
    sender: Actor,
    to: PortName,
    /// The sender's port, to which all rights in its messages are made.
    own: PortName,
    urgent: Actor,
}

impl Full {
    fn new() -> Full {
        let mut w = World::with_limits(Limits { kernel_bytes_per_task: 1 << 24, ..Limits::default() });
        let (owner, sender) = (w.task(), w.task());
        let (port, to) = w.connect(sender, owner);
        w.set_qlimit(owner, port, 1).unwrap();
        w.send(sender, &Msg::copy_send(to)).unwrap();
        let own = w.port(sender);
        let urgent = w.thread(owner);
        w.set_base(urgent.thread, 100, true);
        Full { w, sender, to, own, urgent }
    }

    fn message(&self) -> Msg {
        (0..RIGHTS).fold(Msg::copy_send(self.to), |message, _| message.port(self.own, D::MAKE_SEND_ONCE))
    }

    /// Lets a thread begin to send the message.
    fn start(&mut self, thread: Actor, timeout: u32) {
        let bytes = self.message().encode();
        let offset = self.w.buffer(thread) - thread.memory;
        self.w.put(thread, offset, &bytes);
        let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT;
        self.w
            .start_mach_msg(thread, &MachMsg { options, send_size: bytes.len() as u32, timeout, ..MachMsg::default() });
    }

    /// Returns the number of send-once rights that have names of the sender's.
    fn names(&self) -> usize {
        let space = self.w.kernel.tasks[self.sender.task].space;
        let entries = self.w.kernel.ipc.space(space).iter();
        entries.filter(|(_, entry)| matches!(entry.right, kernel::ipc::entry::EntryRight::SendOnce { .. })).count()
    }

    /// Checks that a thread has its message back, with names for all rights.
    fn check_returned(&mut self, thread: Actor, code: abi::KernReturn) {
        assert_eq!(self.w.state(thread).code(), code);
        let returned = self.w.received(thread);
        assert_eq!((returned.header.msgh_remote_port, returned.header.remote()), (self.to, D::PORT_SEND));
        let descriptors = returned.descriptors();
        assert_eq!(descriptors.len(), RIGHTS as usize);
        for descriptor in descriptors {
            assert_eq!(descriptor.disposition, D::PORT_SEND_ONCE);
            assert_eq!(self.w.port_type(self.sender, descriptor.name), Ok(PortType::SEND_ONCE));
        }
    }
}

#[test]
fn a_refused_message_goes_back_in_slices_between_which_others_run() {
    let mut full = Full::new();
    full.start(full.sender, 0);
    assert_eq!(full.w.kernel.sched.current(0), Some(full.urgent.thread), "the urgent thread has its turn");
    assert!(full.w.kernel.sched[full.sender.thread].has_continuation());
    assert_eq!(full.names(), GIVE_BACK_SLICE as usize);
    full.w.settle();
    full.check_returned(full.sender, MACH_SEND_TIMED_OUT);
    assert_eq!(full.names(), RIGHTS as usize);
}

#[test]
fn a_sender_that_ends_loses_the_rest_of_its_message() {
    for whole_task in [true, false] {
        let mut full = Full::new();
        let other = full.w.thread(full.sender);
        let control = full.w.thread_self(other);
        let terminate = Msg::copy_send(control).id(abi::mig::thread_act::TERMINATE);
        let messages = full.w.counts().messages;
        full.start(other, 0);
        assert_eq!(full.w.counts().messages, messages + 1);
        match whole_task {
            true => full.w.end_task(full.sender),
            false => full.w.send(full.sender, &terminate).unwrap(),
        }
        full.w.settle();
        if !whole_task {
            assert_eq!(full.names(), GIVE_BACK_SLICE as usize);
            let gone = (RIGHTS - GIVE_BACK_SLICE) as usize;
            assert_eq!(full.w.notifications(full.sender, full.own).len(), gone, "send-once notifications");
        }
        assert_eq!(full.w.counts().messages, messages);
    }
}

/// The interrupt of the timer ends the waits and nothing more, whatever the messages carry.
#[test]
fn senders_that_time_out_take_their_messages_back_at_their_own_priority() {
    let mut full = Full::new();
    let senders: Vec<Actor> = (0..SENDERS).map(|_| full.w.thread(full.sender)).collect();
    for &sender in &senders {
        full.start(sender, TIMEOUT);
        assert!(matches!(full.w.kernel.sched[sender.thread].wait(), Some(Wait::Send(_))));
    }
    let before = full.names();
    full.w.machine.advance(u64::from(TIMEOUT) * MILLISECOND);
    let _ = full.w.event(Event::Timer);
    assert_eq!(full.w.kernel.sched.current(0), Some(full.urgent.thread));
    for &sender in &senders {
        let thread = &full.w.kernel.sched[sender.thread];
        assert!(thread.wait().is_none() && thread.has_continuation(), "its wait has ended");
    }
    assert_eq!(full.names(), before);
    full.w.settle();
    assert_eq!(full.names(), before + SENDERS * RIGHTS as usize);
    senders.iter().for_each(|&sender| full.check_returned(sender, MACH_SEND_TIMED_OUT));
}

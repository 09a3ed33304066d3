//! How messages of a channel leave (dispatch 6.4).

use super::SendResult;
use super::channel::{Barrier, Channel, Inner};
use super::event::Event;
use super::flow;
use super::message::MachMsg;
use super::receiver::{Sink, without_detail};
use super::reply::Pending;
use super::request::Requester;
use super::send::{Next, Outgoing, SendSide, Submitted};
use crate::process::process;
use crate::qos::{self, Priority, Qos};
use crate::queue::state::Kind;
use crate::sync::Arc;
use crate::sync::static_atomic::{AtomicU64, Ordering};
use crate::{thread, voucher};
use abi::code::*;
use abi::message::MsgOption;
use abi::port::{Disposition, MACH_PORT_NULL};
use abi::{KernReturn, PortName};

/// The options that a program may give: the others are the library's.
const CLIENT_OPTIONS: u32 = 0xFFFF_0000;

/// Who is told what became of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The handler, by an event.
    Handler,
    /// The caller, if the caller transmits the message itself; else the handler.
    Caller,
}

/// Tells the messages of calls apart. A call recognises its own message by it.
static IDS: AtomicU64 = AtomicU64::new(1);

/// A message on its way through the send side.
pub(crate) struct Sending {
    pub(crate) message: MachMsg,
    pub(crate) id: u64,
    options: MsgOption,
    pub(crate) told: Told,
    /// The port for the reply. The header changes when a send fails.
    pub(crate) reply_port: Option<PortName>,
    /// Who gets the reply, if it comes later.
    pub(crate) requester: Option<Requester>,
    /// True if a thread waits for the reply.
    pub(crate) synchronous: bool,
    /// True if that thread waits on its special reply port.
    pub(crate) is_own_port: bool,
    /// What the queues of a thread that waits lend it.
    lent: Qos,
}

impl Outgoing for Sending {
    fn class(&self) -> Qos {
        self.message.priority.class()
    }

    fn cost(&self) -> usize {
        self.message.size() + flow::EACH
    }

    fn is_reply(&self) -> bool {
        self.message.is_reply()
    }

    fn destination(&self) -> Option<PortName> {
        let header = self.message.header();
        let owns_it = header.remote() == Disposition::MOVE_SEND && header.msgh_remote_port.is_valid();
        owns_it.then_some(header.msgh_remote_port)
    }
}

/// What became of a message.
pub(crate) enum Outcome {
    Sent,
    /// The queue is full, and the receiver will tell when it has room.
    Full,
    Failed(KernReturn),
    /// The channel was reconnected or cancelled.
    NotSent,
}

type Side = SendSide<Sending, Barrier>;

impl Sending {
    fn new(message: MachMsg, options: MsgOption, told: Told, synchronous: bool) -> Sending {
        let (id, reply_port) = (IDS.fetch_add(1, Ordering::Relaxed), message.reply_port());
        Sending {
            message,
            id,
            options,
            told,
            reply_port,
            requester: None,
            synchronous,
            is_own_port: false,
            lent: Qos::Unspecified,
        }
    }

    /// Returns a check-in. It gets its context when it is sent, from the thread that sends it.
    pub(crate) fn checkin(message: MachMsg) -> Sending {
        Sending::new(message, MsgOption::empty(), Told::Handler, false)
    }

    /// Prepares a message with the calling thread's context (dispatch 6.4, steps 1 to 5).
    pub(crate) fn prepare(message: MachMsg, options: MsgOption, told: Told, synchronous: bool) -> Sending {
        if options.bits() & !CLIENT_OPTIONS != 0 {
            process().kernel.crash("a message is sent with options that belong to the library");
        }
        let mut sending = Sending::new(message, options, told, synchronous);
        if synchronous {
            sending.lent = thread::base().lent();
        }
        sending.capture();
        sending
    }

    /// Gives the message the calling thread's priority and voucher.
    fn capture(&mut self) {
        let requested = thread::requested();
        self.message.priority = if self.options.contains(MsgOption::SEND_NOIMPORTANCE) {
            Priority::NONE
        } else {
            qos::of_message(requested, self.synchronous)
        };
        self.message.voucher = voucher::copy();
        // Background threads donate nothing, but their class travels.
        if qos::is_background(requested.class()) {
            self.options |= MsgOption::SEND_NOIMPORTANCE;
        }
    }

    /// Returns the options and the priority word, for a send with at most this override.
    pub(crate) fn words(&self, over: Qos) -> (MsgOption, u32) {
        if self.message.is_reply() {
            return (MsgOption::SEND_MSG | self.options, 0);
        }
        let mut options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT | self.options;
        if self.is_own_port {
            options |= MsgOption::SEND_SYNC_OVERRIDE;
        }
        // A thread that waits passes on what its own waiters lend it (dispatch 6.7), even from a task whose threads the
        // kernel keeps at lower priorities.
        if self.lent > qos::capped(over) {
            return (options | MsgOption::SEND_OVERRIDE, qos::message_word(self.lent, self.message.priority));
        }
        let (with_priority, word) = qos::send_priority(over, self.message.priority);
        (options | with_priority, word)
    }
}

impl Channel {
    /// Sends a message to the peer, or a reply to the send-once right that it names. An event tells what became of it.
    /// Of the options `MACH_SEND_NOIMPORTANCE` is useful: without it the message carries the thread's class, and boosts
    /// the receiver if the thread's task donates.
    pub fn send(&self, message: MachMsg, options: MsgOption) {
        self.0.send(Sending::prepare(message, options, Told::Handler, false));
    }

    /// Sends a message like [`send`](Channel::send), and returns what became of it if it left at once.
    pub fn send_with_result(&self, message: MachMsg, options: MsgOption) -> SendResult {
        self.0.send(Sending::prepare(message, options, Told::Caller, false)).unwrap_or(SendResult::Deferred)
    }

    /// Returns the memory of this program that messages take which wait to leave, in bytes: the peer reads too slowly, or
    /// the channel is not connected yet.
    pub fn waiting_to_leave(&self) -> usize {
        self.0.send.lock().cost()
    }
}

impl Inner {
    /// Sends a prepared message. Returns what became of it if the caller transmitted it and is the one to tell.
    pub(crate) fn send(self: &Arc<Inner>, mut sending: Sending) -> Option<SendResult> {
        let own = sending.id;
        if sending.requester.is_none() && !sending.synchronous && sending.reply_port != Some(self.receive_right()) {
            sending.requester = sending.reply_port.map(|_| Requester::handler(&sending.message, None));
        }
        // A reply that asks for no reply does not wait for its turn.
        if sending.is_reply() && sending.reply_port.is_none() && self.send.lock().lets_replies_pass() {
            let outcome = self.transmit(&mut sending, MACH_PORT_NULL, Qos::Unspecified);
            return self.report(sending, outcome, Some(own));
        }
        self.add(Some(own), |side, thread| side.submit(sending, thread))
    }

    /// Adds something to the send side, and transmits if no other thread does. Returns what became of the message `own`
    /// if it was transmitted and the caller is the one to tell.
    pub(crate) fn add(
        self: &Arc<Inner>,
        own: Option<u64>,
        add: impl FnOnce(&mut Side, PortName) -> Submitted,
    ) -> Option<SendResult> {
        let kernel = process().kernel;
        let thread = kernel.thread_self();
        let drains = {
            let mut side = self.send.lock();
            let submitted = add(&mut side, thread);
            if let Submitted::Raise(sender, class) = submitted {
                // With the lock: the sender ends the override when it stops, which it does not before.
                kernel.override_start(sender, class, self.resource());
            }
            submitted == Submitted::Drain
        };
        if drains { self.drain(own) } else { None }
    }

    /// Names the send side in overrides.
    fn resource(&self) -> u64 {
        core::ptr::from_ref(self).addr() as u64
    }

    /// Transmits until nothing waits, or until the peer's queue is full: see [`add`](Inner::add).
    pub(crate) fn drain(self: &Arc<Inner>, own: Option<u64>) -> Option<SendResult> {
        let mut result = None;
        loop {
            let (next, raises) = {
                let mut side = self.send.lock();
                let next = side.next();
                let raises = if matches!(next, Next::Nothing) { side.take_raises() } else { 0 };
                (next, raises)
            };
            self.end_overrides(raises);
            match next {
                Next::Nothing => return result,
                Next::Barrier(Barrier(continuation, class)) => self.queue.push(continuation, Kind::Shared, class),
                Next::NotSent(sending) => result = self.report(sending, Outcome::NotSent, own).or(result),
                Next::Disconnected { old, checkin, canceled } => self.disconnected(old, checkin, canceled),
                Next::CheckIn(checkin, right, class) => {
                    if !self.send_checkin(checkin, right, class) {
                        return result;
                    }
                }
                Next::Send(mut sending, right, class) => match self.transmit(&mut sending, right, class) {
                    Outcome::Full => {
                        if !self.stop(|side| side.full(sending)) {
                            return result;
                        }
                    }
                    outcome => result = self.report(sending, outcome, own).or(result),
                },
            }
        }
    }

    fn end_overrides(&self, raises: u32) {
        let kernel = process().kernel;
        for _ in 0..raises {
            kernel.override_end(kernel.thread_self(), self.resource());
        }
    }

    /// Sends the check-in, with the context of the calling thread. Returns true if the caller goes on transmitting.
    fn send_checkin(self: &Arc<Inner>, mut checkin: Sending, right: PortName, class: Qos) -> bool {
        checkin.options = MsgOption::empty();
        checkin.capture();
        let own = checkin.destination();
        let outcome = self.transmit(&mut checkin, own.unwrap_or(right), class);
        match (own, &outcome) {
            (Some(own), Outcome::Sent) => process().kernel.release_send(own),
            (Some(own), _) => checkin.message.set_remote(own, Disposition::MOVE_SEND),
            (None, _) => {}
        }
        match outcome {
            Outcome::Full => {
                let voucher = checkin.message.voucher.take();
                let goes_on = self.stop(|side| side.checkin_full(checkin));
                drop(voucher);
                goes_on
            }
            outcome => {
                if matches!(outcome, Outcome::Sent) {
                    self.arm_no_senders();
                }
                self.report(checkin, outcome, None);
                true
            }
        }
    }

    /// Puts a message back. Returns true if the caller goes on transmitting.
    fn stop(&self, put_back: impl FnOnce(&mut Side) -> bool) -> bool {
        let (goes_on, raises) = {
            let mut side = self.send.lock();
            let goes_on = put_back(&mut side);
            (goes_on, if goes_on { 0 } else { side.take_raises() })
        };
        self.end_overrides(raises);
        goes_on
    }

    /// Hands a message to the kernel. If the queue of the peer is full, asks to be told of room.
    pub(crate) fn transmit(self: &Arc<Inner>, sending: &mut Sending, right: PortName, class: Qos) -> Outcome {
        let (options, word) = sending.words(class);
        let options = if sending.message.reply_port().is_some() { options | self.strict_option() } else { options };
        let code = self.hand_over(sending, right, options, word);
        if without_detail(code) != MACH_SEND_TIMED_OUT {
            return outcome(code);
        }
        let receiver = &process().receiver;
        if let Err(refused) = receiver.ask_for_room(right, Arc::clone(self) as Arc<dyn Sink>) {
            // The port has died since, and another send says so.
            return match self.hand_over(sending, right, options, word) {
                code if without_detail(code) == MACH_SEND_TIMED_OUT => Outcome::Failed(refused),
                code => outcome(code),
            };
        }
        let code = self.hand_over(sending, right, options | MsgOption::SEND_NOTIFY, word);
        if without_detail(code) == MACH_SEND_TIMED_OUT {
            return Outcome::Full;
        }
        receiver.found_room(right);
        outcome(code)
    }

    fn hand_over(&self, sending: &mut Sending, right: PortName, options: MsgOption, word: u32) -> KernReturn {
        let (kernel, message) = (process().kernel, &mut sending.message);
        if message.is_reply() {
            let code = kernel.send(message.as_bytes_mut(), options, 0, word);
            message.note_sent(code);
            return code;
        }
        let voucher = message.voucher.take();
        message.set_remote(right, Disposition::COPY_SEND);
        let attachment = voucher::attach(message.as_bytes_mut(), voucher.as_ref());
        let code = kernel.send(message.as_bytes_mut(), options, 0, word);
        voucher::detach(message.as_bytes_mut(), attachment);
        message.voucher = voucher;
        message.note_sent(code);
        message.restore_remote(right);
        code
    }

    /// Registers the reply of a message that was sent, or gives it up, and tells what became of the message. Returns
    /// that if the message is the caller's `own` and the caller is the one to tell.
    pub(crate) fn report(
        self: &Arc<Inner>,
        sending: Sending,
        outcome: Outcome,
        own: Option<u64>,
    ) -> Option<SendResult> {
        let Sending { mut message, id, told, reply_port, requester, synchronous, .. } = sending;
        let was_sent = matches!(outcome, Outcome::Sent);
        let mut lost = None;
        match (reply_port, requester) {
            (Some(port), Some(requester)) if was_sent => self.await_reply(port, requester),
            (Some(port), Some(requester)) => lost = Some((port, Pending::Later(requester))),
            (Some(port), None) if synchronous && !was_sent => {
                let waiting = self.replies.lock().take(port);
                lost = waiting.map(|pending| (port, pending));
            }
            _ => {}
        }
        let result = if told == Told::Caller && own == Some(id) {
            message.voucher = None;
            Some(match outcome {
                Outcome::Failed(code) => SendResult::Failed(message, code),
                Outcome::NotSent => SendResult::NotSent(message),
                Outcome::Sent | Outcome::Full => SendResult::Sent,
            })
        } else {
            self.push_message(message, |message| match outcome {
                Outcome::Failed(code) => Event::SendFailed(message, code),
                Outcome::NotSent => Event::NotSent(message),
                Outcome::Sent | Outcome::Full => Event::MessageSent(message),
            });
            None
        };
        if let Some((port, pending)) = lost {
            self.lose_reply(port, pending);
        }
        result
    }
}

pub(crate) fn outcome(code: KernReturn) -> Outcome {
    match without_detail(code) {
        MACH_MSG_SUCCESS => Outcome::Sent,
        MACH_SEND_INVALID_VOUCHER => process().kernel.crash("the kernel refuses a voucher of the library"),
        _ => Outcome::Failed(code),
    }
}

//! Channels: messages from one peer in order, on a queue, and messages to it (dispatch 6).

use super::event::{Event, Handler, Lost};
use super::flow::Flow;
use super::handoff;
use super::message::MachMsg;
use super::receiver::{Arrived, Sink};
use super::reply::Replies;
use super::request::Requester;
use super::send::{Peer, SendSide, Submitted};
use super::transmit::Sending;
use crate::continuation::Continuation;
use crate::process::process;
use crate::qos::{ItemPriority, Priority, Qos};
use crate::queue::Queue;
use crate::queue::state::Kind;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Arc, Mutex};
use crate::voucher::{self, Capture};
use abi::PortName;
use abi::message::{MACH_NOTIFY_NO_SENDERS, MsgOption};
use abi::mig::NDR;
use abi::port::{Disposition, MACH_PORT_NULL};
use alloc::boxed::Box;

/// A channel to a peer: a receive right and a send right, whose messages and events go to one handler, one at a time.
///
/// A program makes a channel, connects it once, and must cancel it: dropping it does not. The rights stay the program's,
/// which may release each of them after its [`Event::Disconnected`].
#[derive(Clone)]
pub struct Channel(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    /// The number by which debuggers find it.
    number: u64,
    /// The channel as an item on its target queue. Its items are events.
    pub(crate) queue: Queue,
    /// What is to be sent. Locked before `replies`.
    pub(crate) send: Mutex<SendSide<Sending, Barrier>>,
    pub(crate) replies: Mutex<Replies<Requester>>,
    /// What has arrived and waits for the handler. Locked before the receiver's ports.
    flow: Mutex<Flow>,
    /// None while it runs: the queue is serial.
    handler: Mutex<Option<Box<dyn Handler>>>,
    /// The name of the receive right.
    receive: AtomicU32,
    pub(crate) canceled: AtomicBool,
    /// The handler has been told that the channel is connected.
    told: AtomicBool,
    /// The channel uses strict replies.
    strict: AtomicBool,
    /// Ask for a notification when there are no senders.
    asks_no_senders: AtomicBool,
    /// That notification was asked for.
    awaits_no_senders: AtomicBool,
    /// The send right to the receive right was made before the channel was connected.
    made_send_right: AtomicBool,
}

/// A closure that waits for earlier messages to leave, with its captured context and push class.
pub(crate) struct Barrier(pub(crate) Continuation, pub(crate) Qos);

impl Channel {
    /// Returns a channel on a queue, or on the default queue with its own worker (overcommit).
    pub fn new(label: &str, target: Option<&Queue>, handler: impl Handler + 'static) -> Channel {
        let builder = Queue::builder(label).overcommit(true).hidden().inactive();
        let queue = target.map_or(builder.clone(), |target| builder.target(target)).build();
        let channels = &process().inspect.channels;
        let inner = Arc::new(Inner {
            number: channels.number(),
            queue,
            send: Mutex::new(SendSide::new()),
            replies: Mutex::new(Replies::new()),
            flow: Mutex::new(Flow::default()),
            handler: Mutex::new(Some(Box::new(handler))),
            receive: AtomicU32::new(MACH_PORT_NULL.0),
            canceled: AtomicBool::new(false),
            told: AtomicBool::new(false),
            strict: AtomicBool::new(false),
            asks_no_senders: AtomicBool::new(false),
            awaits_no_senders: AtomicBool::new(false),
            made_send_right: AtomicBool::new(false),
        });
        channels.add(inner.number, &inner);
        Channel(inner)
    }

    /// Lets a reply come only from the context of its request, where the kernel checks that. Before [`connect`].
    ///
    /// [`connect`]: Channel::connect
    pub fn use_strict_replies(&self) {
        self.refuse_if_connected("strict replies are chosen before a channel is connected");
        self.0.strict.store(true, Ordering::Relaxed);
    }

    /// Asks for one [`Event::NoSenders`]. `made_send_right` says that the program made the send right before, and not
    /// after connecting the channel. Before [`connect`](Channel::connect).
    pub fn notify_no_senders(&self, made_send_right: bool) {
        self.refuse_if_connected("no-senders is requested before a channel is connected");
        self.0.made_send_right.store(made_send_right, Ordering::Relaxed);
        self.0.asks_no_senders.store(true, Ordering::Relaxed);
    }

    fn refuse_if_connected(&self, reason: &str) {
        if self.0.send.lock().is_connected() {
            process().kernel.crash(reason);
        }
    }

    /// Connects the channel: messages that come through `receive` go to the handler, messages of the channel go to
    /// `send`, the check-in before all others. Either right may be null. A second call ends the program.
    ///
    /// A check-in that names a send right with `MACH_MSG_TYPE_MOVE_SEND` goes there, and takes the right with it.
    ///
    /// If the channel is cancelled already, the handler gets [`Event::Disconnected`] for each right and
    /// [`Event::NotSent`] for the check-in.
    pub fn connect(&self, receive: PortName, send: PortName, checkin: Option<MachMsg>) {
        let inner = &self.0;
        let peer = Peer { right: send, checkin: checkin.map(Sending::checkin) };
        self.refuse_if_connected("a channel is connected twice");
        inner.queue.activate();
        let mut refused = None;
        // With the lock: a cancellation comes before all of this, or finds all of it.
        inner.add(None, |side, thread| {
            let has_checkin = peer.checkin.is_some();
            match side.connect(peer, thread) {
                Ok(submitted) => {
                    inner.start_receiving(receive, !has_checkin);
                    submitted
                }
                Err(peer) => {
                    refused = Some(peer);
                    Submitted::Queued
                }
            }
        });
        if let Some(peer) = refused {
            inner.give_back(receive, peer);
        }
    }

    /// Gives the channel another peer. What was queued before is not sent, and pending replies are given up.
    pub fn reconnect(&self, send: PortName, checkin: Option<MachMsg>) {
        let peer = Peer { right: send, checkin: checkin.map(Sending::checkin) };
        self.0.add(None, |side, thread| side.reconnect(peer, thread));
    }

    /// Cancels the channel. From now on it delivers no message; [`Event::Canceled`] is the last event. May be called
    /// more than once.
    pub fn cancel(&self) {
        let inner = &self.0;
        inner.canceled.store(true, Ordering::Release);
        // The events of a channel that was not connected need the queue too.
        inner.queue.activate();
        inner.add(None, |side, thread| side.cancel(thread).unwrap_or(Submitted::Queued));
    }

    /// Keeps further events from the handler until [`resume`](Channel::resume). Calls are counted.
    pub fn suspend(&self) {
        self.0.queue.suspend();
    }

    /// Ends one [`suspend`](Channel::suspend).
    pub fn resume(&self) {
        self.0.queue.resume();
    }

    /// Tells the handler [`Event::TerminationRequested`], unless the channel is cancelled.
    pub fn request_termination(&self) {
        self.0.push_plain(Event::TerminationRequested);
    }

    /// Returns true if the channel is cancelled.
    pub fn is_canceled(&self) -> bool {
        self.0.is_canceled()
    }

    /// Returns the remote port of the last check-in: null before there is one, dead after cancellation.
    pub fn checkin_port(&self) -> PortName {
        self.0.send.lock().checkin_port()
    }

    /// Runs a closure on the channel's queue after all messages that were sent before have left, and tells the handler
    /// [`Event::BarrierCompleted`].
    pub fn send_barrier(&self, work: impl FnOnce() + Send + 'static) {
        let (continuation, class) = self.barrier(work);
        self.0.add(None, |side, thread| side.barrier(Barrier(continuation, class), class, thread));
    }

    /// Runs a closure on the channel's queue before all messages that arrive from now on, and tells the handler
    /// [`Event::BarrierCompleted`].
    pub fn receive_barrier(&self, work: impl FnOnce() + Send + 'static) {
        let (continuation, class) = self.barrier(work);
        self.0.queue.push(continuation, Kind::Shared, class);
    }

    fn barrier(&self, work: impl FnOnce() + Send + 'static) -> (Continuation, Qos) {
        let inner = Arc::clone(&self.0);
        Continuation::capture(&self.0.queue.word(), false, move || {
            inner.with_handler(|_, _| {});
            work();
            inner.handle(Event::BarrierCompleted);
        })
    }
}

impl Inner {
    pub(crate) fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::Acquire)
    }

    pub(crate) fn receive_right(&self) -> PortName {
        PortName(self.receive.load(Ordering::Relaxed))
    }

    /// Receives through a right from now on. `arms` says that the notification of no senders, if the program wants one,
    /// need not wait for a check-in.
    fn start_receiving(self: &Arc<Inner>, receive: PortName, arms: bool) {
        self.receive.store(receive.0, Ordering::Relaxed);
        if arms {
            self.arm_no_senders();
        }
        if receive.is_valid() {
            process().receiver.add(receive, Arc::clone(self) as Arc<dyn Sink>, self.is_strict());
        }
    }

    /// Queues an event with the context in which it is handled.
    pub(crate) fn push(self: &Arc<Inner>, event: Event, priority: Priority, voucher: Capture, class: Qos) {
        let inner = Arc::clone(self);
        let item = Continuation::new(ItemPriority::enforced(priority), voucher, move || inner.handle(event));
        self.queue.push(item, Kind::Shared, class);
    }

    /// Queues an event without class and voucher.
    pub(crate) fn push_plain(self: &Arc<Inner>, event: Event) {
        self.push(event, Priority::NONE, Capture::Clear, Qos::Unspecified);
    }

    /// Queues the event of a message, in the message's own context. The message gives its voucher up.
    pub(crate) fn push_message(self: &Arc<Inner>, mut message: MachMsg, event: impl FnOnce(MachMsg) -> Event) {
        let (priority, voucher) = (message.priority, message.voucher.take());
        self.push(event(message), priority, voucher.into(), priority.class());
    }

    /// Calls a function with the handler. The caller runs on the channel's queue, in the context of an event. The handler
    /// learns first that the channel is connected.
    fn with_handler(self: &Arc<Inner>, call: impl FnOnce(&mut dyn Handler, &Channel)) {
        let channel = Channel(Arc::clone(self));
        let handler = self.handler.lock().take();
        let Some(mut handler) = handler else { process().kernel.crash("a handler of a channel calls itself") };
        if !self.told.swap(true, Ordering::Relaxed) {
            handler.event(&channel, Event::Connected);
        }
        call(&mut *handler, &channel);
        *self.handler.lock() = Some(handler);
    }

    /// Tells the handler of an event.
    fn handle(self: &Arc<Inner>, event: Event) {
        let over = event.over();
        let arrived = match &event {
            Event::MessageReceived(message) if !message.is_awaited => Some(message.size()),
            _ => None,
        };
        handoff::allow();
        self.with_handler(|handler, channel| match event {
            Event::MessageReceived(message) if self.is_canceled() => {
                // The handler learns that a reply port is its own again.
                let lost = message.is_awaited.then(|| Lost::Reply(message.header().msgh_local_port, message.context()));
                message.destroy();
                if let Some(lost) = lost {
                    handler.event(channel, Event::Disconnected(lost));
                }
            }
            Event::NoSenders | Event::TerminationRequested if self.is_canceled() => {}
            event => handler.event(channel, event),
        });
        handoff::submit(over);
        if let Some(size) = arrived {
            self.note_flow(true, |flow| flow.handled(size));
        }
    }

    /// Asks for a notification when there are no senders, if the program wants one, and once: a second request would end the
    /// first one, and the channel would get a message about that.
    pub(crate) fn arm_no_senders(&self) {
        let receive = self.receive_right();
        let asks = receive.is_valid() && self.asks_no_senders.load(Ordering::Relaxed);
        if asks && !self.awaits_no_senders.swap(true, Ordering::Relaxed) {
            let sync = u32::from(!self.made_send_right.load(Ordering::Relaxed));
            // An error means that the program has destroyed its port.
            let _ = process().kernel.request_notification(receive, MACH_NOTIFY_NO_SENDERS, sync, receive);
        }
    }

    /// Returns the options that ask for strict replies, if the channel does.
    pub(crate) fn strict_option(&self) -> MsgOption {
        if self.is_strict() { MsgOption::STRICT_REPLY } else { MsgOption::empty() }
    }

    /// Returns true if the channel uses strict replies.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict.load(Ordering::Relaxed)
    }

    /// Notes what arrived or was handled. If that says so, the channel receives from now on, or does not.
    fn note_flow(self: &Arc<Inner>, receives: bool, note: impl FnOnce(&mut Flow) -> bool) {
        let mut flow = self.flow.lock();
        if note(&mut flow) {
            // With the lock, so that the kernel hears of stops and starts in their order.
            process().receiver.set_member(self.receive_right(), &(Arc::clone(self) as Arc<dyn Sink>), receives);
        }
    }

    /// Takes a message from the peer (dispatch 6.5).
    fn merge(self: &Arc<Inner>, arrived: Arrived<'_>) {
        let voucher = voucher::from_message(arrived.bytes);
        let mut message = MachMsg::received(arrived.bytes);
        if self.is_canceled() {
            return message.destroy();
        }
        let armed = self.awaits_no_senders.load(Ordering::Relaxed);
        if armed && is_no_senders(&message) {
            message.destroy();
            return self.push_plain(Event::NoSenders);
        }
        (message.priority, message.over) = (arrived.priority.propagated(), arrived.over);
        let size = message.size();
        self.note_flow(false, |flow| flow.arrived(size));
        // A synchronous sender's class raises the queue, not the handler (M-9).
        self.push(Event::MessageReceived(message), arrived.priority.propagated(), voucher.into(), arrived.over);
    }
}

/// Returns true if a message is the kernel's notification of no senders. A peer can have the kernel's answer to an unknown
/// request sent to the channel, and choose its id, but not make it look like this: the answer comes through a send right, or
/// has the code of an error, which is negative, in the place of the count.
fn is_no_senders(message: &MachMsg) -> bool {
    const COUNT: usize = NDR.len() / 4;
    let comes_once = message.header().local() == Disposition::PORT_SEND_ONCE;
    let has_count = message.body().len() == 4 * (COUNT + 1) && message.word(COUNT).is_some_and(|count| count < 1 << 31);
    message.id() == MACH_NOTIFY_NO_SENDERS && message.is_from_kernel() && comes_once && has_count
}

impl Drop for Inner {
    fn drop(&mut self) {
        process().inspect.channels.remove(self.number);
    }
}

impl Sink for Inner {
    fn message(self: Arc<Inner>, port: PortName, arrived: Arrived<'_>) {
        if port == self.receive_right() { self.merge(arrived) } else { self.merge_reply(port, arrived) }
    }

    fn room(self: Arc<Inner>) {
        if self.send.lock().room(process().kernel.thread_self()) {
            self.drain(None);
        }
    }
}

//! Ends of channels for tests, which note what their handlers see.

use crate::message::port_with_send;
use crate::port::{self, Port};
use crate::sync::Mutex;
use crate::thread::Builder;
use crate::time;
use crate::{check, task};
use abi::PortName;
use abi::port::MACH_PORT_NULL;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use dispatch::activity::{Activity, ActivityFlags, Parent};
use dispatch::mach::{Channel, Event, Lost, MachMsg};
use dispatch::qos::{Priority, Qos};
use dispatch::queue::Queue;
use dispatch::{process, thread, voucher};

/// An event without its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Connected,
    /// A message with this id.
    Received(i32),
    /// A reply with this id, to the request with this context.
    Reply(i32, u64),
    Sent(i32),
    Failed(i32),
    NotSent(i32),
    Barrier,
    LostSend,
    LostReceive,
    LostReply(Option<u64>),
    Canceled,
    ReplyReceived,
    NoSenders,
    Termination,
}

impl What {
    fn of(event: &Event) -> What {
        match event {
            Event::Connected => What::Connected,
            Event::MessageReceived(message) => match message.context() {
                Some(context) => What::Reply(message.id(), context),
                None => What::Received(message.id()),
            },
            Event::MessageSent(message) => What::Sent(message.id()),
            Event::SendFailed(message, _) => What::Failed(message.id()),
            Event::NotSent(message) => What::NotSent(message.id()),
            Event::BarrierCompleted => What::Barrier,
            Event::Disconnected(Lost::Send(_)) => What::LostSend,
            Event::Disconnected(Lost::Receive(_)) => What::LostReceive,
            Event::Disconnected(Lost::Reply(_, context)) => What::LostReply(*context),
            Event::Canceled => What::Canceled,
            Event::ReplyReceived(_) => What::ReplyReceived,
            Event::NoSenders => What::NoSenders,
            Event::TerminationRequested => What::Termination,
        }
    }
}

/// The context in which something runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    /// The class that the thread requests.
    pub(super) class: Qos,
    /// True if it has a voucher.
    pub(super) voucher: bool,
    /// The activity of the voucher, 0 for none.
    pub(super) activity: u64,
}

impl Context {
    /// Returns that of the calling thread.
    pub(super) fn own() -> Context {
        Context {
            class: thread::requested().class(),
            voucher: voucher::copy().is_some(),
            activity: Activity::current_id().0.0,
        }
    }

    /// A context with the voucher of an activity.
    pub(super) fn of(class: Qos, activity: &Activity) -> Context {
        Context { class, voucher: true, activity: activity.identity().activity.0 }
    }

    /// A context with a voucher and no activity.
    pub(super) const fn with_voucher(class: Qos) -> Context {
        Context { class, voucher: true, activity: 0 }
    }

    /// A context without voucher.
    pub(super) const fn plain(class: Qos) -> Context {
        Context { class, voucher: false, activity: 0 }
    }
}

/// What a handler saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) what: What,
    pub(super) context: Context,
    /// The class in effect for the thread.
    pub(super) effective: Qos,
    pub(super) thread: PortName,
}

/// Returns the class in effect for the calling thread.
pub(super) fn effective_class() -> Qos {
    effective_class_of(task::thread_self())
}

/// Returns the class in effect for a thread.
pub(super) fn effective_class_of(thread: PortName) -> Qos {
    Priority(task::thread_info(thread).expect("the thread is alive").effective).class()
}

/// Runs a function in a thread of a class.
pub(super) fn at<T: Send + 'static>(class: Qos, run: impl FnOnce() -> T + Send + 'static) -> T {
    Builder::new().class(class).spawn(run).expect("the thread starts").join()
}

/// Runs a function in a thread of a class with the voucher of an activity.
pub(super) fn under<T: Send + 'static>(
    class: Qos,
    activity: &Arc<Activity>,
    run: impl FnOnce() -> T + Send + 'static,
) -> T {
    let activity = activity.clone();
    at(class, move || activity.apply(run))
}

/// Returns a new activity without a parent.
pub(super) fn activity() -> Arc<Activity> {
    Arc::new(Activity::create("test", Parent::None, ActivityFlags::empty()))
}

/// Waits until a condition holds. The harness ends the test if it never does.
pub(super) fn until(condition: impl Fn() -> bool) {
    while !condition() {
        time::sleep(1);
    }
}

#[derive(Default)]
struct Notes {
    seen: Mutex<VecDeque<Seen>>,
    messages: Mutex<VecDeque<MachMsg>>,
}

/// A channel with its receive right, and what its handler saw.
#[derive(Clone)]
pub(super) struct End {
    pub(super) channel: Channel,
    /// The name of the receive right and of a send right.
    pub(super) port: PortName,
    notes: Arc<Notes>,
}

/// What an end does with a message that it receives, after the event was noted.
type Action = Box<dyn FnMut(&Channel, MachMsg) + Send>;

impl End {
    /// Returns an end that keeps the messages it receives, on a queue or on the default one.
    pub(super) fn new(queue: Option<&Queue>) -> End {
        End::make(queue, port_with_send().into_name(), None)
    }

    /// Returns an end that receives through this port.
    pub(super) fn at_port(port: PortName) -> End {
        End::make(None, port, None)
    }

    /// Returns an end that receives through this port and does something with each message.
    pub(super) fn acting_at_port(port: PortName, action: impl FnMut(&Channel, MachMsg) + Send + 'static) -> End {
        End::make(None, port, Some(Box::new(action)))
    }

    /// Returns an end that does something with the messages it receives.
    pub(super) fn with(action: impl FnMut(&Channel, MachMsg) + Send + 'static) -> End {
        End::make(None, port_with_send().into_name(), Some(Box::new(action)))
    }

    /// Returns an end that answers each request with an empty reply.
    pub(super) fn replying() -> End {
        End::with(|channel, mut message| {
            if let Some(reply) = message.take_reply() {
                channel.send_with_result(reply, abi::message::MsgOption::empty());
            }
            message.destroy();
        })
    }

    fn make(queue: Option<&Queue>, port: PortName, mut action: Option<Action>) -> End {
        let notes = Arc::new(Notes::default());
        let kept = notes.clone();
        let channel = Channel::new("test", queue, move |channel: &Channel, event: Event| {
            kept.seen.lock().push_back(Seen {
                what: What::of(&event),
                context: Context::own(),
                effective: effective_class(),
                thread: task::thread_self(),
            });
            match (event, &mut action) {
                (Event::MessageReceived(message), Some(action)) => action(channel, message),
                (Event::MessageReceived(message), None) => kept.messages.lock().push_back(message),
                (Event::SendFailed(message, _) | Event::NotSent(message), _) => message.destroy(),
                _ => {}
            }
        });
        End { channel, port, notes }
    }

    /// Connects the channel to a peer, or to none with the null name.
    pub(super) fn connect(self, peer: PortName) -> End {
        self.channel.connect(self.port, peer, None);
        self
    }

    /// Waits for the next event.
    pub(super) fn next(&self) -> Seen {
        loop {
            let seen = self.notes.seen.lock().pop_front();
            match seen {
                Some(seen) => return seen,
                None => time::sleep(1),
            }
        }
    }

    /// Waits for the next events, which are these.
    pub(super) fn expect(&self, events: &[What]) {
        for &event in events {
            check::equal("the event", self.next().what, event);
        }
    }

    /// Waits for the next event, which is this one in this context.
    pub(super) fn expect_in(&self, context: Context, event: What) -> Seen {
        let seen = self.next();
        check::equal("the event", (seen.what, seen.context), (event, context));
        seen
    }

    /// Returns true if there are no more events.
    pub(super) fn has_no_event(&self) -> bool {
        self.notes.seen.lock().is_empty()
    }

    /// Takes a message that the handler keeps, or is about to: it notes the event first.
    pub(super) fn message(&self) -> MachMsg {
        loop {
            let message = self.notes.messages.lock().pop_front();
            match message {
                Some(message) => return message,
                None => time::sleep(1),
            }
        }
    }

    /// Cancels the channel, and destroys its ports and the messages that were kept.
    pub(super) fn end(self) {
        self.channel.cancel();
        until(|| self.notes.seen.lock().iter().any(|seen| seen.what == What::Canceled));
        drop(Port::of(self.port));
        port::deallocate(self.port).expect("the send right became a dead name");
        let messages: Vec<MachMsg> = self.notes.messages.lock().drain(..).collect();
        messages.into_iter().for_each(MachMsg::destroy);
    }
}

/// Checks that nothing is left of channels, messages and vouchers, as soon as all is quiet.
pub(super) fn check_nothing_is_left() {
    let left = || {
        let counts = process::process().debug_counts();
        (counts.messages, counts.continuations, counts.queues, counts.vouchers)
    };
    until(|| left() == (0, 0, 0, 0));
}

/// No peer.
pub(super) const NOBODY: PortName = MACH_PORT_NULL;

//! Connections (dispatch 7.2 to 7.5).
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | [`Connection`]: what programs call |
//! | `state.rs` | the state, without queues and channels |
//! | `establish.rs` | where the rights of a channel come from |
//! | `send.rs` | messages to the other end, and their replies |
//! | `events.rs` | what comes from a channel, and what the handler hears of it |
//!
//! A connection has a lane, a serial queue on which its handler runs. Its channels have the lane as their target, so the
//! events of an old channel and of a new one are one after the other. The state is behind a lock that is held for
//! moments only; what the state says is done after the lock is dropped.

mod establish;
mod events;
mod send;
mod state;

use crate::service::Seat;
use crate::{Endpoint, Event};
use abi::PortName;
use alloc::boxed::Box;
use core::fmt;
use dispatch::mach::Channel;
use dispatch::process::process;
use dispatch::queue::Queue;
use dispatch::sync::{Arc, Mutex};
use establish::Origin;
use state::{Activation, Cancellation, Kind, State};

/// The handler of a connection's events.
type Handler = Box<dyn FnMut(Event) + Send>;

/// An end of a connection, or a listener that accepts connections.
///
/// A connection is made inactive. It gets a handler and is activated; it may send before, and what it sends waits.
/// Copies denote the same connection. One that was never activated ends with its last copy. An active one must be
/// [cancelled](Connection::cancel), unless it ends by itself: dropping it does not end it.
///
/// ```no_run
/// use xpc::{Connection, Dictionary, Event};
///
/// let service = Connection::create("org.example.adder", None);
/// service.set_event_handler(|event| assert!(!matches!(event, Event::Message(_)), "the service only replies"));
/// service.activate();
/// let request: Dictionary = [("a", 1_i64), ("b", 2)].into_iter().collect();
/// service.send_with_reply(&request, None, |reply| {
///     if let Ok(reply) = reply {
///         assert_eq!(reply.get_int64("sum"), Some(3));
///     }
/// });
/// ```
#[derive(Clone)]
pub struct Connection(Arc<Copies>);

/// What the copies of a connection share. The runtime's own references are to [`Inner`].
struct Copies(Arc<Inner>);

/// A connection.
pub(crate) struct Inner {
    core: Mutex<Core>,
    /// None while it runs, and after its last event.
    handler: Mutex<Option<Handler>>,
    /// Held while a channel is connected or cancelled, so that these two do not meet.
    connecting: Mutex<()>,
}

struct Core {
    state: State,
    /// Where the rights of channels come from.
    origin: Origin,
    /// The queue that the program gave.
    target: Option<Queue>,
    /// The lane, when there is a channel.
    lane: Option<Queue>,
    /// The present channel. The first one is made when it is needed.
    channel: Option<Channel>,
    /// The send right of the present channel, while the channel is connected.
    peer: Option<PortName>,
    /// The process at the other end, if it is known.
    pid: Option<u32>,
    /// A connection to a client counts as one of that client's until it has ended.
    seat: Option<Seat>,
}

impl Connection {
    fn new(kind: Kind, origin: Origin, target: Option<&Queue>) -> Connection {
        Connection::of(&Inner::new(kind, origin, target.cloned()))
    }

    pub(crate) fn of(inner: &Arc<Inner>) -> Connection {
        Connection(Arc::new(Copies(Arc::clone(inner))))
    }

    /// Returns a connection to the service with a name. Its handler runs on a queue of its own that has the given one as
    /// its target, or on the default queue.
    ///
    /// The name is looked up when the connection is activated; if it is unknown, the handler gets
    /// [`Invalid`](crate::XpcError::Invalid).
    pub fn create(name: &str, queue: Option<&Queue>) -> Connection {
        Connection::new(Kind::Client, Origin::Name(name.into()), queue)
    }

    /// Returns a listener for a name. Its handler gets an [`Event::Peer`] for each client. Peers have the listener's
    /// queue as their target.
    ///
    /// The name is checked in when the listener is activated; if that is refused, the handler gets
    /// [`Invalid`](crate::XpcError::Invalid).
    pub fn create_listener(name: &str, queue: Option<&Queue>) -> Connection {
        Connection::new(Kind::Listener, Origin::Name(name.into()), queue)
    }

    /// Returns a listener without a name. Clients connect to its [`endpoint`](Connection::endpoint).
    pub fn anonymous(queue: Option<&Queue>) -> Connection {
        Connection::new(Kind::AnonymousListener, Origin::anonymous(), queue)
    }

    /// Returns a connection to the listener of an endpoint.
    pub fn from_endpoint(endpoint: &Endpoint, queue: Option<&Queue>) -> Connection {
        Connection::new(Kind::EndpointClient, Origin::Endpoint(endpoint.right().clone()), queue)
    }

    /// Returns the endpoint of a listener without a name, to be sent to clients. None for other connections, and if the
    /// listener was cancelled.
    pub fn endpoint(&self) -> Option<Endpoint> {
        self.inner().core.lock().origin.endpoint()
    }

    /// Sets the handler of events. It is called by one thread at a time.
    pub fn set_event_handler(&self, handler: impl FnMut(Event) + Send + 'static) {
        let handler: Handler = Box::new(handler);
        let old = self.inner().handler.lock().replace(handler);
        drop(old);
    }

    /// Sets the queue on which the handler runs, like the one that is given when a connection is made. The connection
    /// must be inactive and must not have sent anything; otherwise the program ends.
    pub fn set_target_queue(&self, queue: &Queue) {
        let mut core = self.inner().core.lock();
        if !core.state.is_inactive() || core.channel.is_some() {
            drop(core);
            process().kernel.crash("the queue of a connection that is in use is set");
        }
        core.target = Some(queue.clone());
    }

    /// Activates the connection: looks its name up or checks its name in, and lets messages flow. Does nothing if the
    /// connection is active.
    pub fn activate(&self) {
        let activation = self.inner().core.lock().state.activate();
        if let Activation::Establish(channel) = activation {
            self.inner().establish(channel);
        }
    }

    /// Lets events wait until as many calls of [`resume`](Connection::resume) have followed. What the connection sends
    /// is not held back.
    pub fn suspend(&self) {
        let mut core = self.inner().core.lock();
        core.state.suspend();
        let lane = core.lane.clone();
        drop(core);
        if let Some(lane) = lane {
            lane.suspend();
        }
    }

    /// Takes one [`suspend`](Connection::suspend) back. One call too many ends the program.
    pub fn resume(&self) {
        let mut core = self.inner().core.lock();
        let resumed = core.state.resume();
        let lane = core.lane.clone();
        drop(core);
        match (resumed, lane) {
            (Err(_), _) => process().kernel.crash("a connection is resumed that is not suspended"),
            (Ok(()), Some(lane)) => lane.resume(),
            (Ok(()), None) => {}
        }
    }

    /// Ends the connection. Its handler gets no more messages, and [`Invalid`](crate::XpcError::Invalid) at last, after
    /// the handlers of all replies that will not come. A handler that runs is not interrupted. Does nothing if the
    /// connection has ended.
    ///
    /// A listener's peers go on.
    pub fn cancel(&self) {
        self.inner().cancel();
    }

    /// Returns the process at the other end, for a connection to a client.
    pub fn pid(&self) -> Option<u32> {
        self.inner().core.lock().pid
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.0.0
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        let core = self.0.core.lock();
        let is_inactive = core.state.is_inactive();
        drop(core);
        if is_inactive {
            self.0.cancel();
        }
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Connection) -> bool {
        Arc::ptr_eq(self.inner(), other.inner())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.inner().core.lock();
        f.debug_struct("Connection").field("state", &core.state).field("pid", &core.pid).finish()
    }
}

impl Inner {
    fn new(kind: Kind, origin: Origin, target: Option<Queue>) -> Arc<Inner> {
        let state = State::new(kind);
        Arc::new(Inner {
            core: Mutex::new(Core {
                state,
                origin,
                target,
                lane: None,
                channel: None,
                peer: None,
                pid: None,
                seat: None,
            }),
            handler: Mutex::new(None),
            connecting: Mutex::new(()),
        })
    }

    /// Returns this end of a connection to a client, with the origin of its rights.
    fn peer(origin: Origin, target: Option<Queue>, pid: u32, seat: Seat) -> Arc<Inner> {
        let peer = Inner::new(Kind::Peer, origin, target);
        let mut core = peer.core.lock();
        (core.pid, core.seat) = (Some(pid), Some(seat));
        drop(core);
        peer
    }

    fn cancel(self: &Arc<Inner>) {
        let cancellation = self.core.lock().state.cancel();
        match cancellation {
            Cancellation::CancelChannel => self.cancel_channel(),
            Cancellation::Deliver => self.tell_of_the_end(),
            Cancellation::Wait | Cancellation::Known => {}
        }
    }

    /// Cancels the present channel.
    fn cancel_channel(self: &Arc<Inner>) {
        let channel = self.channel();
        let connecting = self.connecting.lock();
        channel.cancel();
        drop(connecting);
    }

    /// Returns the present channel.
    fn channel(self: &Arc<Inner>) -> Channel {
        let mut core = self.core.lock();
        match &core.channel {
            Some(channel) => channel.clone(),
            None => self.add_channel(&mut core),
        }
    }

    /// Makes the channel whose number the state has, and returns it.
    fn add_channel(self: &Arc<Inner>, core: &mut Core) -> Channel {
        let lane = core.lane.get_or_insert_with(|| {
            let lane = Queue::builder("connection");
            let lane = match &core.target {
                Some(target) => lane.target(target).build(),
                None => lane.build(),
            };
            (0..core.state.suspensions()).for_each(|_| lane.suspend());
            lane
        });
        let channel = Channel::new("connection", Some(lane), self.handler_of(core.state.channel()));
        channel.use_strict_replies();
        core.channel = Some(channel.clone());
        channel
    }

    /// Returns the lane.
    fn lane(self: &Arc<Inner>) -> Queue {
        self.channel();
        self.core.lock().lane.clone().expect("a connection with a channel has a lane")
    }
}

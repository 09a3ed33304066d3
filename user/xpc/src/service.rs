//! What a program has once: its transactions, and the connections that hear of its end (dispatch 7.6, X-23).

use crate::clients::Clients;
use crate::connection::Inner;
use crate::owned::OwnedReceive;
use crate::transaction::{Delivery, IdlePeriod, Next, Termination, Transactions};
use abi::port::MACH_PORT_NULL;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::time::Duration;
use dispatch::block::{Block, BlockFlags};
use dispatch::mach::{Channel, Event};
use dispatch::process::process;
use dispatch::qos::Qos;
use dispatch::queue::{Queue, QueueFlags};
use dispatch::sync::{Arc, Mutex, Weak};

struct Service {
    transactions: Transactions,
    /// The connections of clients.
    clients: Clients,
    /// The active listeners and peers, by their addresses.
    connections: BTreeMap<usize, Weak<Inner>>,
    /// The channel through which the program is told to end.
    control: Option<Channel>,
    /// How long the program stays without transactions.
    idle_limit: Option<Duration>,
    /// True if a timer runs for an idle period.
    has_timer: bool,
}

static SERVICE: Mutex<Service> = Mutex::new(Service {
    transactions: Transactions::new(),
    clients: Clients::new(),
    connections: BTreeMap::new(),
    control: None,
    idle_limit: None,
    has_timer: false,
});

/// A transaction: while it exists, the program does not exit when idle or when it is told to (`xpc_transaction_begin`,
/// `xpc_transaction_end`). Messages and replies have transactions of their own.
#[derive(Debug)]
#[must_use]
pub struct Transaction(PhantomData<*const ()>);

impl Transaction {
    /// Begins a transaction, which ends when the value is dropped.
    pub fn begin() -> Transaction {
        SERVICE.lock().transactions.begin();
        Transaction(PhantomData)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let next = SERVICE.lock().transactions.end();
        follow(next.expect("this transaction was begun"));
    }
}

/// Begins a transaction that ends with a call of [`transaction_end`], on any thread.
pub fn transaction_begin() {
    SERVICE.lock().transactions.begin();
}

/// Ends a transaction that was begun by [`transaction_begin`]. Without one the program ends.
pub fn transaction_end() {
    let next = SERVICE.lock().transactions.end();
    match next {
        Ok(next) => follow(next),
        Err(_) => process().kernel.crash("transaction_end without transaction_begin"),
    }
}

/// Returns the number of transactions.
pub fn transaction_count() -> usize {
    SERVICE.lock().transactions.count()
}

/// Lets the program exit when it has had no transaction for some time: at least this long, at most twice as long.
pub fn exit_when_idle(limit: Duration) {
    let period = {
        let mut service = SERVICE.lock();
        service.idle_limit = Some(limit);
        service.transactions.idle_period()
    };
    if let Some(period) = period {
        start_timer(period);
    }
}

/// Notes a message whose handler is about to be called. False if it must not be delivered.
pub(crate) fn message_arrived() -> bool {
    SERVICE.lock().transactions.message_arrived() == Delivery::Deliver
}

pub(crate) fn handler_returned() {
    let next = SERVICE.lock().transactions.handler_returned();
    follow(next);
}

pub(crate) fn reply_created() {
    SERVICE.lock().transactions.reply_created();
}

pub(crate) fn reply_finished() {
    let next = SERVICE.lock().transactions.reply_finished();
    follow(next);
}

pub(crate) fn is_terminating() -> bool {
    SERVICE.lock().transactions.is_terminating()
}

/// A connection of another program, which counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Seat(u32);

impl Seat {
    /// Counts a connection of a process. None if the process has as many as it may have.
    pub(crate) fn take(pid: u32) -> Option<Seat> {
        let has_room = SERVICE.lock().clients.came(pid);
        has_room.then(|| Seat(pid))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        SERVICE.lock().clients.went(self.0);
    }
}

/// Adds an active listener or peer.
pub(crate) fn joined(connection: &Arc<Inner>) {
    SERVICE.lock().connections.insert(address(connection), Arc::downgrade(connection));
}

/// Removes a connection that has ended.
pub(crate) fn left(connection: &Arc<Inner>) {
    let removed = SERVICE.lock().connections.remove(&address(connection));
    drop(removed);
}

fn address(connection: &Arc<Inner>) -> usize {
    Arc::as_ptr(connection).addr()
}

/// Listens to the port through which the program is told to end.
pub(crate) fn listen_to(control: OwnedReceive) {
    let channel = Channel::new("control", None, |_: &Channel, event: Event| {
        if let Event::MessageReceived(message) = event {
            let terminates = message.id() == abi::mig::bootstrap::TERMINATE;
            message.destroy();
            if terminates {
                terminate();
            }
        }
    });
    channel.connect(control.into_name(), MACH_PORT_NULL, None);
    let old = SERVICE.lock().control.replace(channel);
    debug_assert!(old.is_none(), "a program gets its control port once");
}

/// Ends the program as the launcher's request does: at once if it has no transactions, otherwise with the last one.
/// Until then no message is delivered, and listeners and peers get [`XpcError::TerminationImminent`].
pub fn terminate() {
    let (termination, connections) = {
        let mut service = SERVICE.lock();
        let connections: Vec<_> = service.connections.values().filter_map(Weak::upgrade).collect();
        (service.transactions.terminate(), connections)
    };
    match termination {
        Termination::Exit => exit(),
        Termination::Announce => connections.iter().for_each(Inner::hear_of_termination),
        Termination::Continue => {}
    }
}

/// Returns a closure that is submitted once, as a block that takes nothing along from the submitter.
pub(crate) fn detached(work: impl FnOnce() + Send + 'static) -> Block {
    let work = Mutex::new(Some(work));
    let run = move || {
        let work = work.lock().take();
        work.into_iter().for_each(|work| work());
    };
    Block::new(BlockFlags::DETACHED.bits(), run).expect("the flag exists")
}

/// Does what the end of a transaction asks for.
fn follow(next: Next) {
    match next {
        Next::Continue => {}
        Next::Idle(period) => start_timer(period),
        Next::Exit => exit(),
    }
}

/// Starts a timer for an idle period, if the program wants to exit when idle and no timer runs.
fn start_timer(period: IdlePeriod) {
    let limit = {
        let mut service = SERVICE.lock();
        if service.idle_limit.is_none() || service.has_timer {
            return;
        }
        service.has_timer = true;
        service.idle_limit
    };
    let queue = Queue::global(Qos::Utility, QueueFlags::empty());
    // It must not keep the voucher of the work that has just ended.
    queue.block_after(limit.expect("it was there a moment ago"), &detached(move || timer_fired(period)));
}

/// Exits if the program was idle all the time. If it is idle again, another timer decides.
fn timer_fired(period: IdlePeriod) {
    let (exits, next) = {
        let mut service = SERVICE.lock();
        service.has_timer = false;
        let exits = service.transactions.idle_period_over(period);
        (exits, service.transactions.idle_period())
    };
    match next {
        _ if exits => exit(),
        Some(next) => start_timer(next),
        None => {}
    }
}

/// Ends the program. What it has goes back: its services' ports to the name service, with their messages.
fn exit() -> ! {
    runtime::sys::exit(0)
}

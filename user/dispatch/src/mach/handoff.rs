//! Handing the work of a request to another queue (dispatch 6.7).

use crate::continuation::Continuation;
use crate::process::process;
use crate::qos::Qos;
use crate::queue::Queue;
use crate::queue::state::Kind;
use crate::sync::thread_local;
use abi::PortName;
use core::cell::{Cell, RefCell};

/// A closure that takes over from a handler.
struct Handoff {
    queue: Queue,
    continuation: Continuation,
    class: Qos,
}

thread_local! {
    /// True while a handler may hand its work over.
    static IS_ALLOWED: Cell<bool> = const { Cell::new(false) };
    static HANDOFF: RefCell<Option<Handoff>> = const { RefCell::new(None) };
}

/// Lets another queue answer the request that the calling handler handles. The closure is submitted when the handler
/// returns, with the handler's context, and the queue is as urgent from then on as the one who waits for the reply at
/// `port`, until the closure ends.
///
/// A handler calls this at most once. Elsewhere, and for no port, the call ends the program.
pub fn handoff_reply(queue: &Queue, port: PortName, work: impl FnOnce() + Send + 'static) {
    let allowed = IS_ALLOWED.with(|allowed| allowed.replace(false));
    if !allowed || !port.is_valid() {
        process().kernel.crash("a reply is handed over outside of a handler, or twice");
    }
    let (continuation, class) = Continuation::capture(&queue.word(), false, work);
    HANDOFF.with(|slot| *slot.borrow_mut() = Some(Handoff { queue: queue.clone(), continuation, class }));
}

/// Lets the handler that runs next hand its work over.
pub(super) fn allow() {
    IS_ALLOWED.with(|allowed| allowed.set(true));
}

/// Submits what the handler has handed over, with the class of the one who waits.
pub(super) fn submit(over: Qos) {
    IS_ALLOWED.with(|allowed| allowed.set(false));
    if let Some(handoff) = HANDOFF.with(|slot| slot.borrow_mut().take()) {
        handoff.queue.push(handoff.continuation, Kind::Shared, handoff.class.max(over));
    }
}

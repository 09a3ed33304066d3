//! [`Effects`]: what is done after all locks are dropped (dispatch ).

use super::enter::Waiter;
use super::{Item, Lane};
use crate::main_queue;
use crate::pool::Start;
use crate::qos::Qos;
use crate::sync::Arc;
use abi::PortName;
use alloc::vec::Vec;

/// Calls that concern other threads, in their order.
#[derive(Default)]
#[must_use]
pub(crate) struct Effects(Vec<Effect>);

enum Effect {
    /// Override the owner of a queue. The kernel does nothing if it owns the queue no more.
    Raise { owner: PortName, class: Qos, lane: Arc<Lane> },
    /// Let a waiter in.
    Admit(Arc<Waiter>),
    /// Wake or create a worker.
    Start(Start),
    /// Wake the main thread.
    WakeMain,
    /// Override the main thread explicitly.
    RaiseMain(Qos),
}

impl Effects {
    /// Notes that the owner of a queue, whose lock is held, gets a class. If it gets at least that already because of another queue of the
    /// same chain, once is enough.
    pub(crate) fn raise(&mut self, owner: PortName, class: Qos, lane: &Arc<Lane>) {
        let done = self.0.iter().any(|effect| match effect {
            Effect::Raise { owner: other, class: lent, .. } => *other == owner && *lent >= class,
            _ => false,
        });
        if !done {
            lane.will_override();
            self.0.push(Effect::Raise { owner, class, lane: lane.clone() });
        }
    }

    /// Notes that a waiter can go on.
    pub(crate) fn admit(&mut self, item: Item) {
        match item {
            Item::Waiter(waiter) => self.0.push(Effect::Admit(waiter)),
            _ => unreachable!("only waiters are admitted"),
        }
    }

    /// Notes that a worker is to be woken or created.
    pub(crate) fn start(&mut self, start: Start) {
        self.0.push(Effect::Start(start));
    }

    /// Notes that the main thread has something to do.
    pub(crate) fn wake_main(&mut self) {
        self.0.push(Effect::WakeMain);
    }

    /// Notes that the main thread gets a class.
    pub(crate) fn raise_main(&mut self, class: Qos) {
        self.0.push(Effect::RaiseMain(class));
    }

    /// Makes the calls. No lock is held.
    pub(crate) fn apply(self) {
        for effect in self.0 {
            match effect {
                Effect::Raise { owner, class, lane } => lane.override_owner(owner, class),
                Effect::Admit(waiter) => waiter.admit(),
                Effect::Start(start) => start.apply(),
                Effect::WakeMain => main_queue::wake(),
                Effect::RaiseMain(class) => main_queue::raise(class),
            }
        }
    }
}

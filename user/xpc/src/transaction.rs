//! Transactions: whether a service has work under way, and so when it may exit (dispatch X-17, X-18).
//!
//! A transaction keeps a process from exiting when idle. (What keeps it important is a boost, which has similar
//! lifetimes and is counted by the kernel.) This module is the state alone: its methods take what happened and return
//! what is to be done, and the caller does it.
//!
//! ```
//! use xpc::transaction::{Delivery, Next, Termination, Transactions};
//!
//! let mut transactions = Transactions::new();
//! assert_eq!(transactions.message_arrived(), Delivery::Deliver);
//! transactions.reply_created();
//! assert_eq!(transactions.handler_returned(), Next::Continue);
//! assert_eq!(transactions.terminate(), Termination::Announce);
//! assert_eq!(transactions.message_arrived(), Delivery::Refuse);
//! assert_eq!(transactions.reply_finished(), Next::Exit);
//! ```

use core::fmt;

/// The transactions of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    /// Handlers of messages that run now.
    handlers: usize,
    /// Replies that were created, and neither sent nor dropped.
    replies: usize,
    /// Transactions that the program has begun itself.
    manual: usize,
    /// The last time without transactions, or the present one.
    idle: IdlePeriod,
    /// The process was told to exit, or has decided to.
    terminating: bool,
}

/// A time without transactions. A timer that was started for one must not end the process in a later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdlePeriod(u64);

/// What is to be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Its handler is called; [`Transactions::handler_returned`] follows.
    Deliver,
    /// It is destroyed: the process is about to exit.
    Refuse,
}

/// What is to be done when a transaction has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Nothing.
    Continue,
    /// It was the last. A service that exits when idle starts its timer; [`Transactions::idle_period_over`] follows.
    Idle(IdlePeriod),
    /// It was the last, and the process was told to exit.
    Exit,
}

/// What is to be done when the process is told to exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Termination {
    /// The process exits: it has no transactions.
    Exit,
    /// Listeners and server peers get [`TerminationImminent`](crate::XpcError::TerminationImminent). The process exits
    /// when a call returns [`Next::Exit`].
    Announce,
    /// Nothing: the process has been told before.
    Continue,
}

/// The program ended a transaction that it had not begun: its own fault, for which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unbalanced;

impl fmt::Display for Unbalanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("transaction_end without transaction_begin")
    }
}

impl core::error::Error for Unbalanced {}

impl Transactions {
    /// Returns the state of a process that has just started.
    pub const fn new() -> Transactions {
        Transactions { handlers: 0, replies: 0, manual: 0, idle: IdlePeriod(0), terminating: false }
    }

    /// Returns the number of transactions.
    pub fn count(&self) -> usize {
        self.handlers + self.replies + self.manual
    }

    /// Returns true if the process was told to exit, or has decided to.
    pub fn is_terminating(&self) -> bool {
        self.terminating
    }

    /// Returns the present time without transactions, if there are none: the timer of a service that has just started
    /// is for this one.
    pub fn idle_period(&self) -> Option<IdlePeriod> {
        (self.count() == 0).then_some(self.idle)
    }

    /// Begins the transaction of a message, just before its handler would be called.
    #[must_use]
    pub fn message_arrived(&mut self) -> Delivery {
        if self.terminating {
            return Delivery::Refuse;
        }
        self.handlers += 1;
        Delivery::Deliver
    }

    /// Ends the transaction of a message: its handler has returned.
    ///
    /// # Panics
    ///
    /// Panics if no handler runs.
    pub fn handler_returned(&mut self) -> Next {
        assert!(self.handlers > 0, "a handler returned that was not called");
        self.handlers -= 1;
        self.ended()
    }

    /// Begins the transaction of a reply. One that is created while the process terminates keeps it alive, too.
    pub fn reply_created(&mut self) {
        self.replies += 1;
    }

    /// Ends the transaction of a reply, which has been sent or dropped.
    ///
    /// # Panics
    ///
    /// Panics if there is no reply.
    pub fn reply_finished(&mut self) -> Next {
        assert!(self.replies > 0, "a reply ended that was not created");
        self.replies -= 1;
        self.ended()
    }

    /// Begins a transaction for the program itself (`xpc_transaction_begin`).
    pub fn begin(&mut self) {
        self.manual += 1;
    }

    /// Ends a transaction that the program has begun (`xpc_transaction_end`).
    ///
    /// # Errors
    ///
    /// [`Unbalanced`] if there is none; those of messages and replies are not the program's to end.
    pub fn end(&mut self) -> Result<Next, Unbalanced> {
        self.manual = self.manual.checked_sub(1).ok_or(Unbalanced)?;
        Ok(self.ended())
    }

    /// Notes that the process is told to exit. No message is delivered from now on.
    pub fn terminate(&mut self) -> Termination {
        if core::mem::replace(&mut self.terminating, true) {
            return Termination::Continue;
        }
        if self.count() == 0 { Termination::Exit } else { Termination::Announce }
    }

    /// Notes that the timer for a time without transactions has run out. Returns true if the process exits now: that
    /// time still lasts, and the process was not told to exit before. No message is delivered from then on.
    #[must_use]
    pub fn idle_period_over(&mut self, period: IdlePeriod) -> bool {
        let exits = self.idle_period() == Some(period) && !self.terminating;
        self.terminating |= exits;
        exits
    }

    fn ended(&mut self) -> Next {
        if self.count() > 0 {
            return Next::Continue;
        }
        if self.terminating {
            return Next::Exit;
        }
        self.idle.0 += 1;
        Next::Idle(self.idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the time without transactions that begins now, and panics if none does.
    fn idle(next: Next) -> IdlePeriod {
        match next {
            Next::Idle(period) => period,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_replies_and_the_program_itself_are_counted() {
        let mut t = Transactions::new();
        assert_eq!(t.message_arrived(), Delivery::Deliver);
        assert_eq!(t.message_arrived(), Delivery::Deliver);
        t.reply_created();
        t.begin();
        assert_eq!(t.count(), 4);
        assert_eq!(t.handler_returned(), Next::Continue);
        assert_eq!(t.reply_finished(), Next::Continue);
        assert_eq!(t.end(), Ok(Next::Continue));
        idle(t.handler_returned());
        assert_eq!(t.count(), 0);
    }

    #[test]
    fn a_program_cannot_end_the_transaction_of_its_message() {
        let mut t = Transactions::new();
        assert_eq!(t.end(), Err(Unbalanced));
        assert_eq!(t.message_arrived(), Delivery::Deliver);
        t.reply_created();
        assert_eq!(t.end(), Err(Unbalanced));
        assert_eq!(t.count(), 2);
        assert_eq!(Unbalanced.to_string(), "transaction_end without transaction_begin");
    }

    #[test]
    fn an_idle_process_exits_at_once_when_told() {
        let mut t = Transactions::new();
        assert_eq!(t.terminate(), Termination::Exit);
        assert_eq!(t.message_arrived(), Delivery::Refuse);
        assert_eq!(t.count(), 0);
    }

    #[test]
    fn a_busy_process_exits_with_its_last_transaction_and_takes_no_message_meanwhile() {
        let mut t = Transactions::new();
        assert_eq!(t.message_arrived(), Delivery::Deliver);
        assert_eq!(t.terminate(), Termination::Announce);
        assert_eq!(t.terminate(), Termination::Continue);
        assert_eq!(t.message_arrived(), Delivery::Refuse);
        t.reply_created();
        assert_eq!(t.handler_returned(), Next::Continue);
        t.begin();
        assert_eq!(t.reply_finished(), Next::Continue);
        assert_eq!(t.end(), Ok(Next::Exit));
    }

    #[test]
    fn a_service_exits_after_an_idle_period_but_not_by_the_timer_of_an_earlier_one() {
        let mut t = Transactions::new();
        let start = t.idle_period().expect("a new process is idle");
        assert_eq!(t.message_arrived(), Delivery::Deliver);
        assert_eq!(t.idle_period(), None);
        assert!(!t.idle_period_over(start), "a handler runs");
        let first = idle(t.handler_returned());
        assert!(!t.idle_period_over(start), "the first idle period is over");
        t.begin();
        assert!(!t.idle_period_over(first), "the program works");
        let second = idle(t.end().expect("a transaction was begun"));
        assert_ne!(first, second);
        assert!(!t.idle_period_over(first));
        assert_eq!(t.idle_period(), Some(second));
        assert!(!t.is_terminating());
        assert!(t.idle_period_over(second));
        assert!(t.is_terminating());
        assert_eq!(t.message_arrived(), Delivery::Refuse);
    }

    #[test]
    fn a_process_exits_for_one_reason_only() {
        let mut t = Transactions::new();
        let period = t.idle_period().expect("a new process is idle");
        assert_eq!(t.terminate(), Termination::Exit);
        assert!(!t.idle_period_over(period));
        let mut t = Transactions::new();
        assert!(t.idle_period_over(period));
        assert_eq!(t.terminate(), Termination::Continue);
    }

    #[test]
    #[should_panic(expected = "a handler returned that was not called")]
    fn a_handler_that_returns_twice_is_a_fault_of_the_runtime() {
        let _ = Transactions::new().handler_returned();
    }

    #[test]
    #[should_panic(expected = "a reply ended that was not created")]
    fn a_reply_that_ends_twice_is_a_fault_of_the_runtime() {
        let _ = Transactions::new().reply_finished();
    }
}

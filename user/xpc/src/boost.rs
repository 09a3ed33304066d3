//! The boost token of a received message: who holds it, and when it is given up (dispatch ).
//!
//! The token is a reference to the message's voucher. It keeps this process boosted while someone waits for what the
//! message asked for. Ownership says the rest: a message that wants a reply holds its token together with the right to
//! reply, and both move to the reply; without a reply the runtime holds the token while the handler runs. A token that
//! is gone does not end the boost by itself, because the thread's own voucher and continuations hold it too.

/// The right to reply to a message, with the message's boost token.
#[derive(Debug)]
pub struct ReplyContext<R, T> {
    right: R,
    token: Option<T>,
}

impl<R, T> ReplyContext<R, T> {
    /// Returns who holds the token of a message: its reply context if it wants a reply, otherwise the caller, who gives
    /// the token up when the handler has returned.
    pub fn new(right: Option<R>, token: Option<T>) -> (Option<ReplyContext<R, T>>, Option<T>) {
        match right {
            Some(right) => (Some(ReplyContext { right, token }), None),
            None => (None, token),
        }
    }

    /// Sends the reply, and gives the token up afterwards: there is no moment in which neither end is boosted.
    pub fn send<O>(self, transmit: impl FnOnce(R) -> O) -> O {
        let ReplyContext { right, token } = self;
        let outcome = transmit(right);
        drop(token);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::rc::Rc;
    use core::cell::RefCell;

    type Log = Rc<RefCell<alloc::vec::Vec<&'static str>>>;

    /// Something that is given up when it is dropped.
    struct Held(&'static str, Log);

    impl Drop for Held {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0);
        }
    }

    fn held(log: &Log) -> (Held, Held) {
        (Held("right", log.clone()), Held("token", log.clone()))
    }

    #[test]
    fn token_is_given_up_after_the_reply_was_sent() {
        let log = Log::default();
        let (right, token) = held(&log);
        let (context, left) = ReplyContext::new(Some(right), Some(token));
        assert!(left.is_none(), "the handler's return ends nothing");
        let sent = log.clone();
        context.expect("the message wants a reply").send(|right| {
            drop(right);
            sent.borrow_mut().push("sent");
        });
        assert_eq!(*log.borrow(), ["right", "sent", "token"]);
    }

    #[test]
    fn reply_that_is_dropped_gives_up_the_right_and_then_the_token() {
        let log = Log::default();
        let (right, token) = held(&log);
        drop(ReplyContext::new(Some(right), Some(token)));
        assert_eq!(*log.borrow(), ["right", "token"]);
    }

    #[test]
    fn token_of_a_message_without_reply_is_the_callers() {
        let log = Log::default();
        let (_, token) = held(&log);
        log.borrow_mut().clear();
        let (context, left) = ReplyContext::<Held, Held>::new(None, Some(token));
        assert!(context.is_none());
        assert!(log.borrow().is_empty(), "the handler runs");
        drop(left);
        assert_eq!(*log.borrow(), ["token"]);
    }
}

//! The replies that a channel waits for, as plain state (dispatch 6.7, 6.8).

use abi::PortName;
use alloc::vec::Vec;

/// Who gets a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pending<A> {
    /// The channel's handler or a closure, later, in the context that is stored here.
    Later(A),
    /// A thread that waits on its own reply port. The port dies to release the thread.
    Thread,
    /// A thread that waits on a port of the program, with the context that is stored here. The program destroys the
    /// port to release the thread.
    ThreadOnPort(A),
}

/// The list of the replies that a channel waits for, by reply port.
#[derive(Debug)]
pub(crate) struct Replies<A> {
    pending: Vec<(PortName, Pending<A>)>,
}

impl<A> Replies<A> {
    pub(crate) const fn new() -> Replies<A> {
        Replies { pending: Vec::new() }
    }

    /// Adds a reply port.
    pub(crate) fn add(&mut self, port: PortName, pending: Pending<A>) {
        debug_assert!(
            self.pending.iter().all(|(other, _)| *other != port),
            "a reply port serves one request at a time"
        );
        self.pending.push((port, pending));
    }

    /// Takes a reply port out. Whoever takes it out owns what follows: the delivery of the reply, or the end of the
    /// port. None if another thread was faster.
    pub(crate) fn take(&mut self, port: PortName) -> Option<Pending<A>> {
        let at = self.pending.iter().position(|(other, _)| *other == port)?;
        Some(self.pending.remove(at).1)
    }

    /// Returns true if a reply port is on the list.
    pub(crate) fn has(&self, port: PortName) -> bool {
        self.pending.iter().any(|(other, _)| *other == port)
    }

    /// Returns what waits at a place of the list.
    pub(crate) fn at(&self, place: usize) -> Option<&Pending<A>> {
        self.pending.get(place).map(|(_, pending)| pending)
    }

    /// Takes all reply ports out, in the order in which they were added, because no reply will come.
    pub(crate) fn take_all(&mut self) -> Vec<(PortName, Pending<A>)> {
        core::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const A: PortName = PortName(0x103);
    const B: PortName = PortName(0x203);

    #[test]
    fn reply_is_taken_once() {
        let mut replies = Replies::new();
        replies.add(A, Pending::Later("a"));
        replies.add(B, Pending::Thread);
        assert_eq!(replies.take(A), Some(Pending::Later("a")));
        assert_eq!(replies.take(A), None, "the disconnection comes too late");
        assert_eq!(replies.take_all(), vec![(B, Pending::Thread)]);
        assert_eq!(replies.take(B), None, "the reply comes too late");
    }

    #[test]
    fn port_serves_one_request_after_the_other() {
        let mut replies = Replies::new();
        for request in ["first", "second"] {
            replies.add(A, Pending::Later(request));
            assert_eq!(replies.take(A), Some(Pending::Later(request)));
        }
        assert_eq!(replies.take_all(), vec![]);
    }

    #[test]
    fn disconnection_keeps_the_order() {
        let mut replies = Replies::new();
        replies.add(B, Pending::ThreadOnPort("b"));
        replies.add(A, Pending::Later("a"));
        let all = replies.take_all();
        assert_eq!(all, vec![(B, Pending::ThreadOnPort("b")), (A, Pending::Later("a"))]);
    }
}

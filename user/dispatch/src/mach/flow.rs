//! How much a channel has received that its handler has not seen yet, and when that is too much.
//!
//! The receiver takes messages out of the kernel's queues at once, so that their classes reach the channels. A peer that
//! sends faster than the handler works would fill this process's memory, which its own queue limit is there to prevent.
//! Above a limit a channel stops receiving, and its peer's messages wait in the kernel's queue, then at the peer.

/// Bytes that wait for the handler when the channel stops. A peer that keeps to requests and replies never comes near.
const MOST: usize = 256 * 1024;
/// What a message costs besides its bytes: its object and its item on the queue. It is an estimate.
pub(crate) const EACH: usize = 512;

/// What waits for the handler of a channel.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    bytes: usize,
    is_stopped: bool,
}

impl Flow {
    /// Notes a message of this size that arrived. Returns true if the channel stops receiving.
    pub(crate) fn arrived(&mut self, size: usize) -> bool {
        self.bytes += size + EACH;
        let stops = self.bytes > MOST && !self.is_stopped;
        self.is_stopped |= stops;
        stops
    }

    /// Notes that the handler has returned from a message of this size. Returns true if the channel receives again.
    pub(crate) fn handled(&mut self, size: usize) -> bool {
        self.bytes -= size + EACH;
        let starts = self.is_stopped && self.bytes <= MOST / 2;
        self.is_stopped &= !starts;
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_stops_above_the_limit_and_starts_again_at_half_of_it() {
        const SIZE: usize = 1024 - EACH;
        let mut flow = Flow::default();
        assert!((0..256).all(|_| !flow.arrived(SIZE)), "the limit is not too much");
        assert!(flow.arrived(SIZE));
        assert!(!flow.arrived(SIZE), "it has stopped");
        assert!((0..129).all(|_| !flow.handled(SIZE)));
        assert!(flow.handled(SIZE));
        assert!((0..128).all(|_| !flow.handled(SIZE)), "it receives");
        assert!(!flow.arrived(SIZE));
    }

    #[test]
    fn one_message_may_be_larger_than_the_limit() {
        let mut flow = Flow::default();
        assert!(flow.arrived(2 * MOST));
        assert!(flow.handled(2 * MOST));
    }
}

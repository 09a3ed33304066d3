//! [`MessageLink`]: the importance of a message that is on its way (importance 1.4).

use super::environment::PortNumber;
use super::source::Source;
use store::{Id, Link, linked};

/// The name of a message's link.
pub type LinkId = Id<MessageLink>;

/// The list of messages that follow one task's donation.
pub(super) enum LinkedHere {}

/// The tie of a message to the source of its importance. A message without one carries no importance.
#[derive(Debug)]
pub struct MessageLink {
    /// The source, or `None` for a static boost, which depends on nobody.
    pub(super) source: Option<Source>,
    /// The destination of the message.
    pub(super) port: PortNumber,
    /// The message is counted on its port now.
    pub(super) raised: bool,
    pub(super) place: Link<MessageLink>,
}

linked!(MessageLink, LinkedHere: place);

impl MessageLink {
    /// Returns the source, or `None` for a static boost.
    pub const fn source(&self) -> Option<Source> {
        self.source
    }

    /// Returns the destination of the message.
    pub const fn port(&self) -> PortNumber {
        self.port
    }

    /// Returns true if the message is counted on its port now: the bit `MACH_MSGH_BITS_RAISEIMP`.
    pub const fn is_raised(&self) -> bool {
        self.raised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_takes_48_bytes() {
        assert_eq!(size_of::<MessageLink>(), 48);
    }
}

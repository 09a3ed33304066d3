//! The way of a message through ports in transit.

use crate::ids::PortId;

/// The way of a message for a port: that port, the one to which it is in transit, and so on.
#[derive(Debug)]
pub struct Way {
    /// The port.
    pub(super) from: PortId,
    /// The last port on the way, or `None` if the way is too long, once it has been walked.
    pub(super) end: Option<Option<PortId>>,
    /// The number of ports that were passed to find out.
    pub(super) walked: u32,
}

impl Way {
    /// Returns the way of a message for a port.
    pub fn to(port: PortId) -> Way {
        Way { from: port, end: None, walked: 0 }
    }
}

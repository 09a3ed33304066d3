//! The errors that a connection delivers in place of a message (dispatch 7.1, 7.5).

use core::fmt;

/// An error of a connection. There are three, and they carry nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum XpcError {
    /// `XPC_ERROR_CONNECTION_INTERRUPTED`: the service is gone, or it dropped the request. A named connection stays
    /// usable, and the next message reaches a new instance of the service.
    Interrupted,
    /// `XPC_ERROR_CONNECTION_INVALID`: the connection is of no use any more.
    Invalid,
    /// `XPC_ERROR_TERMINATION_IMMINENT`: this process is about to exit and gets no more messages.
    TerminationImminent,
}

impl XpcError {
    /// All errors.
    pub const ALL: [XpcError; 3] = [XpcError::Interrupted, XpcError::Invalid, XpcError::TerminationImminent];
}

impl fmt::Display for XpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            XpcError::Interrupted => "Connection interrupted",
            XpcError::Invalid => "Connection invalid",
            XpcError::TerminationImminent => "Termination imminent",
        })
    }
}

impl core::error::Error for XpcError {}

//! Sending and receiving: transactions that move a message from one task to another.
//!
//! | module | what it is |
//! |---|---|
//! | [`call`] | `mach_msg`: send phase, then receive phase |
//! | [`fast_path`], [`transfer`] | the fast path: the common call in one transaction |
//! | [`send`] | the send phase |
//! | [`admit`] | handing messages to waiting receivers, admitting blocked senders |
//! | [`receive`] | the receive phase |
//! | [`deliver`] | putting a message into its receiver's space and memory |
//! | [`voucher`] | the vouchers of messages |
//! | [`strict_reply`] | replies that must come from the context of their request |
//! | [`give_up`] | timeouts and aborts of waits |
//! | [`give_back`] | messages that could not be sent, back to their senders |

pub(crate) mod admit;
pub(crate) mod call;
pub(crate) mod deliver;
pub(crate) mod fast_path;
pub(crate) mod give_back;
pub(crate) mod give_up;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod strict_reply;
pub(crate) mod transfer;
pub(crate) mod voucher;

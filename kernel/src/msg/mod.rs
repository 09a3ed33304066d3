//! Messages on their way: transactions that take a message out of one task and into another.
//!
//! | module | what it is |
//! |---|---|
//! | [`call`] | `mach_msg`: send phase, then receive phase |
//! | [`fast_path`], [`transfer`] | the common call in one go |
//! | [`send`] | the send phase |
//! | [`admit`] | handing messages to waiting receivers, letting blocked senders in |
//! | [`receive`] | the receive phase |
//! | [`deliver`] | writing a message into its receiver's task and memory |
//! | [`give_up`] | waits that end without what they waited for |

pub(crate) mod admit;
pub(crate) mod call;
pub(crate) mod deliver;
pub(crate) mod fast_path;
pub(crate) mod give_up;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod transfer;

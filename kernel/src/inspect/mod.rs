//! Looking at the kernel: it reads everything and changes nothing.
//!
//! | module | what it is |
//! |---|---|
//! | [`counts`] | how many objects there are |
//! | [`invariants`] | what is always true between two steps |

pub mod counts;
pub mod invariants;

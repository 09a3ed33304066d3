//! Importance, personas, death and cancellation along connections of XPC, with real tasks (dispatch 10.H to 10.K).

mod actor;
pub(super) mod base_chain;
pub(super) mod basics;
pub(super) mod classes;
pub(super) mod deaths;
pub(super) mod donors;
pub(super) mod endings;
pub(super) mod forwarding;
pub(super) mod holders;
pub(super) mod hostile;
pub(super) mod hostile_limits;
pub(super) mod hostile_ports;
pub(super) mod idle;
pub(super) mod soak;
mod stage;
pub(super) mod strict;

/// Functions of children, by name.
type Children = &'static [(&'static str, fn())];

/// The functions of the children of these tests.
pub(super) const CHILDREN: &[Children] = &[
    base_chain::CHILDREN,
    forwarding::CHILDREN,
    donors::CHILDREN,
    holders::CHILDREN,
    classes::CHILDREN,
    deaths::CHILDREN,
    endings::CHILDREN,
    hostile::CHILDREN,
    hostile_limits::CHILDREN,
    hostile_ports::CHILDREN,
    soak::CHILDREN,
    strict::CHILDREN,
];

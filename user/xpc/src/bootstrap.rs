//! The name service as connections use it (dispatch X-6).

use crate::owned::{OwnedReceive, OwnedSend};
use runtime::names;

/// Returns a send right to the port of a service, which is started if it is declared and does not run. None if the name
/// is unknown.
pub(crate) fn look_up(name: &str) -> Option<OwnedSend> {
    names::look_up(name).ok().map(OwnedSend::new)
}

/// Returns the receive right of the service with a name, and that of this program's control port if the program was
/// started for the service. None if the name is not this program's.
pub(crate) fn check_in(name: &str) -> Option<(OwnedReceive, Option<OwnedReceive>)> {
    let checked_in = names::check_in_service(name).ok()?;
    let port = OwnedReceive::new(checked_in.port.into_name());
    // Boosts of messages must count for this program, whoever made the port.
    runtime::port::accept_donation(port.name()).ok()?;
    Some((port, checked_in.control.map(|control| OwnedReceive::new(control.into_name()))))
}

//! What moving the rights of a message causes: it is limited, because all of it is done in one step.

use super::Ipc;
use super::entry::Entry;
use super::port::Role;
use crate::sched::Scheduling;
use abi::port::Disposition;

/// The effort of taking a right and delivering it, in the unit of [`RIGHTS_EFFORT_MAX`](crate::limits::RIGHTS_EFFORT_MAX).
const RIGHT_EFFORT: u32 = 8;
/// That of a set that a port leaves.
const LEFT_SET_EFFORT: u32 = 2;
/// That of a thread that serves a port no more.
const SERVED_EFFORT: u32 = 12;
/// That of the boosts of a port.
const BOOSTS_EFFORT: u32 = 12;
/// That of a thread that waits for a message of a port and waits no more.
const RECEIVER_EFFORT: u32 = 2;
/// That of a notification that the move causes, besides one for each set of the port that it goes to.
const NOTIFICATION_EFFORT: u32 = 4;

impl Ipc {
    /// Returns the effort of taking a right, in the unit of [`RIGHTS_EFFORT_MAX`](crate::limits::RIGHTS_EFFORT_MAX): what
    /// the right's move causes counts too.
    pub(super) fn effort_of(&self, sched: &Scheduling, entry: Entry, disposition: Disposition) -> u32 {
        let mut effort = RIGHT_EFFORT;
        if let (Disposition::MOVE_RECEIVE, Some(port)) = (disposition, entry.right.port()) {
            let port = &self.ports[port];
            effort += LEFT_SET_EFFORT * port.set_count() as u32;
            effort += if matches!(port.role, Role::Served(_)) { SERVED_EFFORT } else { 0 };
            effort += if port.boosts.is_idle() { 0 } else { BOOSTS_EFFORT };
            effort += RECEIVER_EFFORT * port.receivers.iter(sched.table()).count() as u32;
        }
        if let Some(request) = entry.request {
            let told = self.live_port(self.requests[request].notify.port());
            effort += NOTIFICATION_EFFORT + told.map_or(0, |port| port.set_count() as u32);
        }
        effort
    }
}

//! Numbers about the whole system, for tests and curious people.

use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::task::Task;
use abi::debug::Counts;

/// Totals that are kept as things change, so that asking for them costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Send rights to live ports.
    pub send_rights: u64,
    /// Send-once rights to live ports.
    pub send_once_rights: u64,
    /// Ports that died and are being taken apart.
    pub dead_ports: u64,
}

impl Kernel {
    /// How many objects of each kind there are. Visits every task.
    pub fn counts(&self, m: &dyn Machine) -> Counts {
        let sum = |of: fn(&Task) -> u64| self.tasks.iter().map(|(_, task)| of(task)).sum();
        Counts {
            tasks: self.tasks.len() as u64,
            threads: self.threads.len() as u64,
            ports: self.ports.len() as u64 - self.totals.dead_ports,
            port_sets: self.sets.len() as u64,
            names: sum(|task| u64::from(task.space.live())),
            send_rights: self.totals.send_rights,
            send_once_rights: self.totals.send_once_rights,
            messages: self.messages.len() as u64,
            regions: sum(|task| task.regions.len() as u64),
            free_frames: m.free_frames(),
        }
    }
}

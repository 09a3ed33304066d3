//! Object counts for tests and monitors.

use crate::kernel::Kernel;
use crate::machine::Machine;
use abi::debug::Counts;

impl Kernel {
    /// Returns the number of objects of each kind. Visits every task.
    pub fn counts(&self, machine: &dyn Machine) -> Counts {
        let (ports, port_sets, messages) = self.ipc.object_counts();
        let totals = self.ipc.totals();
        let tasks = || self.tasks.iter().map(|(_, task)| task);
        Counts {
            tasks: self.tasks.count() as u64,
            threads: self.sched.count() as u64,
            ports,
            port_sets,
            names: tasks().map(|task| u64::from(self.ipc.space(task.space).live())).sum(),
            send_rights: totals.send_rights,
            send_once_rights: totals.send_once_rights,
            messages,
            regions: tasks().map(|task| task.regions().len() as u64).sum(),
            free_frames: machine.free_frames(),
            vouchers: self.vouchers.count() as u64,
        }
    }
}
